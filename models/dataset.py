"""Features, history and targets of all symbols as plain arrays, computed once for a source.

The target of day t is the realised volatility of the five trading days after it, annualised:
`sqrt(252 * mean(v_{t+1}, ..., v_{t+5}))`; of direction, whether t+1 closes above t.
"""

import dataclasses
import pathlib
import zipfile
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from runtimes import contract

from . import cache, code, sources

if TYPE_CHECKING:
    import pandas as pd

    from runtimes.features import batch, definitions

Array = npt.NDArray[np.float64]
Days = npt.NDArray[np.datetime64]
Rows = npt.NDArray[np.intp]


@dataclasses.dataclass(frozen=True, slots=True)
class Dataset:
    """One row for each symbol and day on which everything a model sees is known.

    Rows are grouped by symbol, and ascend by date inside one.
    """

    symbols: tuple[str, ...]
    symbol: npt.NDArray[np.int64]
    """[n]: which of `symbols`."""
    date: Days
    """[n]"""
    close: Array
    """[n]: adjusted close of the day."""
    features: Array
    """[n, F]"""
    log_volatility: Array
    """[n]: logarithm of the target; NaN where its days have not come yet."""
    rise: Array
    """[n]: 1 if tomorrow closes above today, else 0; NaN on the last day."""
    known: Days
    """[n]: the day on which both targets are known; NaT where that has not come yet."""
    channels: Array
    """[m, C]: the channels of all days, also of those before the first row of a symbol."""
    end: npt.NDArray[np.int64]
    """[n]: where in `channels` a row's history ends, exclusively."""
    length: int
    """Days in a history, T."""

    def __len__(self) -> int:
        return len(self.date)

    def history(self, rows: Rows | slice = slice(None)) -> Array:
        """Give the histories [k, T, C] of `rows`."""
        days = np.arange(-self.length, 0)
        windows: Array = self.channels[self.end[rows][:, None] + days]
        return windows

    def of(self, symbol: str) -> Rows:
        """Give a symbol's rows; raise DataError that names the known ones."""
        if symbol not in self.symbols:
            raise sources.DataError(
                f"there is no symbol {symbol!r} in the data; there are {', '.join(self.symbols)}"
            )
        return np.flatnonzero(self.symbol == self.symbols.index(symbol))


def load(source: sources.Source) -> Dataset:
    """Give the dataset of `source`: from the cache, if data and code are the same."""
    key = f"{source.digest()[:32]}-{code.digest('models.dataset')[:16]}"
    path = cache.datasets() / f"{key}.npz"
    if path.exists():
        try:
            return _read(path)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            # A damaged copy is no loss: it is made again from the source.
            path.unlink(missing_ok=True)
    from . import data  # noqa: PLC0415  # imports pandas, see `build`

    made = build(data.load(source))
    _write(path, made)
    return made


def build(
    frames: Mapping[str, "pd.DataFrame"],
    columns: "Sequence[definitions.Feature] | None" = None,
) -> Dataset:
    """Compute the dataset of `frames` (see `models.data`), of all model features or `columns`."""
    # pandas takes longer to import than a cached dataset takes to read.
    from runtimes.features import batch  # noqa: PLC0415  # for the reason above

    from . import features  # noqa: PLC0415  # as above

    market = batch.Market(frames)
    wanted = features.FEATURES if columns is None else columns
    return _join([_of_symbol(market, symbol, wanted) for symbol in market.symbols])


def _of_symbol(
    market: "batch.Market", symbol: str, columns: "Sequence[definitions.Feature]"
) -> Dataset:
    from runtimes.features import batch, definitions, expressions  # noqa: PLC0415  # as in `build`

    length = definitions.HISTORY_DAYS
    channels = batch.columns(market, symbol, definitions.CHANNELS).to_numpy(np.float64)
    values = batch.columns(market, symbol, columns).to_numpy(np.float64)
    days = market.days(symbol).to_numpy().astype("datetime64[D]")
    close = market.column(symbol, expressions.CLOSE).to_numpy(np.float64)
    daily = market.column(symbol, definitions.VARIANCE).to_numpy(np.float64)

    whole = np.isfinite(channels).all(axis=1)
    complete = np.convolve(whole, np.ones(length), mode="full")[: len(whole)] == length
    rows = np.flatnonzero(np.isfinite(values).all(axis=1) & complete)

    horizon = contract.HORIZON_DAYS
    ahead = np.full(len(days), np.nan)
    if len(days) > horizon:
        windows = np.lib.stride_tricks.sliding_window_view(daily, horizon)
        ahead[:-horizon] = windows[1:].mean(axis=1)
    known = np.full(len(days), np.datetime64("NaT"), dtype="datetime64[D]")
    known[:-horizon] = days[horizon:]
    rise = np.full(len(days), np.nan)
    rise[:-1] = close[1:] > close[:-1]
    variance = contract.TRADING_DAYS * np.maximum(ahead, definitions.VARIANCE_FLOOR)
    return Dataset(
        symbols=(symbol,),
        symbol=np.zeros(len(rows), dtype=np.int64),
        date=days[rows],
        close=close[rows],
        features=values[rows],
        log_volatility=0.5 * np.log(variance[rows]),
        rise=rise[rows],
        known=known[rows],
        channels=np.nan_to_num(channels),
        end=rows + 1,
        length=length,
    )


def _join(parts: Sequence[Dataset]) -> Dataset:
    starts = np.cumsum([0] + [len(part.channels) for part in parts])
    return Dataset(
        symbols=tuple(symbol for part in parts for symbol in part.symbols),
        symbol=np.concatenate([part.symbol + place for place, part in enumerate(parts)]),
        date=np.concatenate([part.date for part in parts]),
        close=np.concatenate([part.close for part in parts]),
        features=np.concatenate([part.features for part in parts]),
        log_volatility=np.concatenate([part.log_volatility for part in parts]),
        rise=np.concatenate([part.rise for part in parts]),
        known=np.concatenate([part.known for part in parts]),
        channels=np.concatenate([part.channels for part in parts]),
        end=np.concatenate([part.end + start for part, start in zip(parts, starts, strict=False)]),
        length=parts[0].length,
    )


ARRAYS = tuple(
    field.name for field in dataclasses.fields(Dataset) if field.name not in {"symbols", "length"}
)


def _write(path: pathlib.Path, dataset: Dataset) -> None:
    arrays = {name: getattr(dataset, name) for name in ARRAYS}
    with cache.new_file(path) as temporary, temporary.open("wb") as file:
        np.savez(file, symbols=np.array(dataset.symbols), length=dataset.length, **arrays)


def _read(path: pathlib.Path) -> Dataset:
    with np.load(path, allow_pickle=False) as stored:
        return Dataset(
            symbols=tuple(str(symbol) for symbol in stored["symbols"]),
            length=int(stored["length"]),
            **{name: stored[name] for name in ARRAYS},
        )
