"""Computes features for all days of all symbols at once, for training and the offline store.

Frames are those of one source: by symbol, indexed by date, columns open, high, low, close, volume.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from . import definitions, expressions

Value = Any
"""A column (`pd.Series`) or a number: what pandas' operators take and give."""


class Market:
    """The days of all symbols, and what has been computed of them so far."""

    def __init__(self, frames: Mapping[str, pd.DataFrame]) -> None:
        # Sorted, so that sums over symbols come out the same in whichever order they are given.
        self._frames = {symbol: frames[symbol] for symbol in sorted(frames)}
        self._found: dict[tuple[str, expressions.Expression], pd.Series] = {}
        self._pairs: dict[tuple[expressions.Expression, int, str, str], pd.Series] = {}

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols, sorted."""
        return tuple(self._frames)

    def days(self, symbol: str) -> "pd.Index[Any]":
        """Give a symbol's days."""
        return self._frames[symbol].index

    def column(self, symbol: str, expression: expressions.Expression) -> pd.Series:
        """Compute `expression` for every day of `symbol`; missing where the past is too short."""
        for part in expressions.ordered(expression):
            if (symbol, part) not in self._found:
                self._found[symbol, part] = self._computed(symbol, part)
        return self._found[symbol, expression]

    def stacked(self, symbol: str, expression: expressions.Stacked) -> npt.NDArray[np.float64]:
        """Give an array [days, length]: of each day, what is stacked of it and those before."""
        channels = np.column_stack(
            [self.column(symbol, channel).to_numpy(np.float64) for channel in expression.channels]
        )
        before = np.full((expression.days - 1, channels.shape[1]), np.nan)
        windows = np.lib.stride_tricks.sliding_window_view(
            np.concatenate([before, channels]), expression.days, axis=0
        )
        # A view [day, channel, place in the window], of which the places come first in a row.
        result: npt.NDArray[np.float64] = windows.transpose(0, 2, 1).reshape(len(channels), -1)
        return result

    def _computed(self, symbol: str, node: expressions.Expression) -> pd.Series:
        match node:
            case expressions.Field(name):
                field: pd.Series = self._frames[symbol][name]
                return field
            case expressions.Across():
                return self._across(symbol, node)
            case expressions.Correlated():
                return self._correlated(symbol, node)
            case expressions.Stacked():
                raise ValueError("stacked days are an array, not a column: see `Market.stacked`")
            case expressions.TextMean() | expressions.TextCount():
                raise ValueError("texts have no history: their features are computed online alone")
        computed: pd.Series = _OPERATIONS[type(node)](
            node, lambda part: self._operand(symbol, part)
        )
        return computed

    def _operand(self, symbol: str, part: Value) -> Value:
        if isinstance(part, expressions.Expression):
            return self._found[symbol, part]
        return part

    def _across(self, symbol: str, node: expressions.Across) -> pd.Series:
        days = self.days(symbol)
        total = pd.Series(0.0, index=days)
        count = pd.Series(0, index=days)
        for other in self._frames:
            last = _last(self.column(other, node.argument), days, node.longest)
            total += last.fillna(0.0)
            count += last.notna()
        return total / count.where(count > 0)

    def _correlated(self, symbol: str, node: expressions.Correlated) -> pd.Series:
        days = self.days(symbol)
        if node.with_ is not None:
            if node.with_ == symbol:
                return pd.Series(1.0, index=days)
            if node.with_ not in self._frames:
                return pd.Series(np.nan, index=days)
            return _last(self._pair(node, symbol, node.with_), days, node.longest)
        others = [
            _last(self._pair(node, symbol, other), days, node.longest)
            for other in self._frames
            if other != symbol
        ]
        if not others:
            return pd.Series(np.nan, index=days)
        together = pd.concat(others, axis=1)
        summarised: pd.Series = getattr(together, str(node.summary))(axis=1)
        return summarised

    def _pair(self, node: expressions.Correlated, symbol: str, other: str) -> pd.Series:
        one, two = sorted((symbol, other))
        key = (node.argument, node.days, one, two)
        if key not in self._pairs:
            both = pd.concat(
                [self.column(one, node.argument), self.column(two, node.argument)],
                axis=1,
                join="inner",
            ).dropna()
            self._pairs[key] = _correlation(both.iloc[:, 0], both.iloc[:, 1], node.days)
        return self._pairs[key]


