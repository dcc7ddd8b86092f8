"""The language that a feature is declared in: an expression over the fields of a symbol's days.

An expression says what is computed, and computes nothing:
`batch` reads it as operations on whole columns, `online` as a state that takes one day after
another, and both give the same numbers.
A value that is not known is missing (NaN) in both, and stays missing in whatever is made of it.

Equal expressions are equal objects, so that what two features share is computed once.
What looks at other symbols (`across`, `correlation`) may be combined with numbers and expressions,
but not looked back on: another symbol's day may arrive after this symbol's, and changes it.
"""

import dataclasses
import datetime as dt
from collections.abc import Iterator
from typing import Literal, TypeAlias

STALE = dt.timedelta(days=10)
"""Another symbol's last value counts for at most so long."""

STILL = 1e-7
"""A standard deviation of daily values below this is none: a correlation with it is 0."""


class Expression:
    """One value a day of each symbol."""

    __slots__ = ()

    def __add__(self, other: "Operand") -> "Expression":
        return Combined("+", self, other)

    def __radd__(self, other: float) -> "Expression":
        return Combined("+", other, self)

    def __sub__(self, other: "Operand") -> "Expression":
        return Combined("-", self, other)

    def __rsub__(self, other: float) -> "Expression":
        return Combined("-", other, self)

    def __mul__(self, other: "Operand") -> "Expression":
        return Combined("*", self, other)

    def __rmul__(self, other: float) -> "Expression":
        return Combined("*", other, self)

    def __truediv__(self, other: "Operand") -> "Expression":
        return Combined("/", self, other)

    def __rtruediv__(self, other: float) -> "Expression":
        return Combined("/", other, self)

    def __gt__(self, other: "Operand") -> "Expression":
        return Combined(">", self, other)

    def __lt__(self, other: "Operand") -> "Expression":
        return Combined("<", self, other)

    def __neg__(self) -> "Expression":
        return Applied("negative", self)

    def log(self) -> "Expression":
        """Give the natural logarithm; missing below 0."""
        return Applied("log", self)

    def root(self) -> "Expression":
        """Give the square root; missing below 0."""
        return Applied("root", self)

    def squared(self) -> "Expression":
        """Give the square."""
        return Applied("squared", self)

    def known(self) -> "Expression":
        """Say whether the value is not missing."""
        return Applied("known", self)

    def clip(self, lower: float | None = None, upper: float | None = None) -> "Expression":
        """Cut to bounds."""
        return Clipped(self, lower, upper)

    def where(self, condition: "Expression", otherwise: "Operand | None" = None) -> "Expression":
        """Keep the value where `condition` holds, else take `otherwise`, or nothing."""
        return Where(self, condition, otherwise)

    def filled(self, value: float) -> "Expression":
        """Take `value` where it is missing."""
        return Filled(self, value)

    def lag(self, days: int = 1) -> "Expression":
        """Give the value of `days` of the symbol's own days ago."""
        return Lagged(self, days)

    def change(self, days: int = 1) -> "Expression":
        """Give the difference to the value of `days` days ago."""
        return self - self.lag(days)

    def rolling(self, days: int, fewest: int | None = None) -> "Window":
        """Look at the last `days` days, of which at least `fewest` (else all) must be known."""
        return Window(self, days, days if fewest is None else fewest)

    def smoothed(self, *, alpha: float | None = None, span: float | None = None) -> "Expression":
        """Give the exponentially weighted mean `y = (1 - alpha) y + alpha x`, from the first value on.

        A missing value leaves y, whose weight decays on. `span` s stands for alpha = 2 / (s + 1).
        """
        if (alpha is None) == (span is None):
            raise ValueError("a smoothed mean takes either alpha or span")
        mass = (1 - alpha) / alpha if alpha is not None else ((span or 0.0) - 1) / 2
        return Smoothed(self, mass)


Operand: TypeAlias = Expression | float

Arithmetic = Literal["+", "-", "*", "/", ">", "<"]
Function = Literal["negative", "log", "root", "squared", "known"]
Statistic = Literal["sum", "mean", "std", "max", "min"]
Summary = Literal["mean", "min", "max"]
Kind = Literal["news", "social"]


@dataclasses.dataclass(frozen=True, slots=True)
class Field(Expression):
    """A field of the day's bar."""

    name: Literal["open", "high", "low", "close", "volume"]


@dataclasses.dataclass(frozen=True, slots=True)
class Combined(Expression):
    """Two values made one."""

    operation: Arithmetic
    left: Operand
    right: Operand


@dataclasses.dataclass(frozen=True, slots=True)
class Applied(Expression):
    """A function of one value."""

    function: Function
    argument: Expression


@dataclasses.dataclass(frozen=True, slots=True)
class Clipped(Expression):
    """A value cut to bounds."""

    argument: Expression
    lower: float | None
    upper: float | None


@dataclasses.dataclass(frozen=True, slots=True)
class Where(Expression):
    """A value where a condition holds, another one elsewhere."""

    argument: Expression
    condition: Expression
    otherwise: Operand | None


@dataclasses.dataclass(frozen=True, slots=True)
class Filled(Expression):
    """A value with a number in the place of what is missing."""

    argument: Expression
    value: float


@dataclasses.dataclass(frozen=True, slots=True)
class Lagged(Expression):
    """The value of an earlier day."""

    argument: Expression
    days: int

    def __post_init__(self) -> None:
        if self.days < 1:
            raise ValueError(f"a lag looks back over at least one day, not {self.days}")


