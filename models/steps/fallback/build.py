"""Builds the fallback's artifact: each symbol's long-run distribution of five-day volatility.

Its median and its outer quantiles, and how often the next day rose; no model, no features.
"""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from models import dataset, steps

RUNTIME = "runtimes.guard.fallback.Fallback"
DOCUMENT = "fallback.json"
SCHEMA = 1

LEVEL = 0.8
"""Share of the days that the interval is to hold."""

_TAIL = (1.0 - LEVEL) / 2.0
_FEWEST_DAYS = 252
"""Days of a symbol before a year is forecast: a year."""


def build(task: steps.Task, folder: pathlib.Path) -> Mapping[str, Any]:
    """Write the file; give the content of `model-settings.json`."""
    data = task.data
    document = {
        "schema": SCHEMA,
        "level": LEVEL,
        "symbols": {
            symbol: usual(data, known)
            for place, symbol in enumerate(data.symbols)
            if len(known := with_targets(data, place))
        },
        "measured": walk_forward(data),
    }
    text = json.dumps(document, indent=2, sort_keys=True) + "\n"
    (folder / DOCUMENT).write_text(text, encoding="utf-8")
    return steps.settings("fallback-predictor", RUNTIME)


def with_targets(data: dataset.Dataset, place: int) -> dataset.Rows:
    """Give the rows of a symbol whose targets have come true."""
    return np.flatnonzero((data.symbol == place) & ~np.isnat(data.known))


def usual(data: dataset.Dataset, rows: dataset.Rows) -> dict[str, Any]:
    """Give the distribution over `rows`: quantiles do not mind that neighbouring days overlap."""
    lower, median, upper = np.exp(
        np.quantile(data.log_volatility[rows], [_TAIL, 0.5, 1.0 - _TAIL])
    ).tolist()
    return {
        "volatility": median,
        "lower": lower,
        "upper": upper,
        "direction": float(data.rise[rows].mean()),
        "days": len(rows),
        "first": str(data.date[rows].min()),
        "last": str(data.date[rows].max()),
    }


def walk_forward(data: dataset.Dataset) -> dict[str, Any]:
    """Say how many days of each year lay in the interval that was known when the year began."""
    inside: dict[str, list[bool]] = {}
    errors: list[float] = []
    for place, symbol in enumerate(data.symbols):
        rows = with_targets(data, place)
        for year in np.unique(data.date[rows].astype("datetime64[Y]")):
            past = rows[data.known[rows] < year]
            days = rows[data.date[rows].astype("datetime64[Y]") == year]
            if len(past) < _FEWEST_DAYS:
                continue
            known = usual(data, past)
            volatility = np.exp(data.log_volatility[days])
            held = (volatility >= known["lower"]) & (volatility <= known["upper"])
            inside.setdefault(symbol, []).extend(held.tolist())
            errors += (data.log_volatility[days] - np.log(known["volatility"])).tolist()
    every = [each for held in inside.values() for each in held]
    if not every:
        return {}
    return {
        "asked_coverage": LEVEL,
        "coverage": float(np.mean(every)),
        "days": len(every),
        "by_symbol": {symbol: float(np.mean(held)) for symbol, held in inside.items()},
        "rmse_log_volatility": float(np.sqrt(np.mean(np.square(errors)))),
    }
