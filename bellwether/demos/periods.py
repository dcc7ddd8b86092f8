"""Stretches of real history that stand for a kind of market, and their days."""

import dataclasses
import enum

import numpy as np

from bellwether import demos
from models import dataset, requests, sources


class Market(enum.StrEnum):
    """What a demo's `--market-conditions` may be."""

    VOLATILE = "volatile"
    BULL = "bull"
    BEAR = "bear"
    SIDEWAYS = "sideways"
    HISTORY = "history"


@dataclasses.dataclass(frozen=True, slots=True)
class Period:
    """From the first day to the last one, both included."""

    market: Market
    first: np.datetime64
    last: np.datetime64
    what: str

    def __str__(self) -> str:
        return f"{self.market}: {self.what}"


def _period(market: Market, first: str, last: str, what: str) -> Period:
    return Period(market, np.datetime64(first, "D"), np.datetime64(last, "D"), what)


PERIODS = {
    period.market: period
    for period in (
        _period(Market.VOLATILE, "2008-09-01", "2009-03-31", "Lehman's fall and the winter after"),
        _period(Market.BULL, "2017-01-01", "2017-12-31", "the calm rise of 2017"),
        _period(Market.BEAR, "2001-01-01", "2002-12-31", "the long fall of 2001 and 2002"),
        _period(Market.SIDEWAYS, "2015-01-01", "2015-12-31", "2015, which ended where it began"),
        _period(Market.HISTORY, "1900-01-01", "2100-01-01", "everything that there is"),
    )
}
"""Of the S&P 500's daily closes: -38 % at 56 % volatility a year from autumn 2008 on, +18 % at 7 % in
2017, -31 % at 24 % in 2001 and 2002, -1 % at 16 % in 2015.
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Days:
    """The days of a period, with what came true after each."""

    period: Period
    inputs: requests.Days
    log_volatility: dataset.Array
    """[n]: logarithm of the volatility realised in the five days after; NaN if not known yet."""
    last_value: dataset.Array
    """[n]: logarithm of the past week's volatility."""

    def __len__(self) -> int:
        return len(self.inputs)


def days(market: Market, symbol: str, source: sources.Source) -> Days:
    """Give the days of a period on which everything is known that a model sees.

    Raises:
        sources.DataError: the data lacks the symbol, or is bad.
        DemoError: the data has no day of the period.

    """
    period = PERIODS[market]
    data = dataset.load(source)
    whole = requests.days(symbol, source)
    chosen = np.flatnonzero((whole.date >= period.first) & (whole.date <= period.last))
    if not len(chosen):
        raise demos.DemoError(
            f"{symbol} has no day from {period.first} to {period.last} ({period}): its days are "
            f"{whole.date[0]} to {whole.date[-1]}; choose another --market-conditions or --symbol"
        )
    rows = data.of(symbol)[chosen]
    return Days(
        period=period,
        inputs=requests.Days(
            symbol=symbol,
            date=whole.date[chosen],
            close=whole.close[chosen],
            features=whole.features[chosen],
            history=whole.history[chosen],
        ),
        log_volatility=data.log_volatility[rows],
        last_value=_last_value(data, rows),
    )


def _last_value(data: dataset.Dataset, rows: dataset.Rows) -> dataset.Array:
    # These bring pandas, which only this function needs.
    from models import scoring, walkforward  # noqa: PLC0415  as above

    return scoring.naive(data, walkforward.FEATURE_NAMES, rows, base_rate=0.5).log_volatility
