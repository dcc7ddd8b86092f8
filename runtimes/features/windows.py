"""What an online feature remembers of the days before: one small state for each way to look back.

A state takes one value after another and gives what its expression is worth then.
Missing is NaN; infinity counts as missing, as it does in pandas' windows.
Sums carry the rounding error of each addition along (Knuth, "The Art of Computer Programming",
volume 2, 4.2.2, theorem B), so that a value leaves no trace once it has left the window.
"""

import math
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from . import expressions

Numbers = list[float | None]
"""A state as JSON's types: numbers, and null where one is missing."""


class State(Protocol):
    """What is remembered of one value."""

    def push(self, value: float, /) -> float:
        """Take the value of the next day, and give what the expression is worth."""
        ...

    def saved(self) -> Numbers:
        """Give all that is remembered."""
        ...

    def restore(self, numbers: Sequence[float | None]) -> None:
        """Remember what `saved` gave."""
        ...


def packed(numbers: Sequence[float]) -> Numbers:
    """Put null in the place of what is missing: JSON knows no NaN."""
    return [None if number != number else number for number in numbers]  # noqa: PLR0124  # NaN


def unpacked(numbers: Sequence[float | None]) -> list[float]:
    """Put NaN in the place of null."""
    return [math.nan if number is None else float(number) for number in numbers]


class Total:
    """A sum that values join and leave without a trace."""

    __slots__ = ("_high", "_low")

    def __init__(self) -> None:
        self._high = 0.0
        self._low = 0.0

    def add(self, value: float) -> None:
        """Add a value; take it back by adding its negative."""
        before = self._high
        after = before + value
        rest = after - before
        self._low += (before - (after - rest)) + (value - rest)
        self._high = after

    @property
    def value(self) -> float:
        """The sum."""
        return self._high + self._low

    def saved(self) -> tuple[float, float]:
        """Give the sum, and the rounding error that it carries."""
        return self._high, self._low

    def restore(self, high: float, low: float) -> None:
        """Go on from what `saved` gave."""
        self._high, self._low = high, low


class Lag:
    """The value of some days ago."""

    __slots__ = ("_past",)

    def __init__(self, days: int) -> None:
        self._past = deque([math.nan] * days, maxlen=days)

    def push(self, value: float, /) -> float:
        """Take a value, give that of `days` before."""
        past = self._past
        earlier = past[0]
        past.append(value)
        return earlier

    def saved(self) -> Numbers:
        """Give the values in between."""
        return packed(self._past)

    def restore(self, numbers: Sequence[float | None]) -> None:
        """Go on from what `saved` gave."""
        self._past.extend(unpacked(numbers))


class _Window:
    """The last days, of which enough have to be known."""

    __slots__ = ("_days", "_fewest", "_known", "_past")

    def __init__(self, days: int, fewest: int) -> None:
        self._days = days
        self._fewest = fewest
        self._past: deque[float] = deque([math.nan] * days, maxlen=days)
        self._known = 0

    def saved(self) -> Numbers:
        """Give the values in the window."""
        return packed(self._past)

    def restore(self, numbers: Sequence[float | None]) -> None:
        """Go on from what `saved` gave."""
        past = unpacked(numbers)
        self._past = deque(past, maxlen=self._days)
        self._known = sum(value == value for value in past)  # noqa: PLR0124  # not NaN


class Sum(_Window):
    """The sum of the known values, or their mean."""

    __slots__ = ("_last", "_mean", "_same", "_total")

    def __init__(self, days: int, fewest: int, *, mean: bool) -> None:
        super().__init__(days, fewest)
        self._mean = mean
        self._total = Total()
        self._last = math.nan
        self._same = 0
        """How many known values up to the last one were equal to it."""

    def push(self, value: float, /) -> float:
        """Take a value, give the statistic."""
        past, total = self._past, self._total
        gone = past[0]
        if gone == gone:  # noqa: PLR0124  # not NaN
            total.add(-gone)
            self._known -= 1
        if -math.inf < value < math.inf:
            total.add(value)
            self._known += 1
            self._same = self._same + 1 if value == self._last else 1
            self._last = value
        else:
            value = math.nan
        past.append(value)
        known = self._known
        if known < self._fewest:
            return math.nan
        if self._same >= known:
            # Rounding shall not make a mean of equal values another value.
            return self._last if self._mean else self._last * known
        return total.value / known if self._mean else total.value

    def saved(self) -> Numbers:
        """Give the window, and its sum with the error that it carries."""
        high, low = self._total.saved()
        return packed([*self._past, self._last, float(self._same), high, low])

    def restore(self, numbers: Sequence[float | None]) -> None:
        """Go on from what `saved` gave."""
        super().restore(numbers[:-4])
        self._last, same, high, low = unpacked(numbers[-4:])
        self._same = int(same)
        self._total.restore(high, low)


