"""The router and the forecast inside a real MLServer."""

import math
from typing import Any

import numpy as np
import pytest
from steps_process import Server, numbers, texts

BRANCHES = {
    "robust": "volatile",
    "aggressive": "rising",
    "conservative": "falling",
    "baseline": "calm",
}
ROUTER = "runtimes.router.runtime.Router"


def history(volatility: float, trend: float, days: int = 60) -> dict[str, Any]:
    """A history whose newest 20 days have this volatility, up to the trend's own, and this trend.

    Before them it is wild, and so are the other channels: neither is to be looked at.
    """
    drift = math.log1p(trend) / 20
    swing = math.sqrt(max(volatility**2 / 252 - drift**2, 0.0))
    newest = [drift + swing * (-1) ** day for day in range(20)]
    return numbers("history", [[[move, 7.0, -7.0] for move in [0.3] * (days - 20) + newest]])


@pytest.mark.parametrize(
    ("volatility", "trend", "branch"),
    [
        (0.31, 0.0, "robust"),
        (0.31, 0.1, "robust"),
        (0.29, 0.021, "aggressive"),
        (0.29, -0.021, "conservative"),
        (0.29, 0.019, "baseline"),
    ],
)
def test_a_market_takes_exactly_one_branch_with_its_reason(
    server: Server, volatility: float, trend: float, branch: str
) -> None:
    answer = server.outputs("regime-router_1", history(volatility, trend))
    assert set(answer) == {"regime", "market_volatility", "market_trend", branch}
    assert answer["regime"] == [BRANCHES[branch]]
    assert answer["market_volatility"] == pytest.approx([volatility], rel=1e-9)
    assert answer["market_trend"] == pytest.approx([trend], rel=1e-9, abs=1e-12)
    (reason,) = answer[branch]
    decisive = volatility if branch in {"robust", "baseline"} else trend
    assert f"{100 * decisive:.4g} %" in reason


def test_random_histories_take_exactly_one_branch(server: Server) -> None:
    random = np.random.default_rng(9)
    found = set()
    for _ in range(200):
        moves = 10 ** random.uniform(-4, -1) * random.standard_normal((1, 60, 3))
        answer = server.outputs("regime-router_1", numbers("history", moves.tolist()))
        taken = set(answer) & set(BRANCHES)
        assert len(taken) == 1
        assert answer["regime"] == [BRANCHES[next(iter(taken))]]
        found |= taken
    assert found == set(BRANCHES)


def test_a_predictors_whole_request_is_routed_as_it_is(server: Server) -> None:
    answer = server.outputs("regime-router_1", numbers("features", [[1.0, 2.0]]), history(0.5, 0.0))
    assert "robust" in answer


def test_hysteresis_keeps_a_symbol_in_its_regime_and_no_other(server: Server) -> None:
    def regime(volatility: float, *symbol: dict[str, Any]) -> str:
        answer = server.outputs("slow-router_1", history(volatility, 0.0), *symbol)
        found: str = answer["regime"][0]
        return found

    here, other = texts("symbol", "SPX"), texts("symbol", "WTI")
    assert [regime(volatility, here) for volatility in (0.25, 0.31, 0.25, 0.22, 0.25)] == [
        "calm", "volatile", "volatile", "calm", "calm",
    ]  # fmt: skip
    assert regime(0.31, here) == "volatile"
    assert regime(0.25, other) == "calm"
    assert regime(0.31) == "volatile"
    assert regime(0.25) == "calm", "without a symbol there is no past"


