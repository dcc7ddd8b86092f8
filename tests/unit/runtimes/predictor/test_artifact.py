import hashlib
import json
import pathlib
from typing import Any

import numpy as np
import pytest

from runtimes.predictor import artifact

NAMES = ("level", "scatter")
LINES = {
    "log_volatility": {"intercept": -2.0, "coefficients": {"level": 0.5}},
    "log_odds": {"intercept": 0.1, "coefficients": {"scatter": -0.2}},
}
RULE = {
    "level": 0.8,
    "lower": -1.5,
    "upper": 1.2,
    "feature": "scatter",
    "intercept": 0.1,
    "slope": 0.2,
    "minimum": 0.15,
}


def write(folder: pathlib.Path, **changes: Any) -> pathlib.Path:
    """Write a linear artifact; `changes` replace fields of its manifest, None removes one."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = json.dumps(LINES).encode()
    (folder / "linear.json").write_bytes(weights)
    column = {"unit": "1", "description": "for a test"}
    manifest: dict[str, Any] = {
        "schema": 1,
        "model": "tiny",
        "kind": "linear",
        "features": [{"name": name, **column} for name in NAMES],
        "history_length": 3,
        "history_channels": [{"name": "log_return", **column}],
        "horizon_days": 5,
        "interval": RULE,
        "files": {"linear.json": hashlib.sha256(weights).hexdigest()},
        "parameters": {},
        "regime": None,
        **changes,
    }
    content = {name: value for name, value in manifest.items() if value is not ...}
    (folder / "artifact.json").write_text(json.dumps(content))
    return folder


def inputs(rows: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.standard_normal((rows, 2)), np.zeros((rows, 3, 1))


def test_a_forecast_follows_from_the_lines_and_the_rule(tmp_path: pathlib.Path) -> None:
    forecaster = artifact.load(write(tmp_path))
    features = np.array([[1.0, 2.0], [-1.0, 0.1]])
    found = forecaster.forecast(features, np.zeros((2, 3, 1)))
    volatility = np.exp(-2.0 + 0.5 * features[:, 0])
    scale = np.array([0.1 + 0.2 * 2.0, 0.15])
    np.testing.assert_allclose(found.volatility, volatility)
    np.testing.assert_allclose(found.direction, 1 / (1 + np.exp(-0.1 + 0.2 * features[:, 1])))
    np.testing.assert_allclose(found.interval[:, 0], volatility * np.exp(-1.5 * scale))
    np.testing.assert_allclose(found.interval[:, 1], volatility * np.exp(1.2 * scale))


def test_one_row_is_forecast_like_many(tmp_path: pathlib.Path) -> None:
    forecaster = artifact.load(write(tmp_path))
    features, history = inputs(20)
    many = forecaster.forecast(features, history)
    for row in range(20):
        one = forecaster.forecast(features[[row]], history[[row]])
        assert one.volatility[0] == many.volatility[row]
        assert one.interval[0].tolist() == many.interval[row].tolist()


def test_lists_are_taken_as_arrays_are(tmp_path: pathlib.Path) -> None:
    forecaster = artifact.load(write(tmp_path))
    features, history = inputs(2)
    found = forecaster.forecast(features.tolist(), history.tolist())
    np.testing.assert_array_equal(found.volatility, forecaster.forecast(*inputs(2)).volatility)


def test_extreme_inputs_give_bounded_forecasts(tmp_path: pathlib.Path) -> None:
    forecaster = artifact.load(write(tmp_path))
    found = forecaster.forecast([[1e9, 1e9], [-1e9, -1e9]], np.zeros((2, 3, 1)))
    for volatilities in (found.volatility, found.interval):
        assert np.isfinite(volatilities).all()
        assert volatilities.min() == pytest.approx(artifact.VOLATILITY_BOUNDS[0])
        assert volatilities.max() == pytest.approx(artifact.VOLATILITY_BOUNDS[1])
    assert found.direction.tolist() == [0.01, 0.99]


def test_the_manifest_gives_the_signature(tmp_path: pathlib.Path) -> None:
    metadata = artifact.load(write(tmp_path, regime="volatile")).metadata
    assert metadata.model == "tiny"
    assert metadata.feature_names == NAMES
    assert (metadata.history_length, len(metadata.history_channels)) == (3, 1)
    assert metadata.horizon_days == 5
    assert metadata.interval.level == 0.8
    assert metadata.regime == "volatile"


def test_what_a_manifest_writes_it_reads_again(tmp_path: pathlib.Path) -> None:
    before = artifact.read_manifest(write(tmp_path))
    (tmp_path / "artifact.json").write_text(json.dumps(before.document()))
    assert artifact.read_manifest(tmp_path) == before


@pytest.mark.parametrize(
    ("features", "history", "message"),
    [
        ((4, 3), (4, 3, 1), r"features: expected shape \[n, 2\], got \[4, 3\]"),
        ((2,), (1, 3, 1), r"features: expected shape \[n, 2\], got \[2\]"),
        ((4, 2), (4, 2, 1), r"history: expected shape \[4, 3, 1\], got \[4, 2, 1\]"),
        ((4, 2), (3, 3, 1), r"history: expected shape \[4, 3, 1\], got \[3, 3, 1\]"),
    ],
)
def test_a_wrong_shape_is_refused_with_the_expected_one(
    tmp_path: pathlib.Path, features: tuple[int, ...], history: tuple[int, ...], message: str
) -> None:
    forecaster = artifact.load(write(tmp_path))
    with pytest.raises(ValueError, match=message):
        forecaster.forecast(np.zeros(features), np.zeros(history))


def refused(folder: pathlib.Path) -> str:
    with pytest.raises(artifact.ArtifactError) as caught:
        artifact.load(folder)
    return str(caught.value)


def test_a_folder_without_artifact_is_refused_with_the_command_that_makes_one(
    tmp_path: pathlib.Path,
) -> None:
    message = refused(tmp_path / "nothing")
    assert f"{tmp_path}/nothing/artifact.json: there is no artifact here" in message
    assert "bellwether train" in message


def test_a_newer_schema_is_refused_with_both_versions(tmp_path: pathlib.Path) -> None:
    message = refused(write(tmp_path, schema=artifact.SCHEMA + 1))
    assert "has schema 2, this predictor reads up to 1" in message
    assert "deploy a newer predictor" in message


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"schema": "one"}, "no whole number `schema`"),
        ({"kind": "oracle"}, "kind 'oracle' is unknown; known are linear, lightgbm"),
        ({"features": ...}, "a field is missing or malformed (KeyError('features'))"),
        ({"history_length": "long"}, "a field is missing or malformed"),
        ({"interval": {**RULE, "feature": "other"}}, "'other' is none of the features"),
        ({"interval": {"level": 0.8}}, "a field is missing or malformed"),
        ({"files": {"../outside": "0"}}, "'../outside' lies outside the folder"),
        ({"files": {"lost.json": "0"}}, "lost.json: listed in artifact.json but cannot be read"),
    ],
)
def test_a_malformed_manifest_is_refused_with_the_reason(
    tmp_path: pathlib.Path, changes: dict[str, Any], expected: str
) -> None:
    assert expected in refused(write(tmp_path, **changes))


def test_a_manifest_that_is_no_json_is_refused(tmp_path: pathlib.Path) -> None:
    (write(tmp_path) / "artifact.json").write_text("{")
    assert "artifact.json: cannot be read" in refused(tmp_path)


def test_a_file_with_other_bytes_is_refused_as_damaged(tmp_path: pathlib.Path) -> None:
    weights = write(tmp_path) / "linear.json"
    weights.write_text(weights.read_text().replace("-2.0", "-3.0"))
    message = refused(tmp_path)
    assert f"{weights}: is damaged" in message
    assert "remove the folder and run `bellwether train`" in message


def test_weights_that_fit_their_digest_but_make_no_sense_are_refused(
    tmp_path: pathlib.Path,
) -> None:
    content = json.dumps({**LINES, "log_odds": {"intercept": 0, "coefficients": {"x": 1}}})
    digest = hashlib.sha256(content.encode()).hexdigest()
    write(tmp_path, files={"linear.json": digest})
    (tmp_path / "linear.json").write_text(content)
    assert "coefficients of unknown features ['x']" in refused(tmp_path)


def ensemble(folder: pathlib.Path, shares: dict[str, float], **changes: Any) -> pathlib.Path:
    weights = {name: {"volatility": s, "direction": s} for name, s in shares.items()}
    for name in shares:
        write(folder / "members" / name, model=name, **changes)
    write(folder, kind="ensemble", parameters={"members": weights}, files={})
    return folder


def test_an_ensemble_averages_its_members_by_weight(tmp_path: pathlib.Path) -> None:
    alone = artifact.load(write(tmp_path / "alone")).forecast(*inputs(5))
    both = artifact.load(ensemble(tmp_path / "both", {"a": 0.25, "b": 0.75})).forecast(*inputs(5))
    np.testing.assert_allclose(both.volatility, alone.volatility)
    np.testing.assert_allclose(both.direction, alone.direction)
    half = artifact.load(ensemble(tmp_path / "half", {"a": 0.5})).forecast(*inputs(5))
    np.testing.assert_allclose(np.log(half.volatility), np.log(alone.volatility) / 2)


def test_a_member_with_other_inputs_is_refused(tmp_path: pathlib.Path) -> None:
    folder = ensemble(tmp_path, {"a": 1.0}, history_length=4)
    assert "takes other inputs than the ensemble that contains it" in refused(folder)


def test_a_missing_library_is_named_with_where_to_load_the_model(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(artifact.KINDS, "lightgbm", "runtimes.predictor.not_installed")  # type: ignore[arg-type]  # a dictionary where it is made
    message = refused(write(tmp_path, kind="lightgbm"))
    assert "needs the library 'runtimes.predictor.not_installed'" in message
    assert "serving or the training environment" in message
