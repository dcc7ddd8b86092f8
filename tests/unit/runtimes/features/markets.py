"""Markets to compute features of, and their bars in the order in which a stream brings them."""

import datetime as dt
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from runtimes.features import online

Frames = dict[str, pd.DataFrame]
Bar = tuple[str, dt.date, float, float, float, float, float]

BAR_VIEWS = ("market_data", "technical_indicators", "cross_asset")


def simulated(days: int = 420, seed: int = 5) -> Frames:
    """Three symbols that miss days of their own, one with closes alone, one that stands still."""
    random = np.random.default_rng(seed)
    dates = pd.bdate_range("2019-01-01", periods=days, name="date")
    common = random.standard_normal((days, 13))
    frames = {}
    for place, symbol in enumerate(("BBB", "AAA", "close-only", "STILL")):
        steps = 0.004 * (common + random.standard_normal((days, 13)))
        path = 100 * np.exp(np.cumsum(steps.ravel())).reshape(days, 13)
        frame = pd.DataFrame(
            {
                "open": path[:, 0],
                "high": path.max(axis=1),
                "low": path.min(axis=1),
                "close": path[:, -1],
                "volume": np.round(1e6 * np.exp(0.3 * random.standard_normal(days))),
            },
            index=dates,
        )
        frame.loc[frame.index[50:58], "volume"] = 0.0
        if symbol == "close-only":
            frame = frame.assign(open=frame["close"], high=frame["close"], low=frame["close"])
            frame["volume"] = 0.0
        if symbol == "STILL":
            frame[["open", "high", "low", "close"]] = 0.1
        kept = random.random(days) > 0.03 * place
        if symbol == "AAA":
            # Away for longer than its last value counts with the others, and first seen late.
            kept[:40] = kept[200:209] = False
        frames[symbol] = frame[kept]
    return frames


def by_day(frames: Frames, *, reverse: bool = False) -> Iterator[list[Bar]]:
    """Give the bars of each day, in the order of symbols or in reverse."""
    found: dict[dt.date, list[Bar]] = {}
    for symbol in sorted(frames, reverse=reverse):
        for bar in bars(frames, symbol):
            found.setdefault(bar[1], []).append(bar)
    for day in sorted(found):
        yield found[day]


def drifting(frames: Frames, *, longest: int) -> Iterator[Bar]:
    """Give all bars, each symbol's ascending, in runs of chance: the symbols drift apart."""
    random = np.random.default_rng(2)
    waiting = {symbol: bars(frames, symbol)[::-1] for symbol in frames}
    while any(waiting.values()):
        symbol = str(random.choice([name for name, rest in waiting.items() if rest]))
        for _ in range(min(int(random.integers(1, longest + 1)), len(waiting[symbol]))):
            yield waiting[symbol].pop()


def bars(frames: Frames, symbol: str) -> list[Bar]:
    """Give the bars of one symbol."""
    frame = frames[symbol]
    columns = [frame[name].tolist() for name in ("open", "high", "low", "close", "volume")]
    dates = [moment.date() for moment in frame.index]
    return [(symbol, date, *values) for date, *values in zip(dates, *columns, strict=True)]


def whole_row(
    engine: online.Engine, symbol: str, views: Sequence[str] = BAR_VIEWS
) -> dict[str, np.ndarray | float]:
    """Give all that is known of a symbol, in all views."""
    return {name: value for view in views for name, value in engine.row(symbol, view).items()}


def same(one: dict[str, np.ndarray | float], two: dict[str, np.ndarray | float]) -> bool:
    """Say whether two rows have the same numbers, to the bit, and miss the same."""
    return one.keys() == two.keys() and all(
        np.array_equal(np.atleast_1d(one[name]), np.atleast_1d(two[name]), equal_nan=True)
        for name in one
    )
