"""A market that never was, and a cache of the test's own."""

import collections.abc
import pathlib

import numpy as np
import pandas as pd
import pytest

from models import cache, data, dataset, sources

Frames = dict[str, pd.DataFrame]


def simulated(symbols: collections.abc.Sequence[str], days: int, seed: int = 7) -> Frames:
    """Prices with clustering volatility; the last symbol has closes only."""
    random = np.random.default_rng(seed)
    dates = pd.bdate_range("2019-01-01", periods=days, name="date")
    frames = {}
    for symbol in symbols:
        log_volatility = np.zeros(days)
        for day in range(1, days):
            log_volatility[day] = 0.97 * log_volatility[day - 1] + 0.15 * random.standard_normal()
        deviation = 0.01 * np.exp(log_volatility)
        steps = deviation[:, None] * random.standard_normal((days, 13)) / np.sqrt(13)
        path = 100 * np.exp(np.cumsum(steps.ravel())).reshape(days, 13)
        frames[symbol] = pd.DataFrame(
            {
                "open": path[:, 0],
                "high": path.max(axis=1),
                "low": path.min(axis=1),
                "close": path[:, -1],
                "volume": np.round(1e6 * np.exp(0.3 * random.standard_normal(days))),
            },
            index=dates,
        )
    last = frames[symbols[-1]]
    for column in data.PRICES:
        last[column] = last["close"]
    last["volume"] = 0.0
    return frames


def write_csvs(folder: pathlib.Path, frames: Frames) -> pathlib.Path:
    folder.mkdir(parents=True, exist_ok=True)
    for symbol, frame in frames.items():
        columns = frame.rename(columns=str.capitalize)
        columns.to_csv(folder / f"{symbol}.csv", index_label="Date", float_format="%.6f")
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def frames() -> Frames:
    return simulated(("AAA", "BBB", "CCC"), days=800)


@pytest.fixture(scope="session")
def market(frames: Frames) -> dataset.Dataset:
    return dataset.build(frames)


@pytest.fixture
def csvs(tmp_path: pathlib.Path, frames: Frames) -> sources.Source:
    return sources.Source(write_csvs(tmp_path / "csvs", frames))
