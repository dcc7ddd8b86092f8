"""The rule alone: against prices, at its thresholds, and with hysteresis."""

import itertools
import math
import pathlib

import numpy as np
import pytest

from models import cache, data, dataset, sources
from runtimes import contract
from runtimes.contract import regimes
from runtimes.router import policy, rule

OFF = rule.RegimeRule(
    volatility_threshold=0.3, trend_threshold=0.02, window_days=20, hysteresis=0.0
)
SLOW = rule.RegimeRule(
    volatility_threshold=0.3, trend_threshold=0.02, window_days=20, hysteresis=0.25
)


def context(volatility: float, trend: float, previous: str | None = None) -> policy.Context:
    return policy.Context(
        symbol="SPX",
        volatility=volatility,
        trend=trend,
        previous=previous,
        history=np.zeros((1, 20, 1)),
    )


def of_history(history: np.ndarray, by: rule.RegimeRule) -> policy.Choice:
    """What the router makes of a history [T, C]."""
    batch = history[None]
    measures = (regimes.volatility(batch, by.window_days), regimes.trend(batch, by.window_days))
    return by.choose(context(*(float(measure[0]) for measure in measures)))


def by_prices(closes: list[float]) -> str:
    """The branch for the newest of 21 closes, from its definition and nothing else."""
    moves = [math.log(after / before) for before, after in itertools.pairwise(closes)]
    assert len(moves) == 20
    if math.sqrt(sum(move * move for move in moves) / 20 * 252) > 0.3:
        return "robust"
    gain = closes[-1] / closes[0] - 1
    if gain > 0.02:
        return "aggressive"
    return "conservative" if gain < -0.02 else "baseline"


def test_every_day_of_1999_to_2018_takes_the_branch_that_its_prices_say(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))
    source = sources.Source()
    days, closes = dataset.load(source), data.load(source)
    seen: dict[str, int] = dict.fromkeys(contract.BRANCHES, 0)
    for symbol in days.symbols:
        prices = closes[symbol]["close"]
        values = prices.to_list()
        rows = days.of(symbol)
        years = days.date[rows].astype("datetime64[Y]").astype(int) + 1970
        rows = rows[(years >= 1999) & (years <= 2018)]
        assert len(rows) > 1000, symbol
        places = prices.index.get_indexer(days.date[rows])
        assert (places >= 20).all()
        for row, place, history in zip(rows, places, days.history(rows), strict=True):
            expected = by_prices(values[place - 20 : place + 1])
            assert of_history(history, OFF).branch == expected, (symbol, days.date[row])
            seen[expected] += 1
    assert min(seen.values()) > 500, seen


def test_any_history_gives_one_known_branch_and_the_regime_that_it_is_for() -> None:
    random = np.random.default_rng(3)
    found = set()
    for _ in range(2000):
        spread = 10 ** random.uniform(-4, -1)
        history = spread * random.standard_normal((int(random.integers(20, 80)), 3))
        choice = of_history(history, OFF)
        assert choice.branch in contract.BRANCHES
        assert policy.BRANCH[choice.regime] == choice.branch
        assert choice.regime == regimes.of(history[None])[0]
        assert choice.propensity == 1.0
        found.add(choice.branch)
    assert found == set(contract.BRANCHES)


@pytest.mark.parametrize(
    ("volatility", "trend", "branch"),
    [
        (0.3, 0.0, "baseline"),
        (np.nextafter(0.3, 1), 0.0, "robust"),
        (np.nextafter(0.3, 1), 0.5, "robust"),
        (0.3, 0.02, "baseline"),
        (0.3, np.nextafter(0.02, 1), "aggressive"),
        (0.0, -0.02, "baseline"),
        (0.0, np.nextafter(-0.02, -1), "conservative"),
    ],
)
def test_a_threshold_itself_is_not_beyond_it(volatility: float, trend: float, branch: str) -> None:
    assert OFF.choose(context(volatility, trend)).branch == branch


def test_without_hysteresis_the_past_changes_nothing() -> None:
    for volatility, trend in [(0.29, 0.0), (0.1, 0.019), (0.1, -0.019), (0.31, 0.1)]:
        alone = OFF.choose(context(volatility, trend))
        for previous in regimes.NAMES:
            assert OFF.choose(context(volatility, trend, previous)) == alone


@pytest.mark.parametrize(
    ("previous", "volatility", "trend", "regime"),
    [
        # a quarter below 0.3 is 0.225, a quarter below 0.02 is 0.015
        ("volatile", 0.226, 0.0, "volatile"),
        ("volatile", 0.2249, 0.0, "calm"),
        ("volatile", 0.224, 0.03, "rising"),
        ("rising", 0.1, 0.0151, "rising"),
        ("rising", 0.1, 0.015, "calm"),
        ("rising", 0.1, -0.0201, "falling"),
        ("rising", 0.301, 0.05, "volatile"),
        ("rising", 0.226, 0.05, "rising"),
        ("falling", 0.1, -0.0151, "falling"),
        ("falling", 0.1, -0.015, "calm"),
        ("falling", 0.1, 0.0151, "calm"),
        ("calm", 0.226, 0.0151, "calm"),
        (None, 0.226, 0.0151, "calm"),
    ],
)
def test_a_regime_is_left_only_once_the_measure_is_back_beyond_the_band(
    previous: str | None, volatility: float, trend: float, regime: str
) -> None:
    assert SLOW.choose(context(volatility, trend, previous)).regime == regime


def test_hysteresis_changes_the_branch_less_often_on_a_walk_around_a_threshold() -> None:
    random = np.random.default_rng(5)
    walk = 0.3 + 0.02 * np.sin(np.arange(400) / 40) + 0.01 * random.standard_normal(400)

    def changes(by: rule.RegimeRule) -> int:
        previous, count = None, 0
        for volatility in walk:
            regime = by.choose(context(float(volatility), 0.0, previous)).regime
            count += previous is not None and regime != previous
            previous = regime
        return count

    assert changes(OFF) > 40
    assert changes(SLOW) <= 1


def test_a_reason_has_the_measure_and_the_threshold_in_words() -> None:
    assert OFF.choose(context(0.4217, 0.0)).reason == (
        "volatility 42.17 % a year over 20 days is above 30 %"
    )
    assert OFF.choose(context(0.1, -0.05)).reason == "trend -5 % over 20 days is below -2 %"
    kept = SLOW.choose(context(0.1, 0.016, "rising"))
    assert kept.reason == (
        "trend 1.6 % over 20 days is above 1.5 %, which a symbol in this regime has to move back "
        "beyond (2 %, hysteresis 0.25)"
    )
    calm = OFF.choose(context(0.1, 0.001)).reason
    assert calm == (
        "volatility 10 % a year is at most 30 %, and trend 0.1 % over 20 days within ±2 %"
    )
