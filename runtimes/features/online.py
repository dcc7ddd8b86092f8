"""Computes features as bars and texts arrive: the same numbers as `batch`, a day at a time.

An engine takes the bars of all symbols, in any order of symbols, each symbol's days ascending.
When all bars of a day have come, every row is what training computes for that day.
"""

import bisect
import datetime as dt
import enum
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from . import definitions, expressions, steps, texts, windows

Row = dict[str, float | npt.NDArray[np.float64]]

KEPT = 300
"""Days of a symbol that others may still look at, and that are known when they come again.

A symbol further behind the others than this is computed without those of their days that are gone.
"""

LONGEST_GAP = dt.timedelta(days=14)
"""A symbol's bars may lie so far apart: exchanges have closed for up to 11 days."""

ROUNDING = 1e-6
"""Relative slack for open and close against high and low: adjusted prices are rounded."""

SCHEMA = 1
"""Of snapshots."""


class Reason(enum.StrEnum):
    """Why a bar or a text was refused."""

    UNKNOWN_SYMBOL = "unknown_symbol"
    NOT_A_NUMBER = "not_a_number"
    NOT_FINITE = "not_finite"
    PRICE = "price"
    RANGE = "range"
    VOLUME = "volume"
    DATE = "date"
    OUT_OF_ORDER = "out_of_order"
    CORRECTION = "correction"
    GAP = "gap"
    KIND = "kind"
    SCORE = "score"


class Refused(ValueError):  # noqa: N818  (what happened to it, as the record of it reads)
    """A bar or a text that cannot be used: what, where, and how to mend it; nothing has changed."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class BarRefused(Refused):
    """A bar that cannot be used."""


class TextRefused(Refused):
    """A text that cannot be used."""


class SnapshotError(ValueError):
    """A snapshot that was not made by an engine of the same definitions."""


class _Known:
    """A symbol's known values of one expression, by their days, for others to look at."""

    __slots__ = ("days", "values")

    def __init__(self) -> None:
        self.days: list[int] = []
        self.values: list[float] = []

    def add(self, day: int, value: float) -> None:
        self.days.append(day)
        self.values.append(value)
        if len(self.days) > 2 * KEPT:
            del self.days[:-KEPT], self.values[:-KEPT]

    def at(self, day: int) -> float | None:
        place = bisect.bisect_left(self.days, day)
        found = place < len(self.days) and self.days[place] == day
        return self.values[place] if found else None

    def last(self, day: int, longest: int) -> float | None:
        """Give the value of the last day on or before `day`, if it is no older than `longest`."""
        days = self.days
        if not days:
            return None
        place = len(days) if days[-1] <= day else bisect.bisect_right(days, day)
        if place == 0 or day - days[place - 1] > longest:
            return None
        return self.values[place - 1]


class _Symbol:
    """What is known of one symbol."""

    def __init__(self, plan: steps.Plan) -> None:
        self.values, self.steps, self.states, self.stacks = plan.begin()
        self.newest = 0
        """The newest bar's day, as a proleptic ordinal."""
        self.bars: dict[int, tuple[float, ...]] = {}
        """The last bars as they came."""
        self.known = tuple(_Known() for _ in plan.shared)
        self.across_as_of = -1
        """At which of the engine's turns the values that look at other symbols were computed."""

    def remember(self, day: int, bar: tuple[float, ...]) -> None:
        self.bars[day] = bar
        if len(self.bars) > KEPT:
            del self.bars[next(iter(self.bars))]


class _Pair:
    """The correlation of two symbols, and the last day that both had."""

    __slots__ = ("day", "state", "value")

    def __init__(self, days: int) -> None:
        self.state = windows.Pair(days)
        self.day = 0
        self.value = math.nan


PairKey = tuple[int, int, str, str]
"""Which of the plan's shared expressions, days, and both symbols in order."""