def _last(column: pd.Series, days: "pd.Index[Any]", longest: dt.timedelta) -> pd.Series:
    """Give the last known value on or before each day."""
    return column.dropna().reindex(days, method="ffill", tolerance=pd.Timedelta(longest))


def _correlation(one: pd.Series, two: pd.Series, days: int) -> pd.Series:
    result = np.full(len(one), np.nan)
    if len(one) >= days:
        # By two passes over each window: rolling means would cancel to few digits.
        first, second = _centred(one, days), _centred(two, days)
        squares = (first**2).sum(axis=1), (second**2).sum(axis=1)
        least = (days - 1) * expressions.STILL**2
        moving = (squares[0] > least) & (squares[1] > least)
        spread = np.sqrt(squares[0] * squares[1])
        found = (first * second).sum(axis=1) / np.where(moving, spread, 1.0)
        result[days - 1 :] = np.where(moving, np.clip(found, -1.0, 1.0), 0.0)
    return pd.Series(result, index=one.index)


def _centred(values: pd.Series, days: int) -> npt.NDArray[np.float64]:
    windows = np.lib.stride_tricks.sliding_window_view(values.to_numpy(np.float64), days)
    centred: npt.NDArray[np.float64] = windows - windows.mean(axis=1, keepdims=True)
    return centred


Operand = Callable[[Any], Value]


def _combined(node: expressions.Combined, operand: Operand) -> Value:
    left, right = operand(node.left), operand(node.right)
    match node.operation:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "/":
            return left / right
        case ">":
            return left > right
        case "<":
            return left < right


def _applied(node: expressions.Applied, operand: Operand) -> Value:
    argument: pd.Series = operand(node.argument)
    match node.function:
        case "negative":
            return -argument
        case "log":
            # numpy's type information knows no series, though its functions give one back.
            return cast("pd.Series", np.log(argument))
        case "root":
            return cast("pd.Series", np.sqrt(argument))
        case "squared":
            return argument**2
        case "known":
            return argument.notna()


def _where(node: expressions.Where, operand: Operand) -> Value:
    argument, condition = operand(node.argument), operand(node.condition)
    if node.otherwise is None:
        return argument.where(condition)
    return argument.where(condition, operand(node.otherwise))


def _rolled(node: expressions.Rolled, operand: Operand) -> Value:
    window = operand(node.argument).rolling(node.days, min_periods=node.fewest)
    return getattr(window, node.statistic)()


_OPERATIONS: Mapping[type, Callable[[Any, Operand], Value]] = {
    expressions.Combined: _combined,
    expressions.Applied: _applied,
    expressions.Clipped: lambda node, operand: operand(node.argument).clip(node.lower, node.upper),
    expressions.Where: _where,
    expressions.Filled: lambda node, operand: operand(node.argument).fillna(node.value),
    expressions.Lagged: lambda node, operand: operand(node.argument).shift(node.days),
    expressions.Rolled: _rolled,
    expressions.Smoothed: (
        lambda node, operand: operand(node.argument).ewm(com=node.mass, adjust=False).mean()
    ),
}


def table(
    frames: Mapping[str, pd.DataFrame], features: Iterable[definitions.Feature]
) -> dict[str, pd.DataFrame]:
    """Compute `features`, one number each, for every day of every symbol."""
    market = Market(frames)
    wanted = tuple(features)
    return {symbol: columns(market, symbol, wanted) for symbol in frames}


def columns(market: Market, symbol: str, features: Iterable[definitions.Feature]) -> pd.DataFrame:
    """Compute `features`, one number each, for every day of `symbol`."""
    return pd.DataFrame(
        {feature.name: market.column(symbol, feature.expression) for feature in features}
    )


def view(
    frames: Mapping[str, pd.DataFrame], declared: definitions.Definitions, name: str
) -> pd.DataFrame:
    """Compute a feature view: columns `symbol`, `date`, and its features; arrays as lists."""
    market = Market(frames)
    wanted = declared.view(name).features
    parts = []
    for symbol in market.symbols:
        rows = pd.DataFrame({"symbol": symbol, "date": market.days(symbol)})
        for feature in wanted:
            if isinstance(feature.expression, expressions.Stacked):
                rows[feature.name] = list(market.stacked(symbol, feature.expression))
            else:
                rows[feature.name] = market.column(symbol, feature.expression).to_numpy(np.float64)
        parts.append(rows)
    return pd.concat(parts, ignore_index=True)
