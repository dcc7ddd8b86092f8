"""The one definition of a market's regime, fixed before any model was fitted.

Read from a model's history alone, so that a router, a trainer and an evaluation see the same:
volatile, if the last 20 days' volatility exceeds 30 % a year;
else rising or falling, if the 20-day return is above 2 % or below -2 %; else calm.

Days of the window and thresholds are arguments, for a router that is set otherwise.
"""

from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from runtimes import contract

Regime = Literal["volatile", "rising", "falling", "calm"]

VOLATILE: Final = "volatile"
RISING: Final = "rising"
FALLING: Final = "falling"
CALM: Final = "calm"

NAMES: tuple[Regime, ...] = (VOLATILE, RISING, FALLING, CALM)
"""In the order in which they are checked."""

DAYS = 20
VOLATILITY_THRESHOLD = 0.30
TREND_THRESHOLD = 0.02

Array = npt.NDArray[np.float64]


def volatility(history: Array, days: int = DAYS) -> Array:
    """Give the annualised root mean square [n] of the last log returns, channel 0."""
    returns = _returns(history, days)
    result: Array = np.sqrt(contract.TRADING_DAYS * np.mean(returns**2, axis=1))
    return result


def trend(history: Array, days: int = DAYS) -> Array:
    """Give the simple return [n] over the last days."""
    result: Array = np.expm1(_returns(history, days).sum(axis=1))
    return result


def of(
    history: Array,
    *,
    days: int = DAYS,
    volatility_threshold: float = VOLATILITY_THRESHOLD,
    trend_threshold: float = TREND_THRESHOLD,
) -> npt.NDArray[np.str_]:
    """Give the regime's name [n] for `history` [n, T, C] with T >= `days`."""
    moved = trend(history, days)
    return np.select(
        [
            volatility(history, days) > volatility_threshold,
            moved > trend_threshold,
            moved < -trend_threshold,
        ],
        [VOLATILE, RISING, FALLING],
        default=CALM,
    )


def _returns(history: Array, days: int) -> Array:
    if not 0 < days <= history.shape[1]:
        raise ValueError(
            f"a regime of {days} days cannot be read from a history of {history.shape[1]} days"
        )
    return history[:, -days:, 0]
