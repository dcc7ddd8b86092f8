"""Explanations on demand, by every method."""

import math

import in_process
import numpy as np
import pytest
from mlserver import errors

from runtimes.explainer import on_demand
from runtimes.predictor import artifact

KINDS = ("line", "trees", "lstm", "transformer", "ensemble")


@pytest.fixture(scope="module")
def explanations(folders):
    return in_process.load(
        on_demand.Explanations,
        folders["explanations"],
        model="line-predictor",
        samples=300,
        repeats=5,
        references=4,
        orders=3,
    )


def row(rows, at=150):
    return rows[0][at : at + 1].copy(), rows[1][at : at + 1].copy()


def explain(step, rows, *, at=150, **more):
    features, history = row(rows, at)
    tensors = [
        in_process.tensor(name, [value] if isinstance(value, str) else np.array([float(value)]))
        for name, value in more.items()
    ]
    return in_process.ask(
        step,
        in_process.tensor("features", features),
        in_process.tensor("history", history),
        *tensors,
    )


@pytest.mark.parametrize("method", ["shap", "permutations"])
@pytest.mark.parametrize("kind", KINDS)
def test_contributions_add_up_to_the_forecast(kind, method, explanations, models, rows):
    found = explain(explanations, rows, model=f"{kind}-predictor", method=method)
    volatility = models[kind].forecast(*row(rows)).volatility[0]
    assert found["forecast"]["volatility"] == volatility
    total = found["base_value"] + sum(each["contribution"] for each in found["attributions"])
    assert math.exp(total) == pytest.approx(volatility, rel=1e-6)
    assert len(found["attributions"]) == 21
    assert found["rest"] == 0


@pytest.mark.parametrize("kind", ["line", "lstm", "transformer"])
def test_integrated_gradients_add_up_to_a_thousandth(kind, explanations, models, rows):
    found = explain(explanations, rows, model=kind, method="integrated_gradients")
    total = found["base_value"] + sum(each["contribution"] for each in found["attributions"])
    volatility = models[kind].forecast(*row(rows)).volatility[0]
    assert math.exp(total) == pytest.approx(volatility, rel=1e-3)


def test_a_predictor_is_asked_for_by_any_of_its_names(explanations, folders, rows):
    by_name, by_folder, by_artifact = (
        explain(explanations, rows, model=name)
        for name in ("trees-predictor", "trees", folders["trees"].name)
    )
    expected = {"name": "trees-predictor", "artifact": folders["trees"].name}
    assert by_name["model"] == by_folder["model"] == by_artifact["model"] == expected
    assert explain(explanations, rows)["model"]["name"] == "line-predictor"


@pytest.mark.parametrize("kind", ["line", "lstm"])
def test_lime_is_the_same_for_the_same_seed_and_says_how_true_it_is(kind, explanations, rows):
    asked = {"model": kind, "method": "lime"}
    first, again, other = (explain(explanations, rows, seed=seed, **asked) for seed in (4, 4, 5))
    assert first["attributions"] == again["attributions"]
    assert first["attributions"] != other["attributions"]
    assert first["r_squared"] > 0.8
    assert first["seed"] == 4


def test_lime_finds_a_line_s_own_weights(explanations, models, rows, source):
    found = explain(explanations, rows, model="line", method="lime")
    line = models["line"].estimator.log_volatility.coefficients
    names = models["line"].metadata.feature_names
    expected = line * source.background.features.std(axis=0)
    for each in found["attributions"]:
        assert each["weight"] == pytest.approx(expected[names.index(each["feature"])], abs=0.02)
    assert found["r_squared"] > 0.99


def test_importances_know_what_a_line_uses_and_what_it_does_not(explanations, rows):
    found = explain(explanations, rows, model="line", method="importances", seed=1)
    by_name = {each["feature"]: each for each in found["importances"]}
    for channel in ("log_return", "log_variance", "relative_volume"):
        assert by_name[f"history.{channel}"]["importance"] == 0
    assert found["importances"][0]["feature"] == "log_variance_22d"
    for each in found["importances"]:
        low, high = each["interval"]
        assert low <= each["importance"] <= high
    again = explain(explanations, rows, model="line", method="importances", seed=1)
    assert again["importances"] == found["importances"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.97, 1.05])
def test_a_counterfactual_flips_the_deployed_artifact(kind, share, folders, explanations, rows):
    served = artifact.load(folders[kind])
    features, history = row(rows)
    before = served.forecast(features, history).volatility[0]
    border = before * share
    found = explain(
        explanations, rows, model=kind, method="counterfactual", target_volatility=border
    )
    (each,) = found["counterfactuals"]
    assert each["found"], each
    changed = history.copy()
    changed[0, -1] = each["history_last_day"]
    after = served.forecast(np.array([each["features"]]), changed).volatility[0]
    assert after == each["after"]["volatility"]
    assert (before - border) * (after - border) < 0


