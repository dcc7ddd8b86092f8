"""Turns expressions into steps that compute one day after another, without pandas.

A symbol's values of the day lie in one list; each expression has a place in it.
A step reads the places of its parts and writes its own.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from . import definitions, expressions, windows

Values = list[float]
Step = Callable[[Values], None]
Places = Mapping[expressions.Operand, int]

FIELDS = ("open", "high", "low", "close", "volume")
"""The bar's fields, which lie at the front of a symbol's values."""

BARS = "bars"


class Stack:
    """The last days of some values as one array, oldest first."""

    __slots__ = ("array",)

    def __init__(self, days: int, channels: int) -> None:
        self.array: npt.NDArray[np.float64] = np.full((days, channels), np.nan)

    def push(self, row: Sequence[float]) -> None:
        """Take the values of the next day."""
        self.array[:-1] = self.array[1:]
        self.array[-1] = row

    def saved(self) -> windows.Numbers:
        """Give the array's values."""
        return windows.packed(self.array.ravel().tolist())

    def restore(self, numbers: Sequence[float | None]) -> None:
        """Go on from what `saved` gave."""
        self.array[:] = np.array(windows.unpacked(numbers)).reshape(self.array.shape)


class Steps(NamedTuple):
    """One symbol's computation: its values, what computes them, what it remembers."""

    values: Values
    steps: tuple[Step, ...]
    states: tuple[windows.State | Stack, ...]
    stacks: Mapping[int, Stack]
    """Arrays, by the places of their expressions."""


class Look(NamedTuple):
    """One expression that looks at other symbols."""

    place: int
    shared: int
    """Which of the plan's shared values it looks at."""
    longest: int
    """For how many days another symbol's last value counts."""
    node: expressions.Across | expressions.Correlated


class Plan:
    """What has to be computed for some definitions, in which order, and where it lies."""

    def __init__(self, declared: definitions.Definitions) -> None:
        wanted = [
            feature.expression
            for view in declared.views
            if view.source == BARS
            for feature in view.features
        ]
        fields = [expressions.Field(name) for name in FIELDS]  # type: ignore[arg-type]  # literals
        nodes = [*fields, *(node for node in expressions.ordered(*wanted) if node not in fields)]
        across: set[expressions.Expression] = set()
        for node in nodes:
            if isinstance(node, expressions.Across | expressions.Correlated) or any(
                part in across for part in expressions.parts(node)
            ):
                across.add(node)
        self._own = [node for node in nodes[len(FIELDS) :] if node not in across]
        looking = [
            node for node in nodes if isinstance(node, expressions.Across | expressions.Correlated)
        ]
        self._late = [node for node in nodes if node in across and node not in looking]
        self._initial: Values = []
        self.places: dict[expressions.Operand, int] = {}
        for node in nodes:
            self._place(node, math.nan)
        self._place(math.nan, math.nan)
        for node in nodes:
            for part in expressions.parts(node):
                if not isinstance(part, expressions.Expression):
                    self._place(part, float(part))

        shared = list(dict.fromkeys(node.argument for node in looking))
        self.shared = tuple(self.places[argument] for argument in shared)
        """Where the values lie that other symbols look at."""
        self.looks = tuple(
            Look(self.places[node], shared.index(node.argument), node.longest.days, node)
            for node in looking
        )
        """What looks at other symbols' values."""
        self.longest = max((look.longest for look in self.looks), default=0)
        self.spans = tuple(
            tuple(
                sorted(
                    {
                        look.node.days
                        for look in self.looks
                        if look.shared == place and isinstance(look.node, expressions.Correlated)
                    }
                )
            )
            for place in range(len(shared))
        )
        """Over how many common days each of `shared` is correlated."""

    def _place(self, key: expressions.Operand, value: float) -> None:
        if key not in self.places:
            self.places[key] = len(self._initial)
            self._initial.append(value)

    def begin(self) -> Steps:
        """Give a new symbol's computation, with nothing remembered."""
        steps: list[Step] = []
        states: list[windows.State | Stack] = []
        stacks: dict[int, Stack] = {}
        for node in self._own:
            if isinstance(node, expressions.Stacked):
                stack = stacks[self.places[node]] = Stack(node.days, len(node.channels))
                states.append(stack)
                steps.append(_stacking(node, stack, self.places))
            elif (state := _state(node)) is not None:
                states.append(state)
                steps.append(_remembering(node, state, self.places))
            else:
                steps.append(_computing(node, self.places))
        return Steps(list(self._initial), tuple(steps), tuple(states), stacks)

    def late(self) -> tuple[Step, ...]:
        """Give the steps that follow when what looks at other symbols is known."""
        return tuple(_computing(node, self.places) for node in self._late)


