"""What a model would have seen if today had gone otherwise.

A scenario chooses three things of today: the log return, the logarithm of the annualised variance,
and by how much the other markets' tension differs.
All features that today has a part in are computed from these and from what a request holds, as the
features are defined (`models.features`); the rest of the past stays as it was, and so does what
no rule covers.
The history's last day is today: it changes alike.

Approximations, all bounded by how little they reach into the past:
the true range grows with the root of today's variance;
the highest close before today is that of the history's days where today is the year's highest;
the averages of the relative strength index are those of the history's days;
the year's variance has 252 days.
A close-only series (no share of the day's range in a month's variance) has the squared return as
its variance, so that only the return is chosen.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from runtimes import contract
from runtimes.predictor import artifact

from . import bundle

Array = artifact.Array

RETURN, LOG_VARIANCE = 0, 1
"""Channels of the history."""

CHOSEN, FOLLOWS = "chosen", "follows"

WEEK, MONTH, YEAR, TREND = 5, 22, 252, 60
DECAY = 1 / 14
FAST, SLOW = 2 / 13, 2 / 27
"""Weights of the newest day in averages of spans 12 and 26."""

LEAST_RANGE = (0.5 - (2 * np.log(2) - 1)) / (1.5 - (2 * np.log(2) - 1))
"""Least variance of a day by its squared return: the range holds open and close, and with the part
`g` of it overnight, `g**2 + (0.5 - (2 ln 2 - 1)) * (1 - g)**2` is least at this."""

FORMULAS = (
    "return_1d",
    "return_5d",
    "return_22d",
    "shock_1d",
    "log_variance_22d",
    "variance_ratio_1d",
    "variance_ratio_5d",
    "variance_ratio_252d",
    "volatility_of_volatility_22d",
    "market_tension",
    "downside_share_22d",
    "intraday_share_22d",
    "true_range_1d",
    "trend_60d",
    "drawdown_252d",
    "rsi_14d",
    "macd_12_26",
)
"""The features that are computed here."""

VARIABLES = ("return", "log_variance", "other_markets")
"""What is chosen, in the order of the columns of `choices`."""

UNITS = ("log return of today", "ln(variance a year) of today", "ln ratio, added to market_tension")


def check(source: bundle.Bundle) -> None:
    """Raise BundleError if the bundle's definitions ask for what is not computed here."""
    if source.definitions is None:
        raise bundle.BundleError(
            f"{source.folder / bundle.DOCUMENT}: has no `definitions`: it is the bundle for the "
            "path; explanations on demand need their own"
        )
    for name, change in source.definitions.changes.items():
        if change.rule in {CHOSEN, FOLLOWS} and name not in FORMULAS:
            raise bundle.BundleError(
                f"{source.folder / bundle.DOCUMENT}: {name} is said to change with today, but "
                "there is no formula for it: declare it held, or add one to runtimes/explainer"
            )