class Engine:
    """Features of all declared symbols, as of the newest bar and text of each."""

    def __init__(
        self, declared: definitions.Definitions, *, longest_gap: dt.timedelta = LONGEST_GAP
    ) -> None:
        self._declared = declared
        self._gap = longest_gap
        self._plan = steps.Plan(declared)
        self._late = self._plan.late()
        self._places = {
            view.name: tuple(
                (feature.name, self._plan.places[feature.expression]) for feature in view.features
            )
            for view in declared.views
            if view.source == steps.BARS
        }
        self._arrays = frozenset(
            view.name
            for view in declared.views
            if any(feature.length > 1 for feature in view.features)
        )
        self._looking = frozenset(
            view.name
            for view in declared.views
            if any(expressions.looks_across(feature.expression) for feature in view.features)
        )
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._symbols: dict[str, _Symbol] = {}
        self._pairs: dict[PairKey, _Pair] = {}
        self._texts = texts.Texts(self._declared)
        self._turn = 0

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols of which a bar has come, sorted."""
        return tuple(sorted(self._symbols))

    def newest(self, symbol: str) -> dt.date | None:
        """Give the day of the newest bar."""
        known = self._symbols.get(symbol)
        return dt.date.fromordinal(known.newest) if known else None

    def newest_text(self, symbol: str) -> dt.datetime | None:
        """Give the time of the newest text, in UTC."""
        return self._texts.newest(symbol)

    def bar(  # noqa: PLR0913  # a bar has that many fields
        self,
        symbol: str,
        date: dt.date,
        open: float,  # noqa: A002  # the field's own word
        high: float,
        low: float,
        close: float,
        volume: float,
    ) -> set[str]:
        """Take a bar; give the symbols whose rows it may have changed.

        A bar that has come before changes nothing. Raises BarRefused.
        """
        self._check_symbol(symbol, BarRefused, f"a bar of {symbol!r}")
        where = f"the bar of {symbol} for {date}"
        day = _day(where, date)
        raw = _checked(where, (open, high, low, close, volume))
        known = self._symbols.get(symbol)
        if known is not None and day <= known.newest:
            self._check_again(where, known, day, raw)
            return set()
        if known is not None and day - known.newest > self._gap.days:
            raise BarRefused(
                Reason.GAP,
                f"{where}: comes {day - known.newest} days after the one before, of "
                f"{dt.date.fromordinal(known.newest)}; at most {self._gap.days} are taken for "
                "one step: correct the date, or send the bars in between first",
            )
        if known is None:
            known = self._symbols[symbol] = _Symbol(self._plan)
        self._take(symbol, known, day, raw)
        return self._changed(symbol, day)

    def text(self, symbol: str, kind: str, time: dt.datetime, score: float) -> set[str]:
        """Take a text's score -1..1; give the symbols whose rows it has changed.

        `kind` is news or social. Late ones count as if they had come in time.
        Raises TextRefused.
        """
        where = f"a text about {symbol!r}"
        self._check_symbol(symbol, TextRefused, where)
        if kind not in texts.KINDS:
            raise TextRefused(
                Reason.KIND,
                f"{where}: kind {kind!r} is unknown; known are {', '.join(texts.KINDS)}",
            )
        if not isinstance(time, dt.datetime) or time.tzinfo is None:
            raise TextRefused(
                Reason.DATE, f"{where}: its time {time!r} is no date and time with a zone; add one"
            )
        if not _is_number(score) or not -1 <= score <= 1:
            raise TextRefused(Reason.SCORE, f"{where}: its score {score!r} is not in -1..1")
        self._texts.add(symbol, kind, time.timestamp(), float(score))
        return {symbol}

    def row(self, symbol: str, view: str) -> Row:
        """Give the features of `symbol` in a view as they are known now; NaN where they are not.

        Raises KeyError for a view or a symbol that is not declared.
        """
        if symbol not in self._declared.symbols:
            raise KeyError(
                f"there is no symbol {symbol!r}; there are {', '.join(self._declared.symbols)}"
            )
        declared = self._declared.view(view)
        if declared.source != steps.BARS:
            return self._texts.row(symbol, declared)
        known = self._symbols.get(symbol)
        if known is None:
            return {
                feature.name: math.nan if feature.length == 1 else np.full(feature.length, np.nan)
                for feature in declared.features
            }
        if view in self._looking and known.across_as_of != self._turn:
            self._look_across(symbol, known)
        values, stacks = known.values, known.stacks
        if view not in self._arrays:
            return {name: values[place] for name, place in self._places[view]}
        return {
            name: stacks[place].array.flatten() if place in stacks else values[place]
            for name, place in self._places[view]
        }

    def _check_symbol(self, symbol: str, refused: type[Refused], where: str) -> None:
        if symbol not in self._declared.symbols:
            raise refused(
                Reason.UNKNOWN_SYMBOL,
                f"{where}: the symbol is not declared; declared are "
                f"{', '.join(self._declared.symbols)}",
            )

    def _check_again(self, where: str, known: _Symbol, day: int, raw: tuple[float, ...]) -> None:
        before = known.bars.get(day)
        if before == raw:
            return
        if before is None:
            raise BarRefused(
                Reason.OUT_OF_ORDER,
                f"{where}: comes after that of {dt.date.fromordinal(known.newest)}; days have to "
                "ascend: send the bars again from the start, to an engine that was reset",
            )
        differing = ", ".join(
            f"{name} {now!r} instead of {then!r}"
            for name, now, then in zip(steps.FIELDS, raw, before, strict=True)
            if now != then
        )
        raise BarRefused(
            Reason.CORRECTION,
            f"{where}: has come before with other values ({differing}); what was computed of them "
            "stays: send the corrected bars again from the start, to an engine that was reset",
        )

    def _take(self, symbol: str, known: _Symbol, day: int, raw: tuple[float, ...]) -> None:
        known.remember(day, raw)
        known.newest = day
        values = known.values
        # Rounding may leave open or close outside by a hair, and a variance below zero.
        values[: len(steps.FIELDS)] = (
            raw[0], max(raw[:4]), min(raw[:4]), raw[3], raw[4]
        )  # fmt: skip  # one bar, one line
        for step in known.steps:
            step(values)
        self._turn += 1
        for shared, place in enumerate(self._plan.shared):
            value = values[place]
            if not math.isnan(value):
                known.known[shared].add(day, value)
                self._pair_up(symbol, shared, day, value)

    def _pair_up(self, symbol: str, shared: int, day: int, value: float) -> None:
        spans = self._plan.spans[shared]
        if not spans:
            return
        for other, known in self._symbols.items():
            if other == symbol or (theirs := known.known[shared].at(day)) is None:
                continue
            first = symbol < other
            one, two = (symbol, other) if first else (other, symbol)
            for days in spans:
                key = (shared, days, one, two)
                pair = self._pairs.get(key)
                if pair is None:
                    pair = self._pairs[key] = _Pair(days)
                pair.value = pair.state.push(*((value, theirs) if first else (theirs, value)))
                pair.day = day

    def _changed(self, symbol: str, day: int) -> set[str]:
        if not self._plan.looks:
            return {symbol}
        return {
            other
            for other, known in self._symbols.items()
            if day <= known.newest <= day + self._plan.longest
        }

    def _look_across(self, symbol: str, known: _Symbol) -> None:
        values, day = known.values, known.newest
        for look in self._plan.looks:
            if isinstance(look.node, expressions.Correlated):
                values[look.place] = self._correlation(symbol, day, look, look.node)
            else:
                values[look.place] = self._mean(day, look)
        for step in self._late:
            step(values)
        known.across_as_of = self._turn

    def _mean(self, day: int, look: steps.Look) -> float:
        total, count = 0.0, 0
        for symbol in self._declared.symbols:
            other = self._symbols.get(symbol)
            value = other.known[look.shared].last(day, look.longest) if other else None
            if value is not None:
                total += value
                count += 1
        return total / count if count else math.nan

    def _correlation(
        self, symbol: str, day: int, look: steps.Look, node: expressions.Correlated
    ) -> float:
        if node.with_ == symbol:
            return 1.0
        others = self._declared.symbols if node.with_ is None else (node.with_,)
        found: list[float] = []
        for other in others:
            first = symbol < other
            pair = self._pairs.get(
                (look.shared, node.days, symbol, other)
                if first
                else (look.shared, node.days, other, symbol)
            )
            if pair is None or day - pair.day > look.longest or math.isnan(pair.value):
                continue
            found.append(pair.value)
        if not found:
            return math.nan
        match node.summary:
            case "min":
                return min(found)
            case "max":
                return max(found)
        return sum(found) / len(found)

    def snapshot(self) -> dict[str, Any]:
        """Give all that is remembered as JSON's types."""
        return {
            "schema": SCHEMA,
            "definitions": self._declared.digest,
            "symbols": {symbol: _saved(known) for symbol, known in self._symbols.items()},
            "pairs": [
                [*key, pair.day, *windows.packed([pair.value]), pair.state.saved()]
                for key, pair in self._pairs.items()
            ],
            "texts": self._texts.saved(),
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go on from a snapshot; raises SnapshotError if it is not one of these definitions."""
        if snapshot.get("schema") != SCHEMA:
            raise SnapshotError(
                f"a snapshot of schema {snapshot.get('schema')!r} cannot be read, only {SCHEMA}: "
                "send the bars again from the start"
            )
        if snapshot.get("definitions") != self._declared.digest:
            raise SnapshotError(
                "the snapshot was made with other definitions of the features: "
                "send the bars again from the start"
            )
        self.reset()
        try:
            for symbol, saved in snapshot["symbols"].items():
                self._symbols[symbol] = self._restored(saved)
            for shared, days, one, two, day, value, state in snapshot["pairs"]:
                pair = self._pairs[shared, days, one, two] = _Pair(days)
                pair.day, pair.value = day, *windows.unpacked([value])
                pair.state.restore(state)
            self._texts.restore(snapshot["texts"])
        except (KeyError, TypeError, ValueError, IndexError) as error:
            self.reset()
            raise SnapshotError(
                f"the snapshot is damaged ({error!r}): send the bars again from the start"
            ) from error

    def _restored(self, saved: Mapping[str, Any]) -> _Symbol:
        known = _Symbol(self._plan)
        known.newest = int(saved["newest"])
        known.values[:] = windows.unpacked(saved["values"])
        for state, numbers in zip(known.states, saved["states"], strict=True):
            state.restore(numbers)
        for shared, (days, values) in zip(known.known, saved["known"], strict=True):
            shared.days, shared.values = list(days), list(values)
        known.bars = {int(day): tuple(bar) for day, *bar in saved["bars"]}
        return known


def _saved(known: _Symbol) -> dict[str, Any]:
    return {
        "newest": known.newest,
        "values": windows.packed([float(value) for value in known.values]),
        "states": [state.saved() for state in known.states],
        "known": [[list(shared.days), list(shared.values)] for shared in known.known],
        "bars": [[day, *bar] for day, bar in known.bars.items()],
    }


def _day(where: str, date: dt.date) -> int:
    if not isinstance(date, dt.date):
        raise BarRefused(Reason.DATE, f"{where}: {date!r} is no date; send a trading day")
    return date.toordinal()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.floating | np.integer) and not isinstance(value, bool)


def _checked(where: str, bar: Sequence[float]) -> tuple[float, ...]:
    """Give the bar's numbers; raise BarRefused for what no market trades at."""
    for name, value in zip(steps.FIELDS, bar, strict=True):
        if not _is_number(value):
            raise BarRefused(
                Reason.NOT_A_NUMBER,
                f"{where}: {name} is {value!r}, which is no number; send one",
            )
        if not math.isfinite(value):
            raise BarRefused(
                Reason.NOT_FINITE,
                f"{where}: {name} is {value!r}; fill it in, or leave the day out",
            )
    raw = tuple(float(value) for value in bar)
    open_, high, low, close, volume = raw
    if min(raw[:4]) <= 0:
        raise BarRefused(
            Reason.PRICE,
            f"{where}: has a price of {min(raw[:4]):g}; prices are above zero: "
            "correct it, or leave the day out",
        )
    if high < low:
        raise BarRefused(
            Reason.RANGE, f"{where}: high {high:g} is below low {low:g}; correct the prices"
        )
    for name, price in (("open", open_), ("close", close)):
        if not low * (1 - ROUNDING) <= price <= high * (1 + ROUNDING):
            raise BarRefused(
                Reason.RANGE,
                f"{where}: {name} {price:g} lies outside low {low:g} and high {high:g}; "
                "correct the prices",
            )
    if volume < 0:
        raise BarRefused(
            Reason.VOLUME, f"{where}: volume {volume:g} is negative; send 0 if it is unknown"
        )
    return raw
