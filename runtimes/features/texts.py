"""What the texts about a symbol come to: their mean score and their number, as of the newest one.

The order in which they arrive makes no difference, beyond rounding.
"""

import bisect
import datetime as dt
import math
import typing
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from . import definitions, expressions, windows

KINDS: tuple[expressions.Kind, ...] = typing.get_args(expressions.Kind)


class Mean:
    """A mean of scores whose weights halve with every half-life."""

    __slots__ = ("_half_life", "_newest", "_total", "_weight")

    def __init__(self, half_life: dt.timedelta) -> None:
        self._half_life = half_life.total_seconds()
        self._newest = 0.0
        self._total = 0.0
        self._weight = 0.0

    def add(self, time: float, score: float) -> None:
        """Take a score of `time`, in seconds."""
        ahead = (time - self._newest) / self._half_life
        if ahead >= 0:
            decay = 2.0**-ahead if self._weight else 0.0
            self._total = self._total * decay + score
            self._weight = self._weight * decay + 1.0
            self._newest = time
        else:
            # Negligible below 2^-1000, where a power would underflow.
            weight = 2.0 ** max(ahead, -1000.0)
            self._total += weight * score
            self._weight += weight

    def value(self, newest: float) -> float:
        """Give the mean; missing if nothing has come."""
        del newest
        # All weights decay alike, so that it does not change while nothing comes.
        return self._total / self._weight if self._weight else math.nan

    def saved(self) -> windows.Numbers:
        """Give all that is remembered."""
        return [self._newest, self._total, self._weight]

    def restore(self, numbers: Sequence[float | None]) -> None:
        """Go on from what `saved` gave."""
        self._newest, self._total, self._weight = windows.unpacked(numbers)


class Count:
    """How many texts came within a time up to the newest."""

    __slots__ = ("_times", "_within")

    def __init__(self, within: dt.timedelta) -> None:
        self._within = within.total_seconds()
        self._times: list[float] = []

    def add(self, time: float, score: float) -> None:
        """Take a text of `time`, in seconds."""
        del score
        bisect.insort(self._times, time)
        gone = bisect.bisect_right(self._times, self._times[-1] - self._within)
        del self._times[:gone]

    def value(self, newest: float) -> float:
        """Give the number of texts in the time before `newest`, which excludes its beginning."""
        return float(len(self._times) - bisect.bisect_right(self._times, newest - self._within))

    def saved(self) -> windows.Numbers:
        """Give all that is remembered."""
        return list(self._times)

    def restore(self, numbers: Sequence[float | None]) -> None:
        """Go on from what `saved` gave."""
        self._times = windows.unpacked(numbers)


class Texts:
    """The texts about all symbols."""

    def __init__(self, declared: definitions.Definitions) -> None:
        self._wanted = tuple(
            dict.fromkeys(
                feature.expression
                for view in declared.views
                for feature in view.features
                if isinstance(feature.expression, expressions.TextMean | expressions.TextCount)
            )
        )
        self._states: dict[str, dict[expressions.Expression, Mean | Count]] = {}
        self._newest: dict[str, float] = {}

    def newest(self, symbol: str) -> dt.datetime | None:
        """Give the time of the newest text, in UTC."""
        if symbol not in self._newest:
            return None
        return dt.datetime.fromtimestamp(self._newest[symbol], dt.UTC)

    def add(self, symbol: str, kind: str, time: float, score: float) -> None:
        """Take a text's score."""
        if symbol not in self._states:
            self._states[symbol] = self._new()
        for expression, state in self._states[symbol].items():
            if expression.kind == kind:  # type: ignore[attr-defined]  # those of texts have one
                state.add(time, score)
        self._newest[symbol] = max(time, self._newest.get(symbol, time))

    def row(
        self, symbol: str, view: definitions.View
    ) -> dict[str, float | npt.NDArray[np.float64]]:
        """Give the features of a view that is made of texts."""
        states = self._states.get(symbol) or self._new()
        newest = self._newest.get(symbol, 0.0)
        return {feature.name: states[feature.expression].value(newest) for feature in view.features}

    def saved(self) -> dict[str, Any]:
        """Give all that is remembered, by symbol."""
        return {
            symbol: [self._newest[symbol], [state.saved() for state in states.values()]]
            for symbol, states in self._states.items()
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Go on from what `saved` gave."""
        for symbol, (newest, states) in saved.items():
            self._newest[symbol] = float(newest)
            self._states[symbol] = self._new()
            for state, numbers in zip(self._states[symbol].values(), states, strict=True):
                state.restore(numbers)

    def _new(self) -> dict[expressions.Expression, Mean | Count]:
        return {expression: _state(expression) for expression in self._wanted}


def _state(expression: expressions.TextMean | expressions.TextCount) -> Mean | Count:
    match expression:
        case expressions.TextMean():
            return Mean(expression.half_life)
        case expressions.TextCount():
            return Count(expression.within)
