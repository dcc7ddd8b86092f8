"""The step on the path: an explanation of the forecast itself, or none."""

import json
import math
import shutil

import in_process
import numpy as np
import prometheus_client
import pytest
from mlserver import errors

from runtimes.explainer import attribution, bundle, runtime

KINDS = ("line", "trees", "lstm", "transformer", "ensemble")


@pytest.fixture(scope="module")
def explainer(folders):
    return in_process.load(runtime.Explainer, folders["explainer"])


def row(rows, at=150):
    return rows[0][at : at + 1].copy(), rows[1][at : at + 1].copy()


def explain(step, name, folder, features, history, volatility, version="1"):  # noqa: PLR0913  # the tensors
    return in_process.ask(
        step,
        in_process.tensor("features", features),
        in_process.tensor("history", history),
        in_process.tensor("model", [name, version, folder.name], [1, 3]),
        in_process.tensor("volatility", np.array([volatility])),
    )


def count(outcome, method=runtime.NONE):
    labels = {"model": "step-under-test", "method": method, "outcome": outcome}
    return (
        prometheus_client.REGISTRY.get_sample_value("bellwether_explanations_total", labels) or 0.0
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_forecast_is_explained_by_its_own_artifact(
    kind, explainer, folders, models, rows
):
    features, history = row(rows)
    forecast = models[kind].forecast(features, history)
    found = explain(
        explainer, f"{kind}-predictor", folders[kind], features, history, forecast.volatility[0]
    )
    assert found["model"] == {
        "name": f"{kind}-predictor",
        "version": "1",
        "artifact": folders[kind].name,
    }
    total = found["base_value"] + found["rest"]
    total += sum(each["contribution"] for each in found["attributions"])
    assert math.exp(total) == pytest.approx(forecast.volatility[0], rel=1e-6)
    assert found["output"] == pytest.approx(math.log(forecast.volatility[0]), rel=1e-9)
    assert found["target"] == "log_volatility"
    assert len(found["attributions"]) == 5
    sizes = [abs(each["contribution"]) for each in found["attributions"]]
    assert sizes == sorted(sizes, reverse=True)
    for each in found["attributions"]:
        effect = 100 * math.expm1(each["contribution"])
        assert each["effect_percent"] == pytest.approx(effect)
        assert each["unit"]
    assert 0 < found["confidence"] <= 1
    assert found["background"]["rows"] > 0
    assert found["milliseconds"] > 0


def test_values_are_those_of_the_request(explainer, folders, models, rows):
    features, history = row(rows, 33)
    volatility = models["lstm"].forecast(features, history).volatility[0]
    found = explain(explainer, "lstm-predictor", folders["lstm"], features, history, volatility)
    manifest = models["lstm"].metadata
    names = manifest.feature_names
    for each in found["attributions"]:
        if each["feature"] in names:
            assert each["value"] == features[0, names.index(each["feature"])]
        else:
            channels = [f"history.{channel.name}" for channel in manifest.history_channels]
            assert each["value"] == history[0, -1, channels.index(each["feature"])]


def test_a_forecast_of_another_version_is_not_explained_by_this_one(
    explainer, folders, models, rows
):
    """The bundle knows `line`; `line2` is the same model with other weights."""
    features, history = row(rows)
    first = models["line"].forecast(features, history).volatility[0]
    second = models["line2"].forecast(features, history).volatility[0]
    assert first != second
    before = count("other_artifact"), count("mismatch")
    honest = explain(
        explainer, "line-predictor", folders["line2"], features, history, second, version="2"
    )
    assert honest["reason"] == "other_artifact"
    assert folders["line2"].name in honest["missing"]
    assert honest["model"]["version"] == "2"
    # Were the second version to call itself the first, its forecast would give it away.
    forged = explain(explainer, "line-predictor", folders["line"], features, history, second)
    assert forged["reason"] == "mismatch"
    assert "attributions" not in forged
    assert (count("other_artifact"), count("mismatch")) == (before[0] + 1, before[1] + 1)


def test_a_forecast_of_other_features_is_not_explained(explainer, folders, models, rows):
    features, history = row(rows)
    volatility = models["trees"].forecast(features, history).volatility[0]
    other, past = row(rows, 151)
    found = explain(explainer, "trees-predictor", folders["trees"], other, past, volatility)
    assert found["reason"] == "mismatch"


@pytest.mark.parametrize("share", [1 - 3e-6, 1 + 3e-6, math.nan, math.inf, 0.0])
def test_a_volatility_that_is_off_by_millionths_is_not_the_forecast(
    share, explainer, folders, models, rows
):
    features, history = row(rows)
    volatility = models["line"].forecast(features, history).volatility[0] * share
    found = explain(explainer, "line-predictor", folders["line"], features, history, volatility)
    assert found["reason"] == "mismatch"


def test_the_fallback_is_told_from_an_unknown_model(explainer, folders, rows):
    features, history = row(rows)
    named = {
        name: explain(explainer, name, folders["explainer"], features, history, 0.2)
        for name in ("fallback-predictor", "steady-predictor")
    }
    assert named["fallback-predictor"]["reason"] == "fallback"
    assert named["steady-predictor"]["reason"] == "unknown_model"
    assert "line-predictor" in named["steady-predictor"]["missing"]


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_data_that_is_not_finite_is_named_and_never_raises(
    broken, explainer, folders, models, rows
):
    features, history = row(rows)
    volatility = models["line"].forecast(features, history).volatility[0]
    history[0, 5, 1] = broken
    found = explain(explainer, "line-predictor", folders["line"], features, history, volatility)
    assert found["reason"] == "not_finite"


def test_a_failure_inside_is_an_answer_and_is_counted(
    explainer, folders, models, rows, monkeypatch
):
    features, history = row(rows, 160)
    volatility = models["line"].forecast(features, history).volatility[0]

    def broken(self, features, history):
        raise MemoryError("nothing left")

    monkeypatch.setattr(attribution.Line, "attribute", broken)
    before = count("failed")
    found = explain(explainer, "line-predictor", folders["line"], features, history, volatility)
    assert found["reason"] == "failed"
    assert "MemoryError: nothing left" in found["missing"]
    assert count("failed") == before + 1


def test_the_same_request_is_answered_from_the_cache_and_says_so(explainer, folders, models, rows):
    features, history = row(rows, 170)
    forecast = models["transformer"].forecast(features, history).volatility[0]
    asked = ("transformer-predictor", folders["transformer"], features, history, forecast)
    first, second = explain(explainer, *asked), explain(explainer, *asked)
    assert (first.pop("cached"), second.pop("cached")) == (False, True)
    assert first == second
    later = explain(explainer, *asked, version="7")
    assert later["cached"] is False
    assert later["model"]["version"] == "7"


def test_the_cache_forgets_the_oldest(folders, models, rows):
    step = in_process.load(runtime.Explainer, folders["explainer"], cache_entries=2)

    def cached(at):
        features, history = row(rows, at)
        volatility = models["line"].forecast(features, history).volatility[0]
        asked = ("line-predictor", folders["line"], features, history, volatility)
        return explain(step, *asked)["cached"]

    assert [cached(at) for at in (1, 2, 1, 3, 1, 2)] == [False, False, True, False, True, False]


def test_a_wrong_shape_is_the_caller_s_mistake(explainer, folders, rows):
    features, history = row(rows)
    with pytest.raises(errors.InferenceError, match=r"'features': expected shape \[1, 18\]"):
        explain(explainer, "line-predictor", folders["line"], features[:, :3], history, 0.2)


@pytest.mark.parametrize("damage", ["background.npz", "explainer.json"])
def test_a_damaged_bundle_refuses_to_load(damage, folders, tmp_path):
    folder = tmp_path / "bundle"
    shutil.copytree(folders["explainer"], folder)
    path = folder / damage
    if path.suffix == ".npz":
        with np.load(path) as stored:
            arrays = {name: stored[name] + 1e-9 for name in stored.files}
        np.savez(path, **arrays)
    else:
        document = json.loads(path.read_text())
        path.write_text(json.dumps(document | {"more": 1}))
    with pytest.raises(bundle.BundleError, match=damage):
        bundle.load(folder)


def test_a_predictor_whose_weights_were_touched_refuses_to_load(folders, tmp_path):
    folder = tmp_path / "bundle"
    shutil.copytree(folders["explainer"], folder)
    (weights,) = folder.glob("predictors/line-predictor/*/linear.json")
    weights.write_text(weights.read_text().replace("intercept", "intercept "))
    with pytest.raises(bundle.BundleError, match="is damaged"):
        bundle.load(folder)


def test_a_copied_artifact_is_no_model_of_its_own(folders):
    nested = [
        path
        for name in ("explainer", "explanations")
        for path in folders[name].rglob("model-settings.json")
    ]
    assert nested == [
        folders[name] / "model-settings.json" for name in ("explainer", "explanations")
    ]
