"""The raw bars that the stream is seeded with: one file of plain arrays, read without pandas."""

import dataclasses
import datetime as dt
import pathlib
import zipfile
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

FILE = "bars.npz"
COLUMNS = ("open", "high", "low", "close", "volume")


class BarsError(ValueError):
    """The file of bars is missing or damaged."""


@dataclasses.dataclass(frozen=True, slots=True)
class Bars:
    """The days of all symbols, ascending by date, then by symbol."""

    symbols: tuple[str, ...]
    symbol: npt.NDArray[np.int64]
    """[n]: which of `symbols`."""
    date: npt.NDArray[np.datetime64]
    """[n], days"""
    values: npt.NDArray[np.float64]
    """[n, 5]: `COLUMNS`."""

    def __len__(self) -> int:
        return len(self.date)

    @property
    def newest(self) -> dt.date:
        """The newest day of any symbol."""
        day: dt.date = self.date[-1].item()
        return day

    def until(self, last: dt.date | None) -> Iterator[tuple[str, dt.date, list[float]]]:
        """Give symbol, day and the five values of every bar up to the day `last`, oldest first."""
        count = (
            len(self)
            if last is None
            else int(np.searchsorted(self.date, np.datetime64(last), side="right"))
        )
        for place, day, values in zip(
            self.symbol[:count].tolist(),
            self.date[:count].tolist(),
            self.values[:count].tolist(),
            strict=True,
        ):
            yield self.symbols[place], day, values


def write(path: pathlib.Path, bars: Bars) -> None:
    """Write `bars`; the same bars give the same bytes."""
    with path.open("wb") as file:
        np.savez_compressed(
            file,
            symbols=np.array(bars.symbols),
            symbol=bars.symbol,
            date=bars.date.astype("datetime64[D]").astype(np.int64),
            values=bars.values,
        )


def read(path: pathlib.Path) -> Bars:
    """Read what `write` wrote; raise BarsError."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return Bars(
                symbols=tuple(str(symbol) for symbol in stored["symbols"]),
                symbol=stored["symbol"],
                date=stored["date"].astype("datetime64[D]"),
                values=stored["values"],
            )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise BarsError(
            f"{path}: cannot be read as bars ({error}); train the steps again"
        ) from error
