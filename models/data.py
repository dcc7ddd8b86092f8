"""Daily market data as frames: one a symbol, adjusted, ascending, without missing values.

Columns `open`, `high`, `low`, `close` (prices above zero) and `volume` (0 where unknown),
indexed by date. A close-only series has open = high = low = close.
"""

import importlib

import pandas as pd

from . import csvs, sources

PRICES = ["open", "high", "low", "close"]


def load(source: sources.Source) -> dict[str, pd.DataFrame]:
    """Read every symbol of `source`; raise DataError with all that is wrong in all files."""
    if source.folder is None:
        return {symbol: _arch(name) for symbol, name in sources.ARCH.items()}
    frames = {}
    problems: list[str] = []
    for symbol, path in source.files().items():
        rows, found = csvs.read(path)
        problems += found
        if not found:
            frames[symbol] = _adjusted(
                pd.DataFrame([_record(row) for row in rows]).set_index("date").astype(float)
            )
    if problems:
        raise sources.DataError("\n".join(problems))
    return frames


def _record(row: csvs.Row) -> dict[str, object]:
    return {
        "date": pd.Timestamp(row.date),
        "open": row.open,
        "high": row.high,
        "low": row.low,
        "close": row.close,
        "volume": row.volume,
        "factor": row.factor,
    }


def _arch(name: str) -> pd.DataFrame:
    module = importlib.import_module(f"arch.data.{name}")
    raw: pd.DataFrame = module.load()
    if "Adj Close" in raw:
        frame = raw[["Open", "High", "Low", "Close", "Volume"]].rename(columns=str.lower)
        frame = frame.astype(float).assign(factor=raw["Adj Close"] / raw["Close"])
        return _adjusted(frame)
    # FRED leaves public holidays empty: these are no trading days.
    close = raw.iloc[:, 0].dropna().astype(float)
    return pd.DataFrame(dict.fromkeys(PRICES, close)).assign(volume=0.0)


def _adjusted(frame: pd.DataFrame) -> pd.DataFrame:
    """Adjust all four prices by the same factor, so that a day's range keeps its meaning."""
    prices = frame[PRICES].mul(frame["factor"], axis=0)
    # Rounding may leave open or close outside by a hair, and a variance below zero.
    prices["high"] = prices.max(axis=1)
    prices["low"] = prices.min(axis=1)
    return prices.assign(volume=frame["volume"])