@dataclasses.dataclass(frozen=True, slots=True)
class Rolled(Expression):
    """A statistic of the last days; `std` is that of a sample (n - 1)."""

    statistic: Statistic
    argument: Expression
    days: int
    fewest: int

    def __post_init__(self) -> None:
        if not 1 <= self.fewest <= self.days:
            raise ValueError(f"of {self.days} days, {self.fewest} cannot be the fewest known")


@dataclasses.dataclass(frozen=True, slots=True)
class Smoothed(Expression):
    """An exponentially weighted mean; its alpha is 1 / (1 + mass)."""

    argument: Expression
    mass: float


@dataclasses.dataclass(frozen=True, slots=True)
class Stacked(Expression):
    """The last days of some values: `days * len(channels)` numbers, oldest day first."""

    channels: tuple[Expression, ...]
    days: int


@dataclasses.dataclass(frozen=True, slots=True)
class Across(Expression):
    """The mean over all symbols' last known values on or before the day."""

    argument: Expression
    longest: dt.timedelta = STALE


@dataclasses.dataclass(frozen=True, slots=True)
class Correlated(Expression):
    """The correlation with one other symbol, or a summary of those with all others.

    Pearson's, over the last `days` days that both symbols have, of which the newest is on or
    before the day, by `longest` at most. 0 where one of the two stands still, 1 with itself.
    """

    argument: Expression
    days: int
    with_: str | None = None
    summary: Summary | None = None
    longest: dt.timedelta = STALE

    def __post_init__(self) -> None:
        if (self.with_ is None) == (self.summary is None):
            raise ValueError("a correlation is with one symbol, or a summary of all others")


@dataclasses.dataclass(frozen=True, slots=True)
class TextMean(Expression):
    """The mean score of the texts so far, each weighing half as much every `half_life`."""

    kind: Kind
    half_life: dt.timedelta


@dataclasses.dataclass(frozen=True, slots=True)
class TextCount(Expression):
    """How many texts came in the time `within` up to the newest."""

    kind: Kind
    within: dt.timedelta


@dataclasses.dataclass(frozen=True, slots=True)
class Window:
    """The last days of an expression, to take a statistic of."""

    argument: Expression
    days: int
    fewest: int

    def sum(self) -> Expression:
        """Add up the known values."""
        return self._rolled("sum")

    def mean(self) -> Expression:
        """Give the mean of the known values."""
        return self._rolled("mean")

    def std(self) -> Expression:
        """Give the standard deviation of the known values, that of a sample."""
        return self._rolled("std")

    def max(self) -> Expression:
        """Give the largest known value."""
        return self._rolled("max")

    def min(self) -> Expression:
        """Give the smallest known value."""
        return self._rolled("min")

    def _rolled(self, statistic: Statistic) -> Expression:
        return Rolled(statistic, self.argument, self.days, self.fewest)


OPEN, HIGH, LOW = Field("open"), Field("high"), Field("low")
CLOSE, VOLUME = Field("close"), Field("volume")


def across(argument: Expression) -> Expression:
    """Give the mean over all symbols, each with its last value on or before the day."""
    return Across(argument)


def correlation(argument: Expression, days: int, symbol: str) -> Expression:
    """Give the correlation of this symbol's values with those of `symbol`."""
    return Correlated(argument, days, with_=symbol)


def correlation_with_others(argument: Expression, days: int, summary: Summary) -> Expression:
    """Summarise this symbol's correlations with all others."""
    return Correlated(argument, days, summary=summary)


def parts(expression: Expression) -> Iterator[Operand]:
    """Give what an expression is directly made of, numbers too."""
    for field in dataclasses.fields(expression):  # type: ignore[arg-type]  # all nodes are
        value = getattr(expression, field.name)
        if isinstance(value, Expression):
            yield value
        elif isinstance(value, tuple):
            yield from value
        elif field.name in _OPERANDS and value is not None:
            yield value


_OPERANDS = frozenset({"left", "right", "otherwise"})
"""Fields that hold an expression or a number in its place."""


def ordered(*expressions: Expression) -> tuple[Expression, ...]:
    """Give all that the expressions are made of, once each, parts before what is made of them."""
    found: dict[Expression, None] = {}

    def visit(expression: Expression) -> None:
        if expression in found:
            return
        for part in parts(expression):
            if isinstance(part, Expression):
                visit(part)
        found[expression] = None

    for expression in expressions:
        visit(expression)
    return tuple(found)


def looks_across(expression: Expression) -> bool:
    """Say whether a value depends on other symbols, whose days may arrive later."""
    return any(isinstance(part, Across | Correlated) for part in ordered(expression))


def reads_texts(expression: Expression) -> bool:
    """Say whether a value is made of texts instead of bars."""
    return any(isinstance(part, TextMean | TextCount) for part in ordered(expression))


def check(expression: Expression) -> None:
    """Raise ValueError for an expression that cannot be computed as the days arrive."""
    if reads_texts(expression) and not isinstance(expression, TextMean | TextCount):
        raise ValueError("a value made of texts cannot be part of another expression")
    for part in ordered(expression):
        if isinstance(part, Lagged | Rolled | Smoothed | Stacked | Across | Correlated):
            for inner in parts(part):
                if isinstance(inner, Expression) and looks_across(inner):
                    raise ValueError(
                        f"{type(part).__name__.lower()} of a value that depends on other symbols: "
                        "their days may arrive later and change it, so that it cannot be looked "
                        "back on; take the statistic first, and look across then"
                    )
        if isinstance(part, Stacked) and part is not expression:
            raise ValueError("stacked days are an array, which cannot be part of an expression")
