"""All eight models on a small market: trained twice, saved, loaded, compared."""

import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

from models import (
    artifacts,
    boosting,
    cache,
    code,
    dataset,
    discovery,
    fitting,
    networks,
    procedure,
    provenance,
    sources,
    training,
    walkforward,
)
from runtimes.predictor import artifact, forecast_ensemble

TOLERANCE = 2e-5
"""Relative: networks compute in single precision, ONNX Runtime in another order than torch."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, frames: dict[str, "object"]) -> sources.Source:
    folder = tmp_path_factory.mktemp("csvs")
    for symbol, frame in frames.items():
        columns = frame.rename(columns=str.capitalize)  # type: ignore[attr-defined]  # a data frame
        columns.to_csv(folder / f"{symbol}.csv", index_label="Date", float_format="%.6f")
    return sources.Source(folder)


@pytest.fixture(scope="module")
def caches(
    tmp_path_factory: pytest.TempPathFactory, source: sources.Source
) -> tuple[pathlib.Path, pathlib.Path]:
    """Two caches, all models trained into each of them by the command."""
    first, second = (tmp_path_factory.mktemp(name) for name in ("first", "second"))
    for folder in (first, second):
        subprocess.run(
            [sys.executable, "-m", "models.train", "--json", "--data", str(source.folder)],
            cwd=code.REPOSITORY,
            env={"PYTHONPATH": str(code.REPOSITORY), cache.VARIABLE: str(folder)},
            check=True,
            capture_output=True,
        )
    return first, second


@pytest.fixture
def trained(
    caches: tuple[pathlib.Path, pathlib.Path],
    source: sources.Source,
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, training.Result]:
    monkeypatch.setenv(cache.VARIABLE, str(caches[0]))
    return training.run(source, 1, tuple(discovery.folders()), lambda _name, _state: None)


def inputs(source: sources.Source) -> tuple[np.ndarray, np.ndarray]:
    data = dataset.load(source)
    rows = data.of("BBB")[-64:]
    return data.features[rows], data.history(rows)


def test_the_same_seed_gives_the_same_bytes_for_every_model(
    caches: tuple[pathlib.Path, pathlib.Path],
) -> None:
    first, second = (
        {path.parent.name: path.name for path in sorted(folder.glob("artifacts/*/sha256-*"))}
        for folder in caches
    )
    assert first.keys() >= set(discovery.folders())
    assert first == second


def test_unchanged_code_and_data_train_nothing(trained: dict[str, training.Result]) -> None:
    assert not any(result.trained for result in trained.values())


@pytest.mark.parametrize("name", list(discovery.folders()))
def test_one_day_at_a_time_is_forecast_like_many(
    trained: dict[str, training.Result], source: sources.Source, name: str
) -> None:
    forecaster = artifact.load(trained[name].record.folder)
    features, history = inputs(source)
    many = forecaster.forecast(features, history)
    ones = [forecaster.forecast(features[[row]], history[[row]]) for row in range(len(features))]
    for field in ("volatility", "direction", "interval"):
        single = np.concatenate([getattr(one, field) for one in ones])
        np.testing.assert_allclose(single, getattr(many, field), rtol=TOLERANCE)
    assert len(np.unique(many.volatility)) > 32


@pytest.mark.parametrize("name", [*discovery.members("ensemble")])
def test_a_loaded_artifact_forecasts_what_the_fitted_model_did(
    source: sources.Source, name: str
) -> None:
    data = dataset.load(source)
    made = procedure.train(name, data, walkforward.FEATURE_NAMES, seed=3)
    origin = provenance.of_all(source, 3)[name]
    loaded = artifact.load(artifacts.save(made, data, source, origin))
    features, history = inputs(source)
    expected = made.fitted.estimate(features, history)
    found = loaded.estimator.estimate(features, history)
    np.testing.assert_allclose(found[0], expected[0], rtol=TOLERANCE, atol=TOLERANCE)
    np.testing.assert_allclose(found[1], expected[1], rtol=TOLERANCE)


def test_an_ensemble_needs_no_other_artifact(
    trained: dict[str, training.Result], source: sources.Source, tmp_path: pathlib.Path
) -> None:
    copy = tmp_path / "alone"
    shutil.copytree(trained["ensemble"].record.folder, copy)
    features, history = inputs(source)
    alone = artifact.load(copy).forecast(features, history)
    weights = json.loads((copy / "artifact.json").read_text())["parameters"]["members"]
    assert sum(weight["volatility"] for weight in weights.values()) == pytest.approx(1, abs=1e-4)
    expected = np.zeros(len(features))
    for name, weight in weights.items():
        member = artifact.load(trained[name].record.folder)
        expected += weight["volatility"] * member.estimator.estimate(features, history)[0]
    np.testing.assert_allclose(np.log(alone.volatility), expected, rtol=TOLERANCE)


def test_inside_an_ensemble_nothing_looks_like_a_model_of_its_own(
    trained: dict[str, training.Result],
) -> None:
    folder = trained["ensemble"].record.folder
    # MLServer searches a repository's whole tree for these.
    assert list(folder.rglob(artifacts.SETTINGS)) == [folder / artifacts.SETTINGS]
    assert list((folder / forecast_ensemble.MEMBERS).iterdir())


def sample(source: sources.Source) -> fitting.Sample:
    data = dataset.load(source)
    return procedure.sample(data, walkforward.FEATURE_NAMES, procedure.known_before(data, None))


def test_trees_do_not_split_on_the_level(source: sources.Source) -> None:
    learnt = sample(source)
    trees = boosting.Trees(rounds=30, rate=0.1, leaves=8, fewest=10)
    fitted = boosting.fit(fitting.Task(learnt, seed=1), trees, np.ones(len(learnt.rise)))
    splits = dict(
        zip(
            learnt.feature_names,
            fitted.trees.log_volatility.feature_importance("split"),
            strict=True,
        )
    )
    assert splits[boosting.LEVEL] == 0
    assert sum(splits.values()) > 30


@pytest.mark.parametrize("name", ["transformer", "explainable"])
def test_a_network_learns_beyond_its_lines_and_goes_on_from_an_earlier_fit(
    source: sources.Source, name: str
) -> None:
    learnt = sample(source)
    # What the lines cannot say: a product of two features.
    extra = np.sign(learnt.features[:, 0]) * np.clip(learnt.features[:, 5], -1, 1)
    target = fitting.Sample(
        feature_names=learnt.feature_names,
        features=learnt.features,
        history=learnt.history,
        log_volatility=learnt.log_volatility + extra,
        rise=learnt.rise,
        regime=learnt.regime,
    )

    def error(fitted: fitting.Fitted) -> float:
        forecast = fitted.estimate(target.features, target.history)[0]
        return float(np.mean((target.log_volatility - forecast) ** 2))

    fit = __import__(f"models.{name}.model", fromlist=["fit"]).fit
    first = fit(fitting.Task(target, seed=1))
    assert isinstance(first, networks.FittedNetwork)
    lines = first.network.lines.numpy()
    line = target.features @ lines[:, 0] + float(first.network.intercepts[0])
    alone = float(np.mean((target.log_volatility - line) ** 2))
    again = fit(fitting.Task(target, seed=1, start=first))
    assert error(first) < 0.97 * alone
    assert error(again) < error(first)


def test_an_exported_network_holds_no_path_of_this_machine(
    trained: dict[str, training.Result],
) -> None:
    for name in ("transformer", "explainable"):
        content = (trained[name].record.folder / "model.onnx").read_bytes()
        assert str(code.REPOSITORY).encode() not in content
        assert sys.prefix.encode() not in content