@dataclasses.dataclass(frozen=True, slots=True)
class Day:
    """One row as it was, and what may become of it."""

    features: Array
    """[F]"""
    history: Array
    """[T, C]"""
    names: tuple[str, ...]
    definitions: bundle.Definitions

    @classmethod
    def of(cls, features: Array, history: Array, source: bundle.Bundle) -> "Day":
        """Take one row: `features` [1, F], `history` [1, T, C]."""
        if source.definitions is None:
            raise bundle.BundleError(f"{source.folder}: says nothing of what may change")
        names = tuple(feature.name for feature in source.features)
        return cls(features[0], history[0], names, source.definitions)

    @property
    def missing(self) -> tuple[str, ...]:
        """What a scenario starts from, and this model does not see."""
        return tuple(name for name in FORMULAS if name not in self.names)

    @property
    def close_only(self) -> bool:
        """Whether the day's range is unknown."""
        return self._feature("intraday_share_22d") == 0.0

    @property
    def actual(self) -> Array:
        """What is chosen, as it was: [3]."""
        return np.array([self.history[-1, RETURN], self.history[-1, LOG_VARIANCE], 0.0])

    @property
    def scale(self) -> Array:
        """One unit of distance [3]: the month's deviation of a day, and what is usual of the others."""
        scales = self.definitions.scales
        deviation = np.sqrt(self._month)
        return np.array([deviation, scales["variance_ratio_1d"], scales["market_tension"]])

    def possible(self, choices: Array) -> Array:
        """Make choices [n, 3] ones that a day can have: no range is narrower than the move."""
        made = choices.copy()
        squared = choices[:, 0] ** 2
        least = squared if self.close_only else LEAST_RANGE * squared
        lowest = np.log(contract.TRADING_DAYS * np.maximum(least, self.definitions.variance_floor))
        moved = choices[:, 0] != self.actual[0]
        if self.close_only:
            made[:, 1] = np.where(moved, lowest, self.actual[1])
        else:
            made[:, 1] = np.where(
                moved | (choices[:, 1] != self.actual[1]),
                np.maximum(choices[:, 1], lowest),
                choices[:, 1],
            )
        return made

    def rows(self, choices: Array) -> tuple[Array, Array]:
        """Give `features` [n, F] and `history` [n, T, C] for possible choices [n, 3]."""
        history = np.repeat(self.history[None], len(choices), axis=0)
        history[:, -1, RETURN] = choices[:, 0]
        history[:, -1, LOG_VARIANCE] = choices[:, 1]
        features = np.repeat(self.features[None], len(choices), axis=0)
        for name, values in self._computed(choices, history).items():
            change = self.definitions.changes.get(name)
            if change is not None and change.rule in {CHOSEN, FOLLOWS}:
                column = features[:, self.names.index(name)]
                # What was computed again and came out the same but for its last bits is the same.
                column[:] = np.where(
                    np.isclose(values, column, rtol=1e-9, atol=1e-12), column, values
                )
        return features, history

    def observed(self, features: Array) -> npt.NDArray[np.bool_]:
        """Say of rows [n, F] whether nothing that changed lies beyond what training observed."""
        changes = [self.definitions.changes.get(name) for name in self.names]
        least = np.array([-np.inf if each is None else each.least for each in changes])
        most = np.array([np.inf if each is None else each.most for each in changes])
        # Today itself may lie beyond: then a scenario goes no further.
        least, most = np.minimum(least, self.features), np.maximum(most, self.features)
        inside = (features >= least - 1e-12) & (features <= most + 1e-12)
        result: npt.NDArray[np.bool_] = inside.all(axis=1)
        return result

    @property
    def _month(self) -> float:
        """The month's mean daily variance."""
        return float(np.exp(self._feature("log_variance_22d")) / contract.TRADING_DAYS)

    def _feature(self, name: str) -> float:
        return float(self.features[self.names.index(name)])

    def _computed(self, choices: Array, history: Array) -> Mapping[str, Array]:
        old = {name: self._feature(name) for name in FORMULAS}
        made = self._of_variance(old, choices[:, 1], history)
        deviation = np.sqrt(made.pop("month"))
        returns = choices[:, 0]
        moved = returns - self.actual[0]
        ratio = made.pop("growth")
        floor = np.sqrt(self._month)
        span = np.maximum(old["true_range_1d"] * floor * np.sqrt(ratio), np.abs(returns))
        made |= self._of_close(old, moved, history)
        made["return_1d"] = old["return_1d"] + moved
        made["return_5d"] = old["return_5d"] + moved
        made["return_22d"] = old["return_22d"] + moved
        made["shock_1d"] = np.minimum(returns, 0.0) / deviation
        made["true_range_1d"] = span / deviation
        own = made["variance_ratio_5d"] - made["variance_ratio_252d"]
        before = old["variance_ratio_5d"] - old["variance_ratio_252d"]
        made["market_tension"] = (
            old["market_tension"] + (own - before) / self.definitions.symbols + choices[:, 2]
        )
        return made

    def _of_variance(
        self, old: Mapping[str, float], log_variance: Array, history: Array
    ) -> dict[str, Array]:
        """Give what follows from today's variance, with the month's mean and today's growth."""
        floor = self.definitions.variance_floor

        def log(variance: Array) -> Array:
            annual: Array = np.log(contract.TRADING_DAYS * np.maximum(variance, floor))
            return annual

        month = self._month
        week = month * np.exp(old["variance_ratio_5d"])
        year = month * np.exp(old["variance_ratio_252d"])
        today = np.exp(self.actual[1]) / contract.TRADING_DAYS
        variance = np.exp(log_variance) / contract.TRADING_DAYS
        more = variance - today
        new_month = month + more / MONTH
        of_range = old["intraday_share_22d"] * month * MONTH
        share = (of_range + more) / (month * MONTH + more)
        level = log(new_month)
        return {
            "month": np.maximum(new_month, floor),
            "growth": variance / today,
            "log_variance_22d": level,
            "variance_ratio_1d": log(variance) - level,
            "variance_ratio_5d": log(week + more / WEEK) - level,
            "variance_ratio_252d": log(year + more / YEAR) - level,
            "volatility_of_volatility_22d": history[:, -MONTH:, LOG_VARIANCE].std(axis=1, ddof=1),
            "intraday_share_22d": (
                np.zeros(len(more)) if self.close_only else np.clip(share, 0.0, 1.0)
            ),
        }

    def _of_close(self, old: Mapping[str, float], moved: Array, history: Array) -> dict[str, Array]:
        """Give what follows from where today closes, `moved` [n] from where it did."""
        growth = np.exp(moved)
        month = history[:, -MONTH:, RETURN]
        squares = month**2
        total = squares.sum(axis=1)
        falls = np.where(month < 0, squares, 0.0).sum(axis=1)
        still = total <= MONTH * self.definitions.variance_floor / 100
        others = TREND * np.exp(-old["trend_60d"]) - 1.0
        return {
            "downside_share_22d": np.where(still, 0.5, falls / np.where(still, 1.0, total)),
            "trend_60d": -np.log((others / growth + 1.0) / TREND),
            "drawdown_252d": self._drawdown(old["drawdown_252d"], moved),
            "rsi_14d": self._relative_strength(old["rsi_14d"], moved),
            "macd_12_26": (old["macd_12_26"] + (FAST - SLOW) * (growth - 1.0)) / growth,
        }

    def _drawdown(self, old: float, moved: Array) -> Array:
        if old < 0:
            below: Array = np.minimum(0.0, old + moved)
            return below
        # Logarithms of the closes before today against today's.
        before = -np.cumsum(self.history[::-1, RETURN])
        highest: Array = np.minimum(0.0, moved - before.max())
        return highest

    def _relative_strength(self, old: float, moved: Array) -> Array:
        returns = self.history[::-1, RETURN]
        weights = DECAY * (1 - DECAY) ** np.arange(len(returns))
        total = float((weights * np.abs(returns)).sum())
        rise = old / 100 * total
        fall = total - rise
        today = self.actual[0]
        new = today + moved
        rises = np.maximum(rise + DECAY * (np.maximum(new, 0.0) - max(today, 0.0)), 0.0)
        falls = np.maximum(fall + DECAY * (np.maximum(-new, 0.0) - max(-today, 0.0)), 0.0)
        both = rises + falls
        index: Array = np.where(both > 0, 100 * rises / np.where(both > 0, both, 1.0), 50.0)
        return index
