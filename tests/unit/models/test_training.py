import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
from typing import Any

import numpy as np
import psutil
import pytest

from models import cache, card, code, dataset, index, provenance, sources, training
from runtimes.predictor import artifact

LINEAR = ("baseline", "conservative", "robust")
"""The models that need no more than numpy."""


def run(source: sources.Source, seed: int = 1) -> dict[str, training.Result]:
    return training.run(source, seed, LINEAR, lambda _name, _state: None)


def bytes_of(folder: pathlib.Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def trained(csvs: sources.Source) -> dict[str, training.Result]:
    return run(csvs)


def test_an_artifact_holds_settings_manifest_weights_and_card(
    trained: dict[str, training.Result],
) -> None:
    folder = trained["baseline"].record.folder
    assert set(bytes_of(folder)) == {
        "CARD.md",
        "artifact.json",
        "card.json",
        "linear.json",
        "model-settings.json",
    }
    settings = json.loads((folder / "model-settings.json").read_text())
    assert settings == {
        "name": "baseline-predictor",
        "implementation": "runtimes.predictor.runtime.Predictor",
        "parameters": {"uri": "."},
    }


def test_the_same_seed_gives_the_same_bytes_in_another_cache(
    trained: dict[str, training.Result],
    csvs: sources.Source,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = {name: result.record.folder for name, result in trained.items()}
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "another"))
    again = run(csvs)
    for name, result in again.items():
        assert result.trained
        assert result.record.folder != before[name]
        assert result.record.folder.name == before[name].name
        assert bytes_of(result.record.folder) == bytes_of(before[name])


def test_a_second_run_trains_nothing(
    trained: dict[str, training.Result], csvs: sources.Source
) -> None:
    assert all(result.trained for result in trained.values())
    again = run(csvs)
    assert not any(result.trained for result in again.values())
    assert {name: result.record for name, result in again.items()} == {
        name: result.record for name, result in trained.items()
    }


def test_another_seed_or_other_data_is_trained_anew(
    trained: dict[str, training.Result], csvs: sources.Source
) -> None:
    assert all(result.trained for result in run(csvs, seed=2).values())
    assert csvs.folder is not None
    path = csvs.folder / "AAA.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    other = run(csvs)
    assert all(result.trained for result in other.values())
    assert other["robust"].record.artifact != trained["robust"].record.artifact


@pytest.mark.parametrize("damage", ["a file is missing", "a byte is wrong", "the folder is gone"])
def test_a_damaged_artifact_is_noticed_and_trained_again(
    trained: dict[str, training.Result], csvs: sources.Source, damage: str
) -> None:
    folder = trained["robust"].record.folder
    weights = folder / "linear.json"
    whole = weights.read_bytes()
    if damage == "a file is missing":
        weights.unlink()
    elif damage == "a byte is wrong":
        weights.write_bytes(whole.replace(b"1", b"2", 1))
    else:
        shutil.rmtree(folder)
    again = run(csvs)
    assert {name for name, result in again.items() if result.trained} == {"robust"}
    assert again["robust"].record.folder == folder
    assert weights.read_bytes() == whole


def test_a_damaged_index_entry_is_trained_again(
    trained: dict[str, training.Result], csvs: sources.Source
) -> None:
    (cache.index() / f"{trained['robust'].record.key}.json").write_text("{")
    trained["baseline"].record.ledger.unlink()
    again = run(csvs)
    assert {name for name, result in again.items() if result.trained} == {"robust", "baseline"}


def test_a_loaded_artifact_forecasts_alike_for_one_day_and_for_many(
    trained: dict[str, training.Result], csvs: sources.Source
) -> None:
    data = dataset.load(csvs)
    rows = data.of("AAA")[-50:]
    features, history = data.features[rows], data.history(rows)
    for result in trained.values():
        forecaster = artifact.load(result.record.folder)
        many = forecaster.forecast(features, history)
        for place in range(len(rows)):
            one = forecaster.forecast(features[[place]], history[[place]])
            assert one.volatility[0] == many.volatility[place]
            assert one.direction[0] == many.direction[place]
            assert one.interval[0].tolist() == many.interval[place].tolist()
        assert (many.interval[:, 0] < many.volatility).all()
        assert (many.volatility < many.interval[:, 1]).all()
        assert ((many.direction > 0) & (many.direction < 1)).all()


def test_a_card_says_what_the_model_was_made_of_and_how_good_it_was(
    trained: dict[str, training.Result], csvs: sources.Source
) -> None:
    folder = trained["robust"].record.folder
    document = json.loads((folder / card.DOCUMENT).read_text())
    assert document["regime"] == "volatile"
    assert document["data"]["digest"] == csvs.digest()
    assert document["data"]["symbols"]["AAA"]["to"] == "2022-01-24"
    assert document["training"]["seed"] == 1
    assert document["training"]["code"] == provenance.of_all(csvs, 1)["robust"].code
    assert document["held_out"]["rows"] > 50
    measures, naive = document["held_out"]["measures"], document["held_out"]["naive"]
    assert measures["rmse_log_volatility"] < naive["rmse_log_volatility"]
    page = (folder / card.PAGE).read_text()
    assert "variance_ratio_5d" in page
    assert f"{measures['qlike']:.4f}" in page


def test_nothing_of_this_machine_is_written_into_an_artifact(
    trained: dict[str, training.Result], tmp_path: pathlib.Path
) -> None:
    for result in trained.values():
        for name, content in bytes_of(result.record.folder).items():
            for path in (str(tmp_path), str(code.REPOSITORY), str(pathlib.Path.home())):
                assert path.encode() not in content, name


