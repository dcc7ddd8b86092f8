"""Sums a walk up: measures per model and regime, with block-bootstrap intervals.

Days are resampled in blocks of geometric length, all symbols of a day together, the same days for
every model (stationary bootstrap, Politis and Romano 1994): targets overlap, and markets move as
one.
Beside the models stand two references and one rule:
`last value`, `routed` (each day the model that was made for its regime), and the best single
model, picked with hindsight on the same days, which flatters it.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import arch.bootstrap
import numpy as np
import numpy.typing as npt

from . import calibration, dataset, discovery, fitting, procedure, regimes, scoring, walkforward

LAST_VALUE = "last value"
ROUTED = "routed"
EVERY = "every"
CALM_MODEL = "baseline"
"""The model that the rule takes on days for whose regime no model was made."""

BLOCK_DAYS = 22
REPETITIONS = 1000
CONFIDENCE = 0.95
FEWEST_DAYS = 3 * BLOCK_DAYS
"""Fewer days of a regime give no interval: there is too little to resample."""

Array = dataset.Array


@dataclasses.dataclass(frozen=True, slots=True)
class Estimate:
    """A measure with its interval; the ends are NaN where there is too little to resample."""

    value: float
    low: float
    high: float

    def document(self) -> dict[str, float | None]:
        """Give it as JSON's types."""
        return {
            name: float(f"{value:.6g}") if np.isfinite(value) else None
            for name, value in dataclasses.asdict(self).items()
        }


@dataclasses.dataclass(frozen=True, slots=True)
class Score:
    """One model on the days of one regime."""

    model: str
    measures: Mapping[str, Estimate]
    coverage: float | None
    """Share of the days whose volatility lay in the interval; None for a reference without one."""
    gain_over_last_value: Estimate
    """By how much, as a share, the error of log volatility is smaller."""
    gain_over_best_single: Estimate


@dataclasses.dataclass(frozen=True, slots=True)
class Section:
    """All models on the days of one regime, or of every one."""

    regime: str
    rows: int
    days: int
    best_single: str | None
    scores: Sequence[Score]

    def document(self) -> dict[str, Any]:
        """Give it as JSON's types."""
        return {
            "rows": self.rows,
            "days": self.days,
            "best_single": self.best_single,
            "models": {
                score.model: {
                    **{name: value.document() for name, value in score.measures.items()},
                    "coverage": score.coverage,
                    "gain_over_last_value": score.gain_over_last_value.document(),
                    "gain_over_best_single": score.gain_over_best_single.document(),
                }
                for score in self.scores
            },
        }


@dataclasses.dataclass(frozen=True, slots=True)
class _Table:
    """What every model forecast for the same rows."""

    rows: dataset.Rows
    regime: npt.NDArray[np.str_]
    losses: Mapping[str, Array]
    """[k, 4] a model"""
    covered: Mapping[str, npt.NDArray[np.bool_]]
    """[k] a model that gives intervals"""


def sections(
    data: dataset.Dataset, walks: Mapping[str, walkforward.Walk], seed: int
) -> list[Section]:
    """Sum up `walks`: first every day, then regime by regime."""
    table = _table(data, walks)
    singles = [name for name in walks if not discovery.declared(name).combines]
    result = []
    for regime in (EVERY, *regimes.NAMES):
        chosen = np.full(len(table.rows), fill_value=True)
        if regime != EVERY:
            chosen = table.regime == regime
        if chosen.any():
            result.append(_section(regime, data, table, chosen=chosen, singles=singles, seed=seed))
    return result


def _table(data: dataset.Dataset, walks: Mapping[str, walkforward.Walk]) -> _Table:
    ledgers = {name: _joined([year.forecasts for year in walk]) for name, walk in walks.items()}
    rows = next(iter(ledgers.values())).rows
    regime = regimes.of(data.history(rows))
    covered = {
        name: np.concatenate([_covered(data, year) for year in walk])
        for name, walk in walks.items()
    }
    if routed := _routed(ledgers, regime):
        ledgers[ROUTED] = routed
    last = [_last_value(data, year) for year in next(iter(walks.values()))]
    ledgers[LAST_VALUE] = _joined(last)
    return _Table(
        rows=rows,
        regime=regime,
        losses={name: scoring.losses(data, ledger).matrix() for name, ledger in ledgers.items()},
        covered=covered,
    )