class Deviation(_Window):
    """The standard deviation of the known values, that of a sample, by two passes."""

    __slots__ = ()

    def push(self, value: float, /) -> float:
        """Take a value, give the standard deviation."""
        if not -math.inf < value < math.inf:
            value = math.nan
        self._past.append(value)
        known = [each for each in self._past if each == each]  # noqa: PLR0124  # not NaN
        count = len(known)
        if count < self._fewest or count < 2:  # noqa: PLR2004  # one value has no spread
            return math.nan
        first = known[0]
        if known.count(first) == count:
            return 0.0
        mean = math.fsum(known) / count
        return math.sqrt(math.fsum([(each - mean) ** 2 for each in known]) / (count - 1))


class Extreme(_Window):
    """The largest known value, or the smallest."""

    __slots__ = ("_sign",)

    def __init__(self, days: int, fewest: int, *, largest: bool) -> None:
        super().__init__(days, fewest)
        self._sign = 1.0 if largest else -1.0
        # What is missing is never the largest.
        self._past = deque([-math.inf] * days, maxlen=days)

    def push(self, value: float, /) -> float:
        """Take a value, give the extreme."""
        past = self._past
        if past[0] != -math.inf:
            self._known -= 1
        if -math.inf < value < math.inf:
            self._known += 1
            past.append(self._sign * value)
        else:
            past.append(-math.inf)
        return self._sign * max(past) if self._known >= self._fewest else math.nan

    def saved(self) -> Numbers:
        """Give the values in the window."""
        return [None if value == -math.inf else value for value in self._past]

    def restore(self, numbers: Sequence[float | None]) -> None:
        """Go on from what `saved` gave."""
        self._past.extend(-math.inf if value is None else float(value) for value in numbers)
        self._known = sum(value is not None for value in numbers)


class Smoothed:
    """An exponentially weighted mean, from the first known value on."""

    __slots__ = ("_alpha", "_mean", "_weight")

    def __init__(self, mass: float) -> None:
        self._alpha = 1 / (1 + mass)
        self._mean = math.nan
        self._weight = 1.0
        """Of the mean against that of the next value, which decays while none comes."""

    def push(self, value: float, /) -> float:
        """Take a value, give the mean."""
        mean, alpha = self._mean, self._alpha
        known = -math.inf < value < math.inf
        if mean != mean:  # noqa: PLR0124  # NaN: nothing came yet
            if known:
                self._mean = value
            return self._mean
        weight = self._weight * (1 - alpha)
        if not known:
            self._weight = weight
            return mean
        self._weight = 1.0
        if value != mean:
            self._mean = (weight * mean + alpha * value) / (weight + alpha)
        return self._mean

    def saved(self) -> Numbers:
        """Give the mean and its weight."""
        return packed([self._mean, self._weight])

    def restore(self, numbers: Sequence[float | None]) -> None:
        """Go on from what `saved` gave."""
        self._mean, self._weight = unpacked(numbers)


class Pair:
    """Pearson's correlation of two symbols' values over their last common days."""

    __slots__ = ("_days", "_first", "_second", "_totals")

    def __init__(self, days: int) -> None:
        self._days = days
        self._first: deque[float] = deque()
        self._second: deque[float] = deque()
        self._totals = tuple(Total() for _ in range(5))

    def push(self, one: float, two: float) -> float:
        """Take both values of the next common day, give the correlation."""
        self._add(one, two, 1.0)
        self._first.append(one)
        self._second.append(two)
        days = self._days
        if len(self._first) > days:
            self._add(self._first.popleft(), self._second.popleft(), -1.0)
        elif len(self._first) < days:
            return math.nan
        x, y, xx, yy, xy = (total.value for total in self._totals)
        first = max(0.0, xx - x * x / days)
        second = max(0.0, yy - y * y / days)
        least = (days - 1) * expressions.STILL**2
        if first <= least or second <= least:
            return 0.0
        return min(1.0, max(-1.0, (xy - x * y / days) / math.sqrt(first * second)))

    def _add(self, one: float, two: float, sign: float) -> None:
        x, y, xx, yy, xy = self._totals
        x.add(sign * one)
        y.add(sign * two)
        xx.add(sign * one * one)
        yy.add(sign * two * two)
        xy.add(sign * one * two)

    def saved(self) -> Numbers:
        """Give both windows, and the sums with the errors that they carry."""
        sums = [part for total in self._totals for part in total.saved()]
        return packed([*sums, *self._first, *self._second])

    def restore(self, numbers: Sequence[float | None]) -> None:
        """Go on from what `saved` gave."""
        sums, values = unpacked(numbers[:10]), unpacked(numbers[10:])
        for place, total in enumerate(self._totals):
            total.restore(*sums[2 * place : 2 * place + 2])
        half = len(values) // 2
        self._first = deque(values[:half])
        self._second = deque(values[half:])