def test_an_artifact_is_named_by_all_its_bytes(trained: dict[str, training.Result]) -> None:
    folder = trained["baseline"].record.folder
    assert index.intact(folder)
    (folder / "CARD.md").write_text("another")
    assert not index.intact(folder)


def test_bad_data_is_refused_before_anything_is_trained(
    csvs: sources.Source, own_cache: pathlib.Path
) -> None:
    assert csvs.folder is not None
    (csvs.folder / "BAD.csv").write_text("Date,Close\n2020-01-01,1\n")
    with pytest.raises(sources.DataError, match=r"BAD\.csv: the header lacks Open"):
        run(csvs)
    assert not list(own_cache.glob("artifacts/*/*"))


# The following run the command in a copy of the project, so that its code can be changed.


@pytest.fixture
def checkout(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "checkout"
    ignored = shutil.ignore_patterns("__pycache__")
    for part in ("models", "runtimes"):
        shutil.copytree(code.REPOSITORY / part, folder / part, ignore=ignored)
    shutil.copy(code.REPOSITORY / "uv.lock", folder)
    return folder


def arguments(source: sources.Source, only: str) -> list[str]:
    program = [sys.executable, "-m", "models.train", "--json", "--only", only]
    return [*program, "--data", str(source.folder)]


def train(checkout: pathlib.Path, source: sources.Source, only: str) -> dict[str, Any]:
    done = subprocess.run(
        arguments(source, only),
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    models: dict[str, Any] = json.loads(done.stdout)["models"]
    return models


def test_only_a_model_whose_code_changed_in_meaning_is_trained_again(
    checkout: pathlib.Path, csvs: sources.Source
) -> None:
    train(checkout, csvs, "baseline,robust")
    path = checkout / "models" / "robust" / "model.py"
    reworded = path.read_text().replace('"""Fit by', '"""In other words, fit by')
    assert reworded != path.read_text()
    path.write_text(f"# a remark\n{reworded}")
    same = train(checkout, csvs, "baseline,robust")
    assert not any(model["trained"] for model in same.values())
    path.write_text(path.read_text().replace("EMPHASIS = 3.0", "EMPHASIS = 4.0"))
    changed = train(checkout, csvs, "baseline,robust")
    assert {name: model["trained"] for name, model in changed.items()} == {
        "baseline": False,
        "robust": True,
    }
    shared = checkout / "models" / "linear.py"
    other = shared.read_text().replace("PRIOR_ROWS = 100.0", "PRIOR_ROWS = 50.0")
    assert other != shared.read_text()
    shared.write_text(other)
    changed = train(checkout, csvs, "baseline,robust")
    assert all(model["trained"] for model in changed.values())


def test_adding_a_model_takes_one_folder(checkout: pathlib.Path, csvs: sources.Source) -> None:
    shutil.copytree(checkout / "models" / "baseline", checkout / "models" / "newcomer")
    models = train(checkout, csvs, "newcomer")
    assert models["newcomer"]["trained"]
    assert pathlib.Path(models["newcomer"]["artifact"]).parent.name == "newcomer"


ENDLESS = """
import pathlib
import threading

from models.baseline import model


class Endless:
    kind = "linear"

    def __init__(self, fitted):
        self.estimate = fitted.estimate

    def save(self, folder):
        (folder / "half.json").write_text("{")
        pathlib.Path({marker!r}).touch()
        threading.Event().wait()


def fit(task):
    return Endless(model.fit(task))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_training_leaves_no_process_and_nothing_half_made(
    checkout: pathlib.Path,
    csvs: sources.Source,
    own_cache: pathlib.Path,
    tmp_path: pathlib.Path,
    number: signal.Signals,
) -> None:
    marker = tmp_path / "is writing"
    endless = checkout / "models" / "endless"
    shutil.copytree(checkout / "models" / "baseline", endless)
    (endless / "model.py").write_text(ENDLESS.replace("{marker!r}", repr(str(marker))))
    process = subprocess.Popen(
        arguments(csvs, "endless"),
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not marker.exists():
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.1)
            pytest.fail(f"it ended before it could be interrupted: {process.communicate()[1]}")
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    if number is not signal.SIGKILL:
        assert process.returncode == 130, said
        assert "run the command again to go on" in said
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
    assert not list(own_cache.glob("trained/*.json"))
    assert not list(own_cache.glob("artifacts/*/sha256-*"))

    shutil.copy(checkout / "models" / "baseline" / "model.py", endless / "model.py")
    assert train(checkout, csvs, "endless")["endless"]["trained"]
    assert not list(own_cache.glob("artifacts/*/.new-*"))


def test_a_record_is_found_by_its_provenance_alone(
    trained: dict[str, training.Result], csvs: sources.Source
) -> None:
    origin = provenance.of_all(csvs, 1)["baseline"]
    assert index.find(origin) == trained["baseline"].record
    for change in (
        {"seed": 2},
        {"code": "0"},
        {"data": "0"},
        {"packages": {**origin.packages, "numpy": "0"}},
    ):
        assert index.find(dataclasses.replace(origin, **change)) is None  # type: ignore[arg-type]  # one field each


def test_locked_versions_are_part_of_where_a_model_comes_from(csvs: sources.Source) -> None:
    origins = provenance.of_all(csvs, 1)
    assert origins["enhanced"].packages["lightgbm"].startswith("4.")
    assert origins["transformer"].packages["torch"].startswith("2.")
    assert np.__version__ in origins["baseline"].packages["numpy"].split()
    assert set(origins["ensemble"].members) == set(origins) - {"ensemble"}