def test_what_is_not_finite_is_refused_with_its_place(server: Server) -> None:
    tensor = history(0.1, 0.0)
    tensor["data"][0][41][0] = None
    refusal = server.refusal("regime-router_1", tensor)
    assert "tensor 'history': expected finite numbers, got nan at [0, 41, 0]" in refusal
    tensor["data"][0][41][0] = 1e200
    assert "check their unit" in server.refusal("regime-router_1", tensor)


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ([], "tensor 'history' is missing"),
        ([numbers("history", [[[0.01]] * 19])], "at least 20 days (`window_days`)"),
        ([numbers("history", [[[0.01]] * 60] * 2)], "expected shape [1, -1, -1], got [2, 60, 1]"),
        ([numbers("histroy", [[[0.01]] * 60])], "did you mean 'history'?"),
        ([history(0.1, 0.0), texts("symbol", "A", "B")], "tensor 'symbol': expected shape [1]"),
    ],
)
def test_a_request_that_cannot_be_routed_says_why(
    server: Server, tensors: list[dict[str, Any]], words: str
) -> None:
    assert words in server.refusal("regime-router_1", *tensors)


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"volatility_threshold": "-0.3"}, "volatility_threshold: Value error, has to lie above 0"),
        ({"volatility_threshold": "30"}, "write 0.3 for 30 %"),
        ({"volatility_threshold": "nan"}, "has to lie above 0"),
        ({"trend_threshold": "0"}, "trend_threshold: Value error, has to lie above 0"),
        ({"trend_threshold": "2"}, "below 1, as a share of 1"),
        ({"window_days": "1"}, "at least 2 days"),
        ({"window_days": "61", "history_days": "60"}, "longer than the 60 days of the models'"),
        ({"hysteresis": "1"}, "below 1"),
        ({"hysteresis": "-0.1"}, "at least 0 (off)"),
        ({"kafka": "localhost"}, "host:port"),
        ({"treshold": "1"}, "known are volatility_threshold, trend_threshold"),
    ],
)
def test_settings_that_make_no_sense_are_refused_with_the_remedy(
    server: Server, extra: dict[str, str], words: str
) -> None:
    refused = server.load("wrong-router_1", ROUTER, **extra)
    assert refused.status_code == 422, refused.text
    assert words in refused.json()["error"]


def test_branches_are_counted(server: Server) -> None:
    labels = {"model": "regime-router", "branch": "conservative"}
    before = server.count("bellwether_router_choices_total", **labels)
    server.outputs("regime-router_1", history(0.2, -0.1))
    assert server.count("bellwether_router_choices_total", **labels) == before + 1


def test_a_reloaded_router_goes_on_and_has_forgotten_the_past(server: Server) -> None:
    symbol = texts("symbol", "SPX")
    assert server.load("again-router_1", ROUTER, hysteresis="0.25").status_code == 200
    assert "robust" in server.outputs("again-router_1", history(0.31, 0.0), symbol)
    assert "robust" in server.outputs("again-router_1", history(0.25, 0.0), symbol)
    assert server.load("again-router_1", ROUTER, hysteresis="0.25").status_code == 200
    assert "baseline" in server.outputs("again-router_1", history(0.25, 0.0), symbol)


def test_a_router_answers_while_its_kafka_is_away(server: Server) -> None:
    loaded = server.load("lonely-router_1", ROUTER, kafka="127.0.0.1:9")
    assert loaded.status_code == 200, loaded.text
    for _ in range(20):
        answer = server.infer("lonely-router_1", history(0.1, 0.0), texts("symbol", "SPX"))
        assert answer.status_code == 200
        assert answer.elapsed.total_seconds() < 1
    assert server.count("bellwether_records_published_total", client="bellwether") >= 20


FORECAST = (
    numbers("volatility", [0.17]),
    numbers("direction", [0.53]),
    numbers("interval", [[0.12, 0.26]]),
    texts("model", "robust-predictor", "3", "sha256-00"),
)


def test_a_forecast_is_given_on_unchanged(server: Server) -> None:
    response = server.infer("forecast_1", *FORECAST, id="a-request").json()
    assert response["id"] == "a-request"
    given = {each["name"]: (each["shape"], each["data"]) for each in response["outputs"]}
    assert given == {
        "volatility": ([1], [0.17]),
        "direction": ([1], [0.53]),
        "interval": ([1, 2], [0.12, 0.26]),
        "model": ([1, 3], ["robust-predictor", "3", "sha256-00"]),
    }


def test_half_a_forecast_is_refused(server: Server) -> None:
    assert "'model' is missing" in server.refusal("forecast_1", *FORECAST[:3])
