"""The commands as a person runs them, on a small market."""

import json
import pathlib

import pytest

from models import evaluate, sources, train

NAMES = "baseline,enhanced,robust"


@pytest.fixture
def folder(csvs: sources.Source) -> str:
    return str(csvs.folder)


def test_an_evaluation_prints_json_with_every_regime_and_reference(
    folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        evaluate.main(["--json", "--data", folder, "--models", NAMES, "--from-year", "2021"]) == 0
    )
    document = json.loads(capsys.readouterr().out)
    assert document["years"] == [2021, 2022]
    everyone = document["regimes"]["every"]
    assert set(everyone["models"]) == {*NAMES.split(","), "last value"}
    robust = everyone["models"]["robust"]
    for measure in ("rmse_log_volatility", "qlike", "brier", "utility"):
        assert robust[measure]["low"] < robust[measure]["value"] < robust[measure]["high"]
    assert 0.5 < robust["coverage"] < 1.0
    last = everyone["models"]["last value"]["rmse_log_volatility"]["value"]
    assert robust["rmse_log_volatility"]["value"] < last


def test_an_evaluation_prints_tables_for_people(
    folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate.main(["--data", folder, "--models", "baseline", "--from-year", "2022"]) == 0
    printed = capsys.readouterr().out
    assert "every market" in printed
    assert "last value" in printed
    assert "Years 2022 to 2022" in printed


@pytest.mark.parametrize("command", [train.main, evaluate.main])
def test_a_missing_folder_ends_a_command_with_one_clear_line(
    command: object, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["--data", str(tmp_path / "nowhere")]) == 1  # type: ignore[operator]  # a function
    said = capsys.readouterr()
    assert said.out == ""
    *_, last = said.err.splitlines()
    assert last.startswith("error: ")
    assert "does not exist" in last


def test_a_year_beyond_the_data_ends_an_evaluation_with_those_that_can_be(
    folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate.main(["--data", folder, "--from-year", "2050"]) == 1
    assert "2020 to 2022 can" in capsys.readouterr().err


def test_an_unknown_model_ends_training_with_the_known_ones(
    folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.main(["--data", folder, "--only", "bogus"]) == 1
    assert "no model 'bogus'; models are" in capsys.readouterr().err


def test_training_prints_a_table_for_people(
    folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.main(["--data", folder, "--only", "baseline"]) == 0
    printed = capsys.readouterr().out
    assert "baseline" in printed
    assert "last value" in printed
    assert train.main(["--data", folder, "--only", "baseline"]) == 0
    assert "unchanged" in capsys.readouterr().out
