"""The routing demo against a gateway over a real socket, on real days."""

import io
import json

import numpy as np
import pytest
import rich.console
import small_gateway

from bellwether import demos
from bellwether.demos import gateway, live, periods, routing, routing_picture, walks
from models import features, regimes, sources

MONTH = [column.name for column in features.FEATURES].index("log_variance_22d")
FACTORS = {"robust": 1.0, "aggressive": 1.1, "conservative": 0.9, "baseline": 1.3}


def forecast(model, tensors):
    month = np.exp(tensors["features"][:, MONTH] / 2) * FACTORS[model]
    identity = [f"{model}-predictor", "1", f"sha256-{model}"] * len(month)
    return {
        "volatility": month,
        "direction": month * 0 + 0.5,
        "interval": np.column_stack([month * 0.7, month * 1.4]),
        "model": identity,
    }, [f":{model}-predictor_1:"]


def route(tensors):
    branch = {"volatile": "robust", "rising": "aggressive", "falling": "conservative"}.get(
        str(regimes.of(tensors["history"])[0]), "baseline"
    )
    outputs, _ = forecast(branch, tensors)
    lines = [
        ":regime-router_1:",
        f":{branch}-predictor_1:",
        ":contextual-financial-router.pipeline:",
    ]
    return outputs, lines


def models():
    return {
        f"{name}-predictor": lambda tensors, name=name: forecast(name, tensors) for name in FACTORS
    }


@pytest.fixture
def served():
    return small_gateway.Gateway({"contextual-financial-router.pipeline": route, **models()})


@pytest.fixture(scope="module")
def days():
    return periods.days(periods.Market.VOLATILE, "SPX", sources.Source())


def screen(seconds):
    console = rich.console.Console(file=io.StringIO(), width=200)
    return live.Screen("routing", seconds, console), console


def collected(served, days, seconds):
    shown, console = screen(seconds)
    with small_gateway.running(served) as url, gateway.Gateway(url) as asked:
        walk = routing.collect(asked, days, seconds, shown)
    return walk, console.file.getvalue()


def test_every_day_is_routed_once_and_every_model_asked_for_it(served, days):
    walk, printed = collected(served, days, 2)
    assert walk.done == len(days) == 146
    assert served.asked.count("contextual-financial-router.pipeline") == 146
    assert "/v2/pipelines/contextual-financial-router/infer" in served.paths
    assert np.array_equal(walk.regime, regimes.of(days.inputs.history))
    month = days.inputs.features[:, MONTH] / 2
    for model, factor in FACTORS.items():
        assert np.allclose(walk.singles[f"{model}-predictor"], month + np.log(factor))
    shares = [walk.share(model) for model in walk.singles]
    assert sum(shares) == pytest.approx(1)
    assert "rolling error: routed" in printed


def test_the_last_value_is_the_past_week(days):
    variance = np.exp(days.inputs.history[:, -5:, 1])
    # The channel is annualised day by day and floored, as the feature is after its mean.
    assert np.allclose(days.last_value, np.log(variance.mean(axis=1)) / 2, atol=1e-9)


def test_what_came_true_is_the_volatility_of_the_five_days_after(days):
    realised = np.exp(days.inputs.history[5:, -5:, 1]).mean(axis=1)
    assert np.allclose(days.log_volatility[:-5], np.log(realised) / 2, atol=1e-9)


def test_a_route_that_names_another_model_than_the_answer_stops_the_demo(served, days):
    def wrong(tensors):
        return forecast("robust", tensors)[0], [":aggressive-predictor_1:"]

    served.targets["contextual-financial-router.pipeline"] = wrong
    with pytest.raises(demos.DemoError, match=r"robust-predictor.*aggressive-predictor"):
        collected(served, days, 2)


def test_a_pipeline_that_is_not_there_is_named_with_what_to_do(served, days):
    del served.targets["contextual-financial-router.pipeline"]
    with pytest.raises(demos.DemoError, match=r"router.pipeline answers 404.*make up"):
        collected(served, days, 2)


def test_a_walk_that_was_cut_short_says_so_and_keeps_what_it_has(served, days):
    whole, _ = collected(served, days, 2)
    walk = whole.only(100)
    assert len(walk.days) == walk.done == 100
    result = walks.summed_up(walk, len(days), seed=1, took=2.0)
    assert any("Only 100 of 146 days" in sentence for sentence in routing.sentences(result))
    assert json.loads(json.dumps(result.document(), allow_nan=False))["of_days"] == 146


def test_the_result_names_direct_days_claim_and_picture(served, days, tmp_path):
    walk, _ = collected(served, days, 2)
    result = walks.summed_up(walk, len(days), seed=1, took=2.0)
    assert result.direct == 146
    assert result.volatile is not None
    assert result.volatile.days == int((regimes.of(days.inputs.history) == "volatile").sum())
    # On nearly every day the routed model is the robust one: nothing near 15 % can be gained.
    assert walks.verdict(result.volatile) == "does not hold"
    assert result.seen is None, "no card on this machine has these digests"
    path = tmp_path / "routing.png"
    routing_picture.draw(result, path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_symbol_without_days_in_the_period_names_the_days_that_it_has():
    with pytest.raises(demos.DemoError, match=r"VIX has no day.*2014-04-09 to 2019-01-03"):
        periods.days(periods.Market.VOLATILE, "VIX", sources.Source())
