"""By how much a split of traffic earned more than others on the same days, with intervals.

As `models.evaluation` does it: days are resampled in blocks (stationary bootstrap, Politis and
Romano 1994), everything of a day together, the same days for everybody.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import arch.bootstrap
import numpy as np

from . import dataset, evaluation

Array = dataset.Array
Estimate = evaluation.Estimate


@dataclasses.dataclass(frozen=True, slots=True)
class Gains:
    """Mean earnings, and what one of them earned more than each of the others."""

    days: int
    earned: Mapping[str, Estimate]
    """By name, the one in question first."""
    over: Mapping[str, Estimate]
    """By name: the difference of the means."""

    def document(self) -> dict[str, Any]:
        """Give it as JSON's types."""
        return {
            "days": self.days,
            "confidence": evaluation.CONFIDENCE,
            "earned": {name: each.document() for name, each in self.earned.items()},
            "gain_over": {name: each.document() for name, each in self.over.items()},
        }


def compare(date: dataset.Days, earnings: Mapping[str, Array], seed: int) -> Gains:
    """Compare the first of `earnings`, each [n], with all others; `date` is [n].

    The ends of an interval are NaN where there are fewer than `evaluation.FEWEST_DAYS` days.
    """
    names = tuple(earnings)
    days, place = np.unique(date, return_inverse=True)
    counts: Array = np.bincount(place, minlength=len(days)).astype(np.float64)
    sums: Array = np.column_stack(
        [np.bincount(place, values, len(days)) for values in earnings.values()]
    )

    def statistic(sums: Array, counts: Array) -> Array:
        means = sums.sum(axis=0) / counts.sum()
        result: Array = np.concatenate([means, means[0] - means[1:]])
        return result

    points = statistic(sums, counts)
    low = high = np.full(len(points), np.nan)
    if len(days) >= evaluation.FEWEST_DAYS:
        resamples = arch.bootstrap.StationaryBootstrap(
            evaluation.BLOCK_DAYS, sums, counts, seed=seed
        ).apply(statistic, evaluation.REPETITIONS)
        tail = (1 - evaluation.CONFIDENCE) / 2
        low, high = np.quantile(resamples, [tail, 1 - tail], axis=0)
    estimates = [Estimate(*map(float, each)) for each in zip(points, low, high, strict=True)]
    return Gains(
        days=len(days),
        earned=dict(zip(names, estimates[: len(names)], strict=True)),
        over=dict(zip(names[1:], estimates[len(names) :], strict=True)),
    )
