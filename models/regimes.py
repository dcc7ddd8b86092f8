"""The one definition of a market's regime, fixed before any model was fitted.

Read from a model's history alone, so that a router, a trainer and an evaluation see the same:
volatile, if the last 20 days' volatility exceeds 30 % a year;
else rising or falling, if the 20-day return is above 2 % or below -2 %; else calm.
"""

import numpy as np
import numpy.typing as npt

from runtimes import contract

from . import declaration

VOLATILE: declaration.Regime = "volatile"
RISING: declaration.Regime = "rising"
FALLING: declaration.Regime = "falling"
CALM: declaration.Regime = "calm"

NAMES = (VOLATILE, RISING, FALLING, CALM)
"""In the order in which they are checked."""

DAYS = 20
VOLATILITY_THRESHOLD = 0.30
TREND_THRESHOLD = 0.02


def volatility(history: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Give the annualised root mean square [n] of the last 20 log returns, channel 0."""
    returns = history[:, -DAYS:, 0]
    result: npt.NDArray[np.float64] = np.sqrt(contract.TRADING_DAYS * np.mean(returns**2, axis=1))
    return result


def trend(history: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Give the simple return [n] over the last 20 days."""
    result: npt.NDArray[np.float64] = np.expm1(history[:, -DAYS:, 0].sum(axis=1))
    return result


def of(history: npt.NDArray[np.float64]) -> npt.NDArray[np.str_]:
    """Give the regime's name [n] for `history` [n, T, C] with T >= 20."""
    moved = trend(history)
    return np.select(
        [
            volatility(history) > VOLATILITY_THRESHOLD,
            moved > TREND_THRESHOLD,
            moved < -TREND_THRESHOLD,
        ],
        [VOLATILE, RISING, FALLING],
        default=CALM,
    )
