"""Gains and their intervals, where the answer is known."""

import numpy as np
import pytest

from bellwether.demos import comparison, walks

DAYS = 600


@pytest.fixture
def actual():
    return np.random.default_rng(1).normal(size=DAYS)


def forecasts(actual, routed, model, last):
    noise = np.random.default_rng(2).normal(size=(3, len(actual)))
    return {
        name: actual + size * each
        for name, size, each in zip(
            ("routed", "one", "last value"), (routed, model, last), noise, strict=True
        )
    }


def regime(split=DAYS):
    return np.where(np.arange(DAYS) < split, "volatile", "calm")


def test_a_gain_is_found_with_an_interval_around_it(actual):
    (whole,) = comparison.compare(actual, forecasts(actual, 0.8, 1.0, 2.0), regime(), seed=1)
    assert whole.days == DAYS
    assert whole.over_best_single.low < 0.2 < whole.over_best_single.high
    assert whole.over_last_value.low < 0.6 < whole.over_last_value.high
    assert whole.over_best_single.low > 0


def test_a_loss_is_printed_as_one(actual):
    (whole,) = comparison.compare(actual, forecasts(actual, 1.2, 1.0, 2.0), regime(), seed=1)
    assert whole.over_best_single.value < 0
    assert walks.verdict(whole) == "does not hold"


def test_each_regime_is_compared_on_its_own_days(actual):
    routed = {**forecasts(actual, 1.0, 1.0, 1.0)}
    routed["routed"] = np.where(regime(300) == "volatile", actual, routed["one"])
    whole, volatile, calm = comparison.compare(actual, routed, regime(300), seed=1)
    assert (whole.days, volatile.days, calm.days) == (600, 300, 300)
    assert volatile.over_best_single.value == pytest.approx(1)
    assert calm.over_best_single.value == pytest.approx(0)
    assert walks.verdict(volatile) == "holds"


def test_days_that_have_not_come_true_are_left_out(actual):
    made = forecasts(actual, 1.0, 1.0, 1.0)
    actual[-5:] = np.nan
    (whole,) = comparison.compare(actual, made, regime(), seed=1)
    assert whole.days == DAYS - 5
    assert np.isfinite(whole.over_best_single.high)


def test_few_days_give_a_value_without_an_interval(actual):
    made = {name: each[:50] for name, each in forecasts(actual, 1.0, 1.0, 1.0).items()}
    (whole,) = comparison.compare(actual[:50], made, regime()[:50], seed=1)
    assert np.isfinite(whole.over_best_single.value)
    assert np.isnan(whole.over_best_single.low)
    assert walks.verdict(whole).startswith("not tested")
    assert whole.document()["gain_over_best_single"]["low"] is None
