"""Walks forward through the years: whoever forecasts a day knew only what came before it.

On the first of January of each year every model is trained (`models.procedure`) on the targets
that were known a week before, and forecasts that year.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np

from runtimes.predictor import artifact

from . import dataset, discovery, features, fitting, procedure, processes, sources

FEATURE_NAMES = tuple(column.name for column in features.FEATURES)

YEARS = 10
"""Years that are walked through if nothing else is asked for: the last ones."""


@dataclasses.dataclass(frozen=True, slots=True)
class Year:
    """One model's year."""

    year: int
    past: fitting.Ledger
    """What the model had forecast, before the year began, for days that it had not seen."""
    forecasts: fitting.Ledger
    """What it forecast for the year."""
    interval: artifact.IntervalRule


Walk = Sequence[Year]


def years(data: dataset.Dataset, first: int | None = None) -> tuple[int, ...]:
    """Give the years to walk through: the last ten that have a long enough past, or from `first`.

    Raises DataError if there is none.
    """
    known = ~np.isnat(data.known)
    with_targets = sorted({int(str(date)[:4]) for date in np.unique(data.date[known])})
    possible = [year for year in with_targets if _long_enough(data, year)]
    if not possible:
        span = f"{data.date.min()} to {data.date.max()}" if len(data) else "nothing"
        raise sources.DataError(
            f"too short to walk forward: the days with features are {span}, and no year among "
            f"them has {procedure.FEWEST_ROWS} rows to fit on and as many to hold out before it; "
            "give at least two calendar years more, or more symbols"
        )
    if first is None:
        return tuple(possible[-YEARS:])
    if first > possible[-1]:
        raise sources.DataError(
            f"no year from {first} on can be walked through: {possible[0]} to {possible[-1]} can"
        )
    return tuple(year for year in possible if year >= first)


def _long_enough(data: dataset.Dataset, year: int) -> bool:
    try:
        procedure.split(data, procedure.known_before(data, start(year)))
    except sources.DataError:
        return False
    return True


def start(year: int) -> np.datetime64:
    """Give the first day of `year`."""
    return np.datetime64(f"{year:04d}-01-01", "D")


def rows_of(data: dataset.Dataset, year: int) -> dataset.Rows:
    """Give the rows of `year` whose targets are known, ascending by date."""
    rows = procedure.known_before(data, None)
    dates = data.date[rows]
    return rows[(dates >= start(year)) & (dates < start(year + 1))]


def walk(name: str, data: dataset.Dataset, chosen: Sequence[int], seed: int) -> list[Year]:
    """Let a model that combines no others walk through the years `chosen`."""
    earlier: fitting.Trained | None = None
    result = []
    for year in chosen:
        earlier = procedure.train(
            name, data, FEATURE_NAMES, seed=seed, until=start(year), earlier=earlier
        )
        forecasts = procedure.forecast(data, rows_of(data, year), earlier.fitted)
        result.append(Year(year, earlier.ledger, forecasts, earlier.interval))
        processes.advance()
    return result


def walk_over(name: str, data: dataset.Dataset, walks: Mapping[str, Walk], seed: int) -> list[Year]:
    """Let a model that combines others walk through the years of its members' walks."""
    result = []
    for steps in zip(*walks.values(), strict=True):
        members = {
            member: fitting.Member(estimator=procedure.Recorded(step.forecasts), ledger=step.past)
            for member, step in zip(walks, steps, strict=True)
        }
        year = steps[0].year
        trained = procedure.train(
            name, data, FEATURE_NAMES, seed=seed, until=start(year), members=members
        )
        forecasts = procedure.forecast(data, rows_of(data, year), trained.fitted)
        result.append(Year(year, trained.ledger, forecasts, trained.interval))
        processes.advance()
    return result


def walk_all(
    names: Sequence[str],
    source: sources.Source,
    chosen: Sequence[int],
    seed: int,
    on_advance: processes.Advance,
) -> dict[str, Walk]:
    """Let all models `names` walk, side by side; members have to be among them."""
    jobs = {
        name: functools.partial(_walk_in_process, name, source, tuple(chosen), seed)
        for name in names
        if not discovery.declared(name).combines
    }
    walks: dict[str, Walk] = dict(processes.run(jobs, on_advance))
    data = dataset.load(source)
    for name in names:
        if discovery.declared(name).combines:
            members = {member: walks[member] for member in discovery.members(name)}
            walks[name] = walk_over(name, data, members, seed)
            for _ in chosen:
                on_advance()
    return {name: walks[name] for name in names}


def _walk_in_process(
    name: str, source: sources.Source, chosen: Sequence[int], seed: int
) -> list[Year]:
    return walk(name, dataset.load(source), chosen, seed)
