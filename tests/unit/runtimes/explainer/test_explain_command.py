"""`bellwether explain`, against a real MLServer in the gateway's place."""

import io
import os
import pathlib
import subprocess
import sys

import mlserver_process
import pytest
import rich.console

from bellwether import explain
from models import cache, requests, sources


@pytest.fixture(scope="module")
def request_(folder: pathlib.Path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(cache.VARIABLE, str(folder))
        yield requests.latest("AAA", sources.Source(folder / "csvs"))


def printed(found: explain.Explanation) -> str:
    console = rich.console.Console(file=io.StringIO(), width=200)
    for table in explain.tables(found):
        console.print(table)
    text = console.file.getvalue()
    assert isinstance(text, str)
    return text


@pytest.mark.parametrize(
    ("method", "model", "words"),
    [
        ("shap", "trees-predictor", ["log_variance_22d", "contribution", "completeness error"]),
        ("permutations", "lstm-predictor", ["sampling error", "all others"]),
        ("integrated_gradients", "lstm-predictor", ["integrated gradients", "confidence"]),
        ("lime", "ensemble-predictor", ["R² near the day", "weight of one standard deviation"]),
        ("importances", "line-predictor", ["importance", "interval of 95 %"]),
        ("counterfactual", "line-predictor", ["volatility above", "would be", "why it can change"]),
    ],
)
def test_every_method_is_printed_and_drawn(  # noqa: PLR0913  # fixtures
    method, model, words, explaining, request_, folders, tmp_path
):
    found = explain.explain(str(explaining.base_url), request_, model=model, method=method)
    assert found.model == model
    assert found.artifact == pathlib.Path(folders[model.removesuffix("-predictor")]).name
    assert found.document["model"]["artifact"] == found.artifact
    text = printed(found)
    for word in [*words, found.artifact, "AAA on"]:
        assert word in text
    for suffix, magic in ((".png", b"\x89PNG"), (".svg", b"<?xml")):
        picture = tmp_path / f"why{suffix}"
        explain.draw(found, picture)
        assert picture.read_bytes().startswith(magic)


def test_a_target_is_passed_on(explaining, request_):
    found = explain.explain(
        str(explaining.base_url),
        request_,
        model="line-predictor",
        method="counterfactual",
        target_volatility=0.3,
        seed=3,
    )
    (each,) = found.document["counterfactuals"]
    assert each["wish"].endswith(" 0.3")
    assert found.document["seed"] == 3


def test_a_refusal_is_told_with_the_server_s_reason(explaining, request_):
    with pytest.raises(explain.ExplanationError, match="known are shap") as refusal:
        explain.explain(str(explaining.base_url), request_, model="line-predictor", method="magic")
    assert str(refusal.value).startswith("explanations answers 400")


def test_a_version_that_the_explainer_does_not_know_is_not_explained(explaining, request_):
    with pytest.raises(explain.ExplanationError, match="no artifact of 'sha256-"):
        explain.explain(str(explaining.base_url), request_, model="line-predictor_2")


def test_a_gateway_that_is_away_says_what_to_do(request_):
    (port,) = mlserver_process.free_ports(1)
    with pytest.raises(explain.ExplanationError, match="`make up` brings the environment up"):
        explain.explain(f"http://127.0.0.1:{port}", request_)


@pytest.mark.parametrize(
    ("path", "words"),
    [("why.pdf", "ends in .png or .svg"), ("nowhere/why.png", "is no folder")],
)
def test_a_picture_that_cannot_be_written_is_refused_first(path, words, tmp_path):
    with pytest.raises(explain.ExplanationError, match=words):
        explain.check_picture(tmp_path / path)


def test_the_command_names_the_known_symbols_without_a_traceback(folder):
    finished = subprocess.run(
        [
            *(sys.executable, "-m", "bellwether", "explain", "--symbol", "ZZZ"),
            *("--data", str(folder / "csvs"), "--stack", "test"),
        ],
        cwd=mlserver_process.ROOT,
        env={**os.environ, cache.VARIABLE: str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 1
    assert "AAA, BBB, CCC" in finished.stderr.replace("\n", " ")
    assert "Traceback" not in finished.stderr
