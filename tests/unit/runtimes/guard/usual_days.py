"""A small world for the guard's tests: two symbols, four features, a forest of two trees by hand."""

import json
import pathlib

import numpy as np

from runtimes.guard import artifact, forest, windows

FEATURES = ("rsi", "macd", "trend", "volume")
SYMBOLS = ("AAA", "BBB")
LONGEST = 20
LOCATION = {"AAA": 50.0, "BBB": -3.0}
SPREAD = {"AAA": 10.0, "BBB": 0.5}


def trees() -> forest.Forest:
    """One splits at rsi 1.5 deviations, the other at macd -2, then rsi 0."""
    infinite = np.inf
    return forest.Forest(
        roots=np.array([0, 3]),
        feature=np.array([0, 0, 0, 1, 0, 0, 0, 0]),
        threshold=np.array([1.5, infinite, infinite, -2.0, infinite, 0.0, infinite, infinite]),
        child=np.array([1, 2, 1, 1, 2, 2, 4, 5, 4, 4, 6, 7, 6, 6, 7, 7]),
        path=np.array([0.0, 6.0, 1.0, 0.0, 1.0, 0.0, 5.0, 4.0]),
        depth=2,
        usual=4.0,
    )


def history(symbol: str, days: int = 1500, seed: int = 5) -> windows.Array:
    random = np.random.default_rng([seed, SYMBOLS.index(symbol)])
    values = random.standard_normal((days, len(FEATURES)))
    scaled: windows.Array = LOCATION[symbol] + SPREAD[symbol] * values
    return scaled


def world() -> artifact.Artifact:
    rows = {symbol: history(symbol) for symbol in SYMBOLS}
    every = [*rows.values(), np.concatenate(list(rows.values()))]
    # For independent days: a D of 1.6 / sqrt(n) and more has a probability of 1 %.
    critical = np.array([[1.63 / np.sqrt(days)] * len(FEATURES) for days in (10, LONGEST)])
    lowest, highest = trees().bounds()
    return artifact.Artifact(
        features=FEATURES,
        symbols=SYMBOLS,
        location=np.array([values.mean(axis=0) for values in every]),
        spread=np.array([values.std(axis=0) for values in every]),
        trees=trees(),
        scale=forest.Scale(lowest=lowest, border=0.6, highest=highest),
        references={
            symbol: windows.Reference.of(values, most=1000) for symbol, values in rows.items()
        },
        limits=windows.Limits(sizes=(10, LONGEST), critical=critical, border=1),
        measured={},
    )


def write(folder: pathlib.Path) -> pathlib.Path:
    folder.mkdir(parents=True, exist_ok=True)
    artifact.write(folder, world())
    return folder


def write_fallback(folder: pathlib.Path) -> pathlib.Path:
    folder.mkdir(parents=True, exist_ok=True)
    entry = {"volatility": 0.2, "lower": 0.1, "upper": 0.4, "direction": 0.53}
    document = {"schema": 1, "level": 0.8, "symbols": {"AAA": entry, "BBB": entry}, "measured": {}}
    (folder / "fallback.json").write_text(json.dumps(document))
    return folder


def usual_row(symbol: str) -> list[float]:
    return [LOCATION[symbol]] * len(FEATURES)
