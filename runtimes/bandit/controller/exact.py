"""Sums that do not depend on the order of their terms: exact until they are read, rounded once."""

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MANTISSA = 53
_HALF = 26
_LOW = (1 << _HALF) - 1
_EXPONENTS = 4096
_SPLITTER = 2.0**27 + 1


class ExactSums:
    """`size` sums of doubles, each a sum of integers by binary exponent."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._parts: dict[tuple[int, int], int] = {}

    def add(self, places: NDArray[np.integer[Any]], values: NDArray[np.float64]) -> None:
        """Add `values` [n], finite, to the sums `places` [n]."""
        if not len(values):
            return
        mantissa, exponent = np.frexp(values)
        whole = np.ldexp(mantissa, _MANTISSA).astype(np.int64)
        group = places.astype(np.int64) * _EXPONENTS + (exponent + _EXPONENTS // 2)
        order = np.argsort(group, kind="stable")
        groups, starts = np.unique(group[order], return_index=True)
        whole = whole[order]
        # Halves, so that the sums of 2^36 terms still fit into 64 bits.
        high = np.add.reduceat(whole >> _HALF, starts)
        low = np.add.reduceat(whole & _LOW, starts)
        for key, above, below in zip(groups.tolist(), high.tolist(), low.tolist(), strict=True):
            place, shifted = divmod(key, _EXPONENTS)
            at = (place, shifted - _EXPONENTS // 2 - _MANTISSA)
            self._parts[at] = self._parts.get(at, 0) + (above << _HALF) + below

    def fractions(self) -> list[Fraction]:
        """Give each sum as it is: [size]."""
        found = [Fraction(0)] * self._size
        for (place, exponent), part in self._parts.items():
            found[place] += Fraction(part) * Fraction(2) ** exponent
        return found

    def values(self) -> NDArray[np.float64]:
        """Round each sum, once: [size]."""
        return np.array([float(each) for each in self.fractions()])


def squares(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give two terms whose sum is the square, exactly (Dekker 1971): [n] and [n]."""
    rounded = values * values
    scaled = values * _SPLITTER
    high = scaled - (scaled - values)
    low = values - high
    return rounded, ((high * high - rounded) + 2 * high * low) + low * low
