"""Real inputs for a predictor: of a symbol's newest day, or of all its days.

Needs neither torch nor LightGBM; the first call for a source computes its dataset, later ones
read it from the cache without pandas.
"""

import dataclasses
import datetime as dt

import numpy as np

from . import dataset, sources


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """What a predictor is asked for one symbol and day."""

    symbol: str
    date: dt.date
    close: float
    """Adjusted close of the day."""
    features: dataset.Array
    """[1, F]"""
    history: dataset.Array
    """[1, T, C]"""


@dataclasses.dataclass(frozen=True, slots=True)
class Days:
    """Inputs for n days of one symbol, oldest first."""

    symbol: str
    date: dataset.Days
    """[n]"""
    close: dataset.Array
    """[n]"""
    features: dataset.Array
    """[n, F]"""
    history: dataset.Array
    """[n, T, C]"""

    def __len__(self) -> int:
        return len(self.date)


def symbols(source: sources.Source) -> tuple[str, ...]:
    """Give the symbols of `source`."""
    return dataset.load(source).symbols


def latest(symbol: str, source: sources.Source) -> Request:
    """Give the inputs of the newest day of `symbol`.

    Raises DataError for a symbol that the source lacks, with those that it has.
    """
    day = days(symbol, source, last=1)
    date: dt.date = day.date[0].item()
    return Request(
        symbol=symbol,
        date=date,
        close=float(day.close[0]),
        features=day.features,
        history=day.history,
    )


def days(symbol: str, source: sources.Source, *, last: int | None = None) -> Days:
    """Give the inputs of all days of `symbol`, or of its `last` ones."""
    data = dataset.load(source)
    rows = data.of(symbol)
    if last is not None:
        rows = rows[len(rows) - min(last, len(rows)) :]
    if len(rows) == 0:
        raise sources.DataError(
            f"no day of {symbol} has a complete past: its history is too short, or has no "
            "day on which everything is known"
        )
    return Days(
        symbol=symbol,
        date=data.date[rows],
        close=data.close[rows],
        features=data.features[rows],
        history=np.ascontiguousarray(data.history(rows)),
    )