def _joined(ledgers: Sequence[fitting.Ledger]) -> fitting.Ledger:
    first, *others = ledgers
    for other in others:
        first = first.append(other)
    return first


def _covered(data: dataset.Dataset, year: walkforward.Year) -> npt.NDArray[np.bool_]:
    rows = year.forecasts.rows
    column = data.features[rows, walkforward.FEATURE_NAMES.index(year.interval.feature)]
    scaled = (data.log_volatility[rows] - year.forecasts.log_volatility) / (
        year.interval.scale(column)
    )
    return (scaled >= year.interval.lower) & (scaled <= year.interval.upper)


def _last_value(data: dataset.Dataset, year: walkforward.Year) -> fitting.Ledger:
    earlier = procedure.known_before(data, walkforward.start(year.year))
    return scoring.naive(
        data,
        walkforward.FEATURE_NAMES,
        year.forecasts.rows,
        base_rate=float(data.rise[earlier].mean()),
    )


def _routed(
    ledgers: Mapping[str, fitting.Ledger], regime: npt.NDArray[np.str_]
) -> fitting.Ledger | None:
    """Take each day from the model made for its regime; None if one of them did not walk."""
    made_for = {discovery.declared(name).regime: name for name in discovery.folders()}
    takes = {name: made_for.get(name, CALM_MODEL) for name in regimes.NAMES}
    if not set(takes.values()) <= set(ledgers):
        return None
    rows = next(iter(ledgers.values())).rows
    volatility, direction = np.empty(len(rows)), np.empty(len(rows))
    for name, model in takes.items():
        chosen = regime == name
        volatility[chosen] = ledgers[model].log_volatility[chosen]
        direction[chosen] = ledgers[model].direction[chosen]
    return fitting.Ledger(rows, volatility, direction)


def _section(  # noqa: PLR0913  # each is a different thing
    regime: str,
    data: dataset.Dataset,
    table: _Table,
    *,
    chosen: npt.NDArray[np.bool_],
    singles: Sequence[str],
    seed: int,
) -> Section:
    names = list(table.losses)
    dates, day = np.unique(data.date[table.rows], return_inverse=True)
    counts: Array = np.bincount(day, weights=chosen, minlength=len(dates)).astype(np.float64)
    sums: Array = np.stack(
        [
            np.column_stack(
                [
                    np.bincount(day, column * chosen, len(dates)).astype(np.float64)
                    for column in table.losses[name].T
                ]
            )
            for name in names
        ],
        axis=1,
    )
    values = scoring.measures(sums.sum(axis=0) / counts.sum())
    best = min(singles, key=lambda name: values[names.index(name), 0]) if singles else None
    against = (names.index(LAST_VALUE), names.index(best or LAST_VALUE))

    def statistic(sums: Array, counts: Array) -> Array:
        # A resample without any day of a rare regime says nothing: NaN, left out below.
        total = counts.sum()
        measures = scoring.measures(sums.sum(axis=0) / (total or np.nan))
        gains = [1 - measures[:, 0] / measures[other, 0] for other in against]
        result: Array = np.concatenate([measures.ravel(), *gains])
        return result

    days = int((counts > 0).sum())
    points = statistic(sums, counts)
    low = high = np.full(len(points), np.nan)
    if days >= FEWEST_DAYS:
        resamples = arch.bootstrap.StationaryBootstrap(BLOCK_DAYS, sums, counts, seed=seed).apply(
            statistic, REPETITIONS
        )
        tail = (1 - CONFIDENCE) / 2
        low, high = np.nanquantile(resamples, [tail, 1 - tail], axis=0)
    estimates = [Estimate(*values) for values in zip(points, low, high, strict=True)]
    width = len(scoring.LOWER_IS_BETTER)
    after = len(names) * width
    scores = [
        Score(
            model=name,
            measures=dict(
                zip(
                    scoring.LOWER_IS_BETTER,
                    estimates[place * width : (place + 1) * width],
                    strict=True,
                )
            ),
            coverage=float(f"{table.covered[name][chosen].mean():.4g}")
            if name in table.covered
            else None,
            gain_over_last_value=estimates[after + place],
            gain_over_best_single=estimates[after + len(names) + place],
        )
        for place, name in enumerate(names)
    ]
    return Section(
        regime=regime, rows=int(chosen.sum()), days=days, best_single=best, scores=scores
    )


LEVEL = calibration.LEVEL
"""Share of the days that intervals are to contain."""
