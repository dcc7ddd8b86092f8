"""A number over time, of several symbols; kept small however often it is told."""

import collections
import threading

import numpy as np
import numpy.typing as npt

APART_SECONDS = 0.1
"""Points closer together than this are one, unless the number changed."""


class Timeline:
    """What was seen when; may be told from several threads."""

    def __init__(self) -> None:
        self._points: dict[str, list[tuple[float, float]]] = collections.defaultdict(list)
        self._lock = threading.Lock()

    def add(self, symbol: str, at: float, value: float) -> None:
        """Note a value at a moment, in seconds since 1970."""
        with self._lock:
            points = self._points[symbol]
            if not points or at - points[-1][0] >= APART_SECONDS or value != points[-1][1]:
                points.append((at, value))

    def of(self, symbol: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Give moments and values of a symbol."""
        with self._lock:
            points = np.array(self._points[symbol], dtype=np.float64).reshape(-1, 2)
        return points[:, 0], points[:, 1]

    def lowest(self, begin: float, end: float) -> float:
        """Give the lowest value of any symbol between two moments; NaN of nothing."""
        with self._lock:
            found = [
                value
                for points in self._points.values()
                for at, value in points
                if begin <= at <= end
            ]
        return min(found, default=float("nan"))
