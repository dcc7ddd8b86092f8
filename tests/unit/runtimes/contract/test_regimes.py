import math

import numpy as np
import pytest

from runtimes.contract import regimes


def history(returns: list[float]) -> np.ndarray:
    """One history whose other channels would give another regime."""
    channel = np.array(returns)
    return np.column_stack([channel, channel + 1, channel - 1])[None]


def test_volatility_is_the_annualised_root_mean_square_of_the_window() -> None:
    past = history([9.0] * 40 + [0.01, -0.03] * 10)
    expected = math.sqrt(252 * (0.01**2 + 0.03**2) / 2)
    assert regimes.volatility(past)[0] == pytest.approx(expected, rel=1e-12)
    assert regimes.volatility(past, days=1)[0] == pytest.approx(math.sqrt(252) * 0.03, rel=1e-12)


def test_the_trend_is_the_simple_return_over_the_window() -> None:
    past = history([9.0] * 40 + [math.log(1.01)] * 20)
    assert regimes.trend(past)[0] == pytest.approx(1.01**20 - 1, rel=1e-12)
    assert regimes.trend(past, days=2)[0] == pytest.approx(1.01**2 - 1, rel=1e-12)


def test_the_thresholds_themselves_are_calm() -> None:
    past = history([0.001] * 60)
    level = regimes.volatility(past)[0]
    for direction, regime in ((1, regimes.RISING), (-1, regimes.FALLING)):
        moved = abs(regimes.trend(direction * past)[0])
        at = regimes.of(direction * past, trend_threshold=moved)
        below = regimes.of(direction * past, trend_threshold=np.nextafter(moved, 0))
        assert (at.tolist(), below.tolist()) == ([regimes.CALM], [regime])
    volatile = regimes.of(past, volatility_threshold=np.nextafter(level, 0), trend_threshold=1.0)
    assert volatile.tolist() == [regimes.VOLATILE]


def test_a_history_that_is_too_short_is_refused() -> None:
    with pytest.raises(ValueError, match="20 days cannot be read from a history of 19 days"):
        regimes.of(history([0.0] * 19))
