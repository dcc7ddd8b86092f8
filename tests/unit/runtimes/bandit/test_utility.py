import itertools
import math

import numpy as np
import pytest

from runtimes.bandit import utility

CLOSES = [100.0, 101.0, 99.0, 99.0, 102.0, 100.0]


def by_hand(volatility: float, closes: list[float]) -> float:
    pairs = itertools.pairwise(closes)
    realised = 252 / 5 * sum(math.log(after / before) ** 2 for before, after in pairs)
    ratio = realised / volatility**2
    return 0.08 * math.sqrt(ratio) - 0.04 * ratio


@pytest.mark.parametrize("volatility", [0.05, 0.2, 0.9])
def test_the_utility_is_the_papers(volatility: float) -> None:
    expected = by_hand(volatility, CLOSES)
    assert float(utility.realised_utility(volatility, CLOSES)) == pytest.approx(expected, rel=1e-12)


def test_a_perfect_forecast_earns_four_per_cent_and_any_other_less() -> None:
    perfect = math.sqrt(utility.realised_variance(CLOSES))
    assert float(utility.realised_utility(perfect, CLOSES)) == pytest.approx(0.04, rel=1e-12)
    for factor in (0.5, 0.9, 1.1, 2.0):
        assert float(utility.realised_utility(factor * perfect, CLOSES)) < 0.04


def test_a_market_that_stood_still_earned_nothing() -> None:
    assert float(utility.realised_utility(0.2, [50.0] * 6)) == 0.0


def test_rows_are_independent() -> None:
    volatility = np.array([0.1, 0.3])
    closes = np.array([CLOSES, CLOSES[::-1]])
    expected = [by_hand(0.1, CLOSES), by_hand(0.3, CLOSES[::-1])]
    assert utility.realised_utility(volatility, closes) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("volatility", "closes", "told"),
    [
        (0.0, CLOSES, "volatility: expected finite numbers above 0, got 0.0"),
        (-0.1, CLOSES, "volatility"),
        (math.nan, CLOSES, "volatility"),
        (math.inf, CLOSES, "volatility"),
        (1e-200, CLOSES, "too small"),
        ("high", CLOSES, "volatility: expected numbers"),
        (0.2, CLOSES[:5], "expected 6 prices in the last dimension"),
        (0.2, [*CLOSES, 100.0], "expected 6 prices"),
        (0.2, 100.0, "expected 6 prices"),
        (0.2, [*CLOSES[:5], 0.0], r"closes: .* got 0.0 at \[5\]"),
        (0.2, [*CLOSES[:5], -3.0], "closes"),
        (0.2, [*CLOSES[:5], math.nan], "closes"),
        (0.2, [*CLOSES[:5], None], "closes"),
        ([0.2, 0.3], CLOSES, "one row of closes for every forecast"),
    ],
)
def test_what_no_utility_can_be_computed_from_is_refused(volatility, closes, told) -> None:
    with pytest.raises(utility.UnusableInput, match=told):
        utility.realised_utility(volatility, closes)
