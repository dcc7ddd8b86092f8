"""What arms' forecasts are worth: by what the market did next, or, for show, made up."""

import collections.abc
import dataclasses
import enum
import typing

import numpy as np

from bellwether import demos
from models import closes, dataset, sources
from runtimes.bandit import utility

Array = dataset.Array

MADE_UP_MEANS = ((0.035, 0.02), (0.02, 0.04))
"""Means of a made-up reward: of the first and of the last arm, before and after half-way."""

MADE_UP_SD = 0.02


class Origin(enum.StrEnum):
    """What a demo's `--source` may be."""

    HISTORY = "history"
    SYNTHETIC = "synthetic"


@dataclasses.dataclass(frozen=True, slots=True)
class Days:
    """Rows of real days, a symbol each, ascending by date; all that followed them is known."""

    date: dataset.Days
    """[n]"""
    known: dataset.Days
    """[n]: the day on which it was known what a forecast was worth."""
    symbol: tuple[str, ...]
    """[n]"""
    features: Array
    """[n, F]"""
    history: Array
    """[n, T, C]"""
    closes: Array
    """[n, 6]: of the day, and of the five trading days after it."""

    def __len__(self) -> int:
        return len(self.date)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols, each once."""
        return tuple(sorted(set(self.symbol)))

    def last(self, count: int) -> "Days":
        """Give the last rows, so many of them."""
        begin = len(self) - count
        return Days(
            date=self.date[begin:],
            known=self.known[begin:],
            symbol=self.symbol[begin:],
            features=self.features[begin:],
            history=self.history[begin:],
            closes=self.closes[begin:],
        )


def days(source: sources.Source, wanted: collections.abc.Sequence[str]) -> Days:
    """Give the days of the symbols `wanted`, or of all, if none is named.

    Raises:
        sources.DataError: the data lacks a symbol, or is bad.
        DemoError: there is no day whose following days are known.

    """
    data = dataset.load(source)
    rows = np.concatenate([data.of(symbol) for symbol in dict.fromkeys(wanted or data.symbols)])
    after = closes.after(data, rows)
    came = np.isfinite(after).all(axis=1)
    rows, after = rows[came], after[came]
    order = np.argsort(data.date[rows], kind="stable")
    if not len(order):
        raise demos.DemoError(
            f"{', '.join(wanted or data.symbols)}: no day has five trading days after it"
        )
    chosen = rows[order]
    return Days(
        date=data.date[chosen],
        known=data.known[chosen],
        symbol=tuple(data.symbols[place] for place in data.symbol[chosen]),
        features=data.features[chosen],
        history=data.history(chosen),
        closes=after[order],
    )


class Outcomes(typing.Protocol):
    """What forecasts are worth."""

    about: str
    """A sentence."""

    def reward(self, row: int, arm: int, volatility: float) -> float:
        """Give the reward of one answer."""
        ...

    def worth(self, rows: slice, volatility: Array) -> Array:
        """Give what each arm's answer [m, K] is worth in the mean [m, K]."""
        ...


class Realised:
    """The utility of volatility targeting with a forecast, once its five days have passed."""

    about = (
        "Rewards: realised utility of volatility targeting, of what the market did in the five "
        "trading days after each day; 4 % a year is a perfect forecast."
    )

    def __init__(self, of: Days) -> None:
        self._closes = of.closes

    def reward(self, row: int, arm: int, volatility: float) -> float:
        """See `Outcomes`."""
        del arm
        return float(utility.realised_utility(volatility, self._closes[row]))

    def worth(self, rows: slice, volatility: Array) -> Array:
        """See `Outcomes`."""
        after = np.repeat(self._closes[rows][:, None, :], volatility.shape[1], axis=1)
        return utility.realised_utility(volatility, after)


class MadeUp:
    """Normal rewards around a mean of each arm; half-way the best arm becomes the worst."""

    def __init__(self, arms: collections.abc.Sequence[str], rows: int, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self.means: Array = np.stack(
            [np.linspace(first, last, len(arms)) for first, last in MADE_UP_MEANS]
        )
        """[2, K]: before and after."""
        self.change = rows // 2
        """The row from which on the second means hold."""
        before, after = (
            ", ".join(
                f"{arm.removesuffix('-predictor')} {mean:.1%}"
                for arm, mean in zip(arms, means, strict=True)
            )
            for means in self.means
        )
        self.about = (
            f"Rewards are MADE UP, not the market's: normal, standard deviation {MADE_UP_SD:.0%}, "
            f"means {before}; from half-way on {after}."
        )

    def reward(self, row: int, arm: int, volatility: float) -> float:
        """See `Outcomes`."""
        del volatility
        mean = self.means[int(row >= self.change), arm]
        return float(self._random.normal(mean, MADE_UP_SD))

    def worth(self, rows: slice, volatility: Array) -> Array:
        """See `Outcomes`."""
        late = np.arange(rows.start, rows.stop) >= self.change
        found: Array = self.means[late.astype(np.intp)]
        del volatility
        return found
