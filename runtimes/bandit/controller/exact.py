"""Sums that do not depend on the order of their terms: exact until they are read, rounded once."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_MANTISSA = 53
_HALF = 26
_LOW = (1 << _HALF) - 1
_EXPONENTS = 4096


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

    def values(self) -> NDArray[np.float64]:
        """Round each sum, once: [size]."""
        found = np.zeros(self._size)
        for place in range(self._size):
            parts = {e: part for (at, e), part in self._parts.items() if at == place}
            if parts:
                least = min(min(parts), 0)
                total = sum(part << (e - least) for e, part in parts.items())
                found[place] = total / (1 << -least)
        return found
