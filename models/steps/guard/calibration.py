"""How far apart a symbol's days and its past may be before that is drift: found out from history.

Kolmogorov and Smirnov's critical values hold for independent values.
Those of a market are alike for months: tested so, every second window of undisturbed history drifts.
So the statistic is taken as it would have been in the past:
every few days, the windows of the last n days against all days of the symbol before them
(moving blocks, Künsch 1989, "The Jackknife and the Bootstrap for General Stationary Observations",
with the block as long as the window).

Two numbers are set. A feature's critical value is the `LEVEL` quantile of its own statistic,
times one factor for all; the factor is the one with which more than `border` features drift
in the share `RATE` of windows that had no part in the quantiles (periods are held out in turn).
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from models import dataset
from runtimes.guard import windows

SIZES = (25, 50, 100, 200)
"""Days of the windows: a month, a quarter, five months, most of a year."""

RATE = 0.01
"""The share of undisturbed windows whose score is above 0.5."""

LEVEL = 0.95
BORDER_SHARE = 1 / 8
"""So many features may drift before the score is above 0.5."""

FIRST_REFERENCE = 504
"""The fewest days that a window is compared with: two years."""

STRIDE = 15
"""Days from one window of the past to the next."""

SAMPLES = 2_000
"""Values of each feature that a reference keeps."""

_PERIODS = 6
_FEWEST_WINDOWS = 30
_LEAST_CRITICAL = 0.05
"""For a feature that never moved in the past."""
_GREATEST_CRITICAL = 0.99
"""In the longest window: what lies wholly outside of the past has drifted, whatever the regime.

D is never above 1, and a regime's features come close to that in short windows.
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Past:
    """The statistics that windows of history had against what came before them."""

    statistics: dataset.Array
    """[sizes, windows, F]"""
    begins: dataset.Days
    """[windows]: the longest window's first day."""
    ends: dataset.Days
    """[windows]"""

    @classmethod
    def of(cls, data: dataset.Dataset, rows: dataset.Rows, sizes: Sequence[int]) -> "Past":
        """Take it from the `rows` of all symbols."""
        parts = [
            _of_symbol(data, rows[data.symbol[rows] == place], sizes)
            for place in range(len(data.symbols))
        ]
        return cls(
            np.concatenate([part.statistics for part in parts], axis=1),
            np.concatenate([part.begins for part in parts]),
            np.concatenate([part.ends for part in parts]),
        )


def _of_symbol(data: dataset.Dataset, rows: dataset.Rows, sizes: Sequence[int]) -> Past:
    features, dates, longest = data.features[rows], data.date[rows], max(sizes)
    starts = range(FIRST_REFERENCE, len(rows) - longest + 1, STRIDE)
    found = np.empty((len(sizes), len(starts), features.shape[1]))
    for place, start in enumerate(starts):
        reference = windows.Reference.of(features[:start], SAMPLES)
        ranks = reference.ranks(features[start : start + longest])
        for size, days in enumerate(sizes):
            found[size, place] = windows.statistics(ranks[:, -days:])
    firsts = np.array(starts, dtype=np.int64)
    return Past(found, dates[firsts], dates[firsts + longest - 1])


def calibrate(data: dataset.Dataset, rows: dataset.Rows) -> windows.Limits:
    """Give the limits that hold the rate in the history `rows`.

    Windows for which history is too short are left out, and if it is too short for all, all are.
    """
    features = data.features.shape[1]
    border = int(features * BORDER_SHARE)
    for count in range(len(SIZES), 0, -1):
        sizes = SIZES[:count]
        past = Past.of(data, rows, sizes)
        ratios = _held_out_ratios(past)
        if ratios is not None:
            # More than `border` features drift where the next largest ratio is above the factor.
            telling = np.sort(ratios, axis=1)[:, -1 - border]
            factor = np.quantile(telling, 1.0 - RATE)
            critical = np.quantile(past.statistics, LEVEL, axis=1)
            critical = factor * np.maximum(critical, _LEAST_CRITICAL)
            critical[-1] = np.minimum(critical[-1], _GREATEST_CRITICAL)
            return windows.Limits(sizes, critical, border)
    return windows.Limits((), np.empty((0, features)), border)


def _held_out_ratios(past: Past) -> dataset.Array | None:
    """Give every window's statistics against the quantiles of other periods: [windows, F].

    None if there are too few windows.
    """
    if len(past.ends) < _FEWEST_WINDOWS:
        return None
    edges = np.quantile(past.ends.astype(np.int64), np.linspace(0, 1, _PERIODS + 1))
    period = np.searchsorted(edges[1:-1], past.ends.astype(np.int64), side="left")
    ratios = np.empty(past.statistics.shape[1:])
    for each in np.unique(period):
        held = period == each
        first, last = past.begins[held].min(), past.ends[held].max()
        others = (past.ends < first) | (past.begins > last)
        if not others.any():
            return None
        critical = np.quantile(past.statistics[:, others], LEVEL, axis=1)
        against = np.maximum(critical, _LEAST_CRITICAL)[:, None]
        ratios[held] = (past.statistics[:, held] / against).max(axis=0)
    return ratios
