"""Tests whether the last days of a symbol come from where its history came from.

Per feature, the two-sample Kolmogorov-Smirnov statistic
`D = sup |F_window(x) - F_reference(x)|` (Smirnov 1939) of the last n days, for several n:
a short window finds a large shift early, a long one a small shift at all.
Days next to each other are alike, so that the textbook's critical values would alarm all the time:
D is compared with the values that it took in the symbols' own past (see `Limits`).
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True)
class Reference:
    """What is usual for a symbol: samples of its history, sorted."""

    samples: Array
    """[F, m], ascending."""
    mean: Array
    """[F]"""

    @classmethod
    def of(cls, rows: Array, most: int) -> "Reference":
        """Make it of `rows` [n, F]: at most `most` of each feature, evenly spaced by rank."""
        kept = np.round(np.linspace(0, len(rows) - 1, min(most, len(rows)))).astype(np.int64)
        return cls(np.ascontiguousarray(np.sort(rows, axis=0)[kept].T), rows.mean(axis=0))

    def ranks(self, rows: Array) -> Array:
        """Give the share of the reference below each value of `rows` [n, F], and up to it: [2, n, F]."""
        found = np.empty((2, *rows.shape))
        for place, samples in enumerate(self.samples):
            found[0, :, place] = np.searchsorted(samples, rows[:, place], side="left")
            found[1, :, place] = np.searchsorted(samples, rows[:, place], side="right")
        found /= self.samples.shape[1]
        return found


def statistics(ranks: Array) -> Array:
    """Give D for ranks [2, ..., n, F] of windows of n days: [..., F]."""
    below, up_to = np.sort(ranks, axis=-2)
    days = ranks.shape[-2]
    steps = np.arange(1, days + 1)[:, None] / days
    # The greatest distance is at a day of the window: at its step up, or just before it.
    above: Array = (steps - up_to).max(axis=-2)
    beneath: Array = (below - steps + 1 / days).max(axis=-2)
    return np.maximum(above, beneath)


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """How a symbol's last days compare with its past."""

    score: float
    """0..1: 0.5 is the border, see `Limits.score`."""
    drifted: NDArray[np.bool_]
    """[F]"""
    statistic: Array
    """[F]: D in the window in which it is largest against its critical value."""
    critical: Array
    """[F]: the critical value in that window."""
    days: NDArray[np.int64]
    """[F]: that window's days."""


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """How large D may be, found out from history (`models.steps.guard.calibration`)."""

    sizes: tuple[int, ...]
    """Days of the windows, ascending; none where history was too short to calibrate any."""
    critical: Array
    """[sizes, F]"""
    border: int
    """So many drifted features are nothing unusual."""

    @property
    def longest(self) -> int:
        """Days that have to be kept."""
        return max(self.sizes, default=0)

    def judge(self, ranks: Array) -> Verdict | None:
        """Judge the ranks [2, n, F] of the last n days; None while they are too few for any window."""
        found = [
            (size, statistics(ranks[:, -size:]), critical)
            for size, critical in zip(self.sizes, self.critical, strict=True)
            if size <= ranks.shape[1]
        ]
        if not found:
            return None
        sizes = np.array([size for size, _, _ in found])
        statistic = np.array([each for _, each, _ in found])
        critical = np.array([each for _, _, each in found])
        worst = (statistic / critical).argmax(axis=0)
        at = (worst, np.arange(statistic.shape[1]))
        drifted = statistic[at] > critical[at]
        return Verdict(
            score=self.score(int(drifted.sum()), len(drifted)),
            drifted=drifted,
            statistic=statistic[at],
            critical=critical[at],
            days=sizes[worst],
        )

    def score(self, drifted: int, features: int) -> float:
        """Give 0 for no drifted feature, 0.5 for as many as `border`, 1 for all; linear between.

        So it is the share of drifted features, stretched so that more than 0.5 is unusual.
        """
        if drifted <= self.border:
            return 0.5 * drifted / self.border if self.border else 0.0
        return 0.5 + 0.5 * (drifted - self.border) / (features - self.border)