def test_a_counterfactual_changes_only_what_can_change(explanations, rows, source):
    found = explain(explanations, rows, method="counterfactual", target_volatility=0.15)
    features, _ = row(rows)
    rules = source.definitions.changes
    names = [feature.name for feature in source.features]
    for each in found["counterfactuals"]:
        assert each["found"], each
        changed = dict(zip(names, each["features"], strict=True))
        for name, before in zip(names, features[0].tolist(), strict=True):
            rule = rules[name]
            if rule.rule == "held":
                assert changed[name] == before
            if changed[name] != before:
                assert min(rule.least, before) - 1e-9 <= changed[name]
                assert changed[name] <= max(rule.most, before) + 1e-9
        told = {change["feature"]: change["to"] for change in each["changes"]}
        assert told == {
            name: changed[name]
            for name, before in zip(names, features[0].tolist(), strict=True)
            if changed[name] != before
        }
    assert found["may_change"]["volume_score_22d"]["rule"] == "held"
    assert all(rule["reason"] for rule in found["may_change"].values())


def test_a_farther_border_takes_a_greater_change(explanations, rows, models):
    before = models["line"].forecast(*row(rows)).volatility[0]
    distances = []
    for share in (1.01, 1.05, 1.1):
        found = explain(
            explanations, rows, method="counterfactual", target_volatility=before * share
        )
        (each,) = found["counterfactuals"]
        distances.append(each["distance"])
    assert distances == sorted(distances)
    assert distances[0] < distances[-1]


def test_the_smallest_change_of_a_line_is_near_the_smallest_there_is(
    explanations, rows, models, source
):
    """Against a fine grid of all days that are possible."""
    from runtimes.explainer import scenario  # noqa: PLC0415  # for this check alone

    features, history = row(rows)
    served = models["line"]
    border = served.forecast(features, history).volatility[0] * 1.04
    found = explain(explanations, rows, method="counterfactual", target_volatility=border)
    (each,) = found["counterfactuals"]
    day = scenario.Day.of(features, history, source)
    reach = each["distance"]
    line = np.linspace(-reach, reach, 41)
    steps = np.stack(np.meshgrid(line, line, line), axis=-1).reshape(-1, 3)
    choices = day.possible(day.actual + steps * day.scale)
    distance = np.linalg.norm((choices - day.actual) / day.scale, axis=1)
    changed, past = day.rows(choices)
    flips = served.forecast(changed, past).volatility > border
    flips &= day.observed(changed)
    nearest = distance[flips].min(initial=np.inf)
    assert reach <= 1.06 * nearest


def test_what_cannot_be_reached_is_said_with_the_reason(explanations, rows):
    found = explain(explanations, rows, method="counterfactual", target_volatility=5.0)
    (each,) = found["counterfactuals"]
    assert not each["found"]
    assert "within what training observed" in each["reason"]
    assert "features" not in each


def test_by_default_both_sides_are_tried(explanations, rows, models):
    found = explain(explanations, rows, method="counterfactual")
    volatility = models["line"].forecast(*row(rows)).volatility[0]
    assert [each["wish"] for each in found["counterfactuals"]] == [
        f"volatility above {1.2 * volatility:.6g}",
        f"volatility below {0.8 * volatility:.6g}",
    ]


def test_a_direction_flips_across_a_half(explanations, models, rows):
    wished = 0
    for at in range(0, 300, 60):
        found = explain(explanations, rows, at=at, method="counterfactual", target="direction")
        (each,) = found["counterfactuals"]
        before = models["line"].forecast(*row(rows, at)).direction[0]
        assert each["wish"] == f"direction {'below' if before > 0.5 else 'above'} 0.5"
        if each["found"]:
            wished += 1
            assert (each["after"]["direction"] - 0.5) * (before - 0.5) < 0
    assert wished > 0


def test_a_search_that_is_out_of_time_says_so(folders, rows):
    step = in_process.load(
        on_demand.Explanations, folders["explanations"], model="line-predictor", seconds=1e-9
    )
    found = explain(step, rows, method="counterfactual")
    for each in found["counterfactuals"]:
        assert each["out_of_time"] is True
        assert "ran out of time" in each["reason"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"method": "sharp"}, ["'sharp' is unknown", "did you mean 'shap'", "counterfactual"]),
        ({"model": "treees-predictor"}, ["did you mean 'trees-predictor'", "known are"]),
        ({"method": "integrated_gradients", "model": "trees"}, ["no gradient", "method shap"]),
        ({"target_volatility": 0.2}, ["counterfactual", "leave it out with shap"]),
        ({"method": "counterfactual", "target": "price"}, ["'price'", "volatility, direction"]),
        ({"method": "counterfactual", "target_volatility": 99}, ["between 0.005 and 20.0"]),
        (
            {"method": "counterfactual", "target": "direction", "target_volatility": 0.2},
            ["is a border of volatility"],
        ),
        ({"seed": 0.5}, ["'seed': expected a whole number"]),
        ({"seed": -1}, ["'seed'", "got -1"]),
        ({"metod": "shap"}, ["'metod' is unknown", "did you mean 'method'"]),
    ],
)
def test_what_cannot_be_answered_says_what_and_how_to_mend_it(more, words, explanations, rows):
    with pytest.raises(errors.InferenceError) as refusal:
        explain(explanations, rows, **more)
    for word in words:
        assert word in str(refusal.value)


def test_a_default_that_is_not_there_refuses_to_load(folders):
    with pytest.raises(errors.MLServerError, match="parameter model is 'baseline-predictor'"):
        in_process.load(on_demand.Explanations, folders["explanations"])


def test_the_bundle_of_the_path_is_refused_with_the_reason(folders):
    with pytest.raises(errors.MLServerError, match=r"evaluation.npz"):
        in_process.load(on_demand.Explanations, folders["explainer"], model="line-predictor")
