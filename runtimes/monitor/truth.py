"""What came true: the volatility of the five days that followed, and whether the next one rose."""

import bisect
import dataclasses
import itertools
import math
import pathlib
from collections.abc import Iterator

import numpy as np

from runtimes import contract


class BarsError(Exception):
    """The file of bars cannot be read."""


@dataclasses.dataclass(frozen=True, slots=True)
class Truth:
    """What followed a day."""

    symbol: str
    date: str
    volatility: float
    """Annualised, of the five daily returns that followed: sqrt(252/5 Σ r²)."""
    rose: bool
    """Whether the next day closed above."""


class Closes:
    """Closes by symbol and day, in order; what a day needs to be judged may arrive in any order."""

    def __init__(self) -> None:
        self._days: dict[str, list[str]] = {}
        self._closes: dict[str, list[float]] = {}

    @classmethod
    def of(cls, path: pathlib.Path) -> "Closes":
        """Read the bars that the enrichment's artifact brings along; raise BarsError."""
        found = cls()
        try:
            with np.load(path, allow_pickle=False) as stored:
                names = [str(name) for name in stored["symbols"]]
                days = stored["date"].astype("datetime64[D]").astype(str).tolist()
                places, closes = stored["symbol"].tolist(), stored["values"][:, 3].tolist()
        except (OSError, ValueError, KeyError) as error:
            raise BarsError(f"{path}: cannot be read as bars ({error})") from error
        for place, day, close in zip(places, days, closes, strict=True):
            found.add(names[place], day, close)
        return found

    def add(self, symbol: str, day: str, close: float) -> list[str]:
        """Take a close; give the days whose truth is known, or another one, since then."""
        days = self._days.setdefault(symbol, [])
        closes = self._closes.setdefault(symbol, [])
        place = bisect.bisect_left(days, day)
        if place < len(days) and days[place] == day:
            if closes[place] == close:
                return []
            closes[place] = close
        else:
            days.insert(place, day)
            closes.insert(place, close)
        first = max(0, place - contract.HORIZON_DAYS)
        last = min(place + 1, len(days) - contract.HORIZON_DAYS)
        return days[first:last]

    def truth(self, symbol: str, day: str) -> Truth | None:
        """Give what followed a day, if all of it is known."""
        days = self._days.get(symbol, [])
        place = bisect.bisect_left(days, day)
        if place >= len(days) or days[place] != day:
            return None
        if place + contract.HORIZON_DAYS >= len(days):
            return None
        window = self._closes[symbol][place : place + contract.HORIZON_DAYS + 1]
        squares = [math.log(b / a) ** 2 for a, b in itertools.pairwise(window)]
        variance = contract.TRADING_DAYS * sum(squares) / contract.HORIZON_DAYS
        return Truth(symbol, day, math.sqrt(variance), window[1] > window[0])

    def all(self) -> Iterator[Truth]:
        """Give every truth."""
        for symbol, days in self._days.items():
            for day in days:
                found = self.truth(symbol, day)
                if found is not None:
                    yield found
