"""The market's regimes as models are trained and judged by them: those that a router sees."""

import numpy as np
import numpy.typing as npt

from runtimes.contract import regimes

from . import declaration

VOLATILE: declaration.Regime = regimes.VOLATILE
RISING: declaration.Regime = regimes.RISING
FALLING: declaration.Regime = regimes.FALLING
CALM: declaration.Regime = regimes.CALM

NAMES: tuple[declaration.Regime, ...] = regimes.NAMES
"""In the order in which they are checked."""


def of(history: npt.NDArray[np.float64]) -> npt.NDArray[np.str_]:
    """Give the regime's name [n] for `history` [n, T, C] with T >= 20."""
    return regimes.of(history)