def _state(node: expressions.Expression) -> windows.State | None:
    match node:
        case expressions.Lagged(days=days):
            return windows.Lag(days)
        case expressions.Smoothed(mass=mass):
            return windows.Smoothed(mass)
        case expressions.Rolled(statistic="sum" | "mean" as statistic, days=days, fewest=fewest):
            return windows.Sum(days, fewest, mean=statistic == "mean")
        case expressions.Rolled(statistic="max" | "min" as statistic, days=days, fewest=fewest):
            return windows.Extreme(days, fewest, largest=statistic == "max")
        case expressions.Rolled(statistic="std", days=days, fewest=fewest):
            return windows.Deviation(days, fewest)
    return None


def _remembering(node: Any, state: windows.State, places: Places) -> Step:
    place, argument, push = places[node], places[node.argument], state.push

    def step(values: Values) -> None:
        values[place] = push(values[argument])

    return step


def _stacking(node: expressions.Stacked, stack: Stack, places: Places) -> Step:
    channels = [places[channel] for channel in node.channels]

    def step(values: Values) -> None:
        stack.push([values[channel] for channel in channels])

    return step


def _computing(node: expressions.Expression, places: Places) -> Step:
    return _WITHOUT_STATE[type(node)](node, places)


def _combined(node: expressions.Combined, places: Places) -> Step:
    place, left, right = places[node], places[node.left], places[node.right]

    def add(values: Values) -> None:
        values[place] = values[left] + values[right]

    def subtract(values: Values) -> None:
        values[place] = values[left] - values[right]

    def multiply(values: Values) -> None:
        values[place] = values[left] * values[right]

    def divide(values: Values) -> None:
        divisor = values[right]
        values[place] = values[left] / divisor if divisor else _by_zero(values[left], divisor)

    def above(values: Values) -> None:
        values[place] = values[left] > values[right]

    def below(values: Values) -> None:
        values[place] = values[left] < values[right]

    operations = {
        "+": add, "-": subtract, "*": multiply, "/": divide, ">": above, "<": below
    }  # fmt: skip  # one line, one table
    return operations[node.operation]


def _by_zero(dividend: float, zero: float) -> float:
    """Divide as IEEE 754 does, where Python raises."""
    if dividend == 0 or math.isnan(dividend):
        return math.nan
    return math.copysign(math.inf, dividend) * math.copysign(1.0, zero)


def _applied(node: expressions.Applied, places: Places) -> Step:
    place, argument = places[node], places[node.argument]

    def negative(values: Values) -> None:
        values[place] = -values[argument]

    def log(values: Values) -> None:
        # numpy's, not math's: they differ in the last bit, and training takes numpy's.
        value = values[argument]
        if value > 0:
            values[place] = float(_log(value))
        else:
            values[place] = -math.inf if value == 0 else math.nan

    def root(values: Values) -> None:
        value = values[argument]
        values[place] = math.sqrt(value) if value >= 0 else math.nan

    def squared(values: Values) -> None:
        value = values[argument]
        values[place] = value * value

    def known(values: Values) -> None:
        value = values[argument]
        values[place] = value == value  # noqa: PLR0124  # not NaN

    functions = {
        "negative": negative, "log": log, "root": root, "squared": squared, "known": known
    }  # fmt: skip  # one line, one table
    return functions[node.function]


_log = np.log


def _clipped(node: expressions.Clipped, places: Places) -> Step:
    place, argument = places[node], places[node.argument]
    lower = -math.inf if node.lower is None else node.lower
    upper = math.inf if node.upper is None else node.upper

    def step(values: Values) -> None:
        # What is missing is neither below nor above.
        value = values[argument]
        if value < lower:
            value = lower
        elif value > upper:
            value = upper
        values[place] = value

    return step


def _where(node: expressions.Where, places: Places) -> Step:
    place, argument, condition = places[node], places[node.argument], places[node.condition]
    otherwise = places[math.nan if node.otherwise is None else node.otherwise]

    def step(values: Values) -> None:
        values[place] = values[argument] if values[condition] else values[otherwise]

    return step


def _filled(node: expressions.Filled, places: Places) -> Step:
    place, argument, instead = places[node], places[node.argument], node.value

    def step(values: Values) -> None:
        value = values[argument]
        values[place] = value if value == value else instead  # noqa: PLR0124  # not NaN

    return step


_WITHOUT_STATE: Mapping[type, Callable[[Any, Places], Step]] = {
    expressions.Combined: _combined,
    expressions.Applied: _applied,
    expressions.Clipped: _clipped,
    expressions.Where: _where,
    expressions.Filled: _filled,
}
