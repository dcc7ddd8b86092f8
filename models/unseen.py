"""What the trained models forecast for days that they had not seen, side by side.

Training fits every model on the older days first, and lets it forecast the newer ones, a week's
embargo between (`models.procedure`); these forecasts are kept with the model.
What combines others is combined anew, for each year from its members' forecasts of the years
before (as `models.walkforward` does it), because its own record is cross-fitted; where there is
no year before, it is its members' even mean.
So nobody forecasts a day with anything that was known later.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from runtimes.bandit import utility

from . import (
    artifacts,
    calibration,
    closes,
    dataset,
    discovery,
    fitting,
    index,
    procedure,
    provenance,
    sources,
    walkforward,
)

Array = dataset.Array


@dataclasses.dataclass(frozen=True, slots=True)
class Unseen:
    """Rows of days that no model had seen, ascending by date, and what the forecasts were worth."""

    models: tuple[str, ...]
    rows: dataset.Rows
    """[n]: places in the dataset."""
    date: dataset.Days
    """[n]"""
    known: dataset.Days
    """[n]: the day on which it was known what a forecast was worth."""
    utility: Array
    """[n, K]: realised utility (`runtimes.bandit.utility`), a share of wealth a year."""

    def __len__(self) -> int:
        return len(self.date)


def load(source: sources.Source, seed: int, names: Sequence[str]) -> Unseen:
    """Read what was kept for the models `names`.

    Raises:
        sources.DataError: one of them is not trained on this data.

    """
    data = dataset.load(source)
    ledgers = _kept(source, seed)
    for name in names:
        if name not in ledgers:
            raise sources.DataError(
                f"model {name!r} is not trained on this data with this code: "
                "`uv run bellwether train` trains what is missing"
            )
    found = {
        name: _combined(name, data, ledgers, seed)
        if discovery.declared(name).combines
        else ledgers[name]
        for name in names
    }
    return of(data, found)


def of(data: dataset.Dataset, ledgers: Mapping[str, fitting.Ledger]) -> Unseen:
    """Put ledgers of the same rows side by side."""
    rows = next(iter(ledgers.values())).rows
    if not all(np.array_equal(each.rows, rows) for each in ledgers.values()):
        raise sources.DataError(f"the forecasts of {', '.join(ledgers)} are not of the same days")
    after = closes.after(data, rows)
    came = np.isfinite(after).all(axis=1)
    return Unseen(
        models=tuple(ledgers),
        rows=rows[came],
        date=data.date[rows][came],
        known=data.known[rows][came],
        utility=np.column_stack(
            [
                utility.realised_utility(np.exp(each.log_volatility[came]), after[came])
                for each in ledgers.values()
            ]
        ),
    )


def _kept(source: sources.Source, seed: int) -> dict[str, fitting.Ledger]:
    found = {}
    for name, origin in provenance.of_all(source, seed).items():
        record = index.find(origin)
        if record is not None:
            found[name] = artifacts.load_ledger(record.ledger)
    return found


def _combined(
    name: str, data: dataset.Dataset, ledgers: Mapping[str, fitting.Ledger], seed: int
) -> fitting.Ledger:
    """Combine the members year by year, with what was known before each year."""
    members = {member: ledgers[member] for member in discovery.members(name)}
    rows = next(iter(members.values())).rows
    years = data.date[rows].astype("datetime64[Y]")
    starts = [int(str(year)) for year in np.unique(years)]
    first = np.flatnonzero(years == years.min())
    parts = [_even([_of(ledger, first) for ledger in members.values()])]
    steps = {
        member: [_year(data, ledger, years, year) for year in starts[1:]]
        for member, ledger in members.items()
    }
    if len(starts) > 1:
        walked = walkforward.walk_over(name, data, steps, seed)
        parts += [year.forecasts for year in walked]
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.append(part)
    return whole


def _year(
    data: dataset.Dataset, ledger: fitting.Ledger, years: dataset.Days, year: int
) -> walkforward.Year:
    begin = walkforward.start(year)
    before = np.flatnonzero(data.known[ledger.rows] < begin - procedure.EMBARGO)
    within = np.flatnonzero(years == begin.astype("datetime64[Y]"))
    return walkforward.Year(
        year=year,
        past=_of(ledger, before),
        forecasts=_of(ledger, within),
        interval=calibration.NOT_LEARNT,
    )


def _of(ledger: fitting.Ledger, places: dataset.Rows) -> fitting.Ledger:
    return fitting.Ledger(
        ledger.rows[places], ledger.log_volatility[places], ledger.direction[places]
    )


def _even(ledgers: Sequence[fitting.Ledger]) -> fitting.Ledger:
    return fitting.Ledger(
        ledgers[0].rows,
        np.mean([each.log_volatility for each in ledgers], axis=0),
        np.mean([each.direction for each in ledgers], axis=0),
    )
