"""What the guard's scores are worth on years that had no part in them."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from models import dataset
from runtimes.guard import windows

from . import calibration, isolation

YEARS = 10
"""The last years, which are held out."""

_FEWEST_DAYS_OF_A_YEAR = 200
_SHIFT = 1.0
"""Standard deviations by which half of the features are moved."""
_BETWEEN = 125
"""Days from one injected shift to the next."""
_PATIENCE = 250
"""Days after which a shift counts as missed."""
_ABOVE = 0.5


@dataclasses.dataclass(frozen=True, slots=True)
class Split:
    """One symbol before and after the day from which on nothing was known."""

    symbol: str
    past: dataset.Array
    """[n, F]"""
    later: dataset.Array
    """[m, F]"""


def report(data: dataset.Dataset, rows: dataset.Rows, seed: int) -> dict[str, Any]:
    """Fit on what came before the last ten years, and give rates and delays in them.

    Empty if history is too short for that.
    """
    start = held_out_from(data.date[rows])
    if start is None:
        return {}
    before = rows[data.date[rows] < start]
    limits = calibration.calibrate(data, before)
    splits = [
        Split(symbol, data.features[past], data.features[later])
        for place, symbol in enumerate(data.symbols)
        if len(past := before[data.symbol[before] == place]) >= calibration.FIRST_REFERENCE
        and len(later := rows[(data.symbol[rows] == place) & (data.date[rows] >= start)])
    ]
    found: dict[str, Any] = {"held_out_from": str(start)}
    found["anomalies"] = _anomalies(data, before, rows[data.date[rows] >= start], seed)
    if limits.sizes and splits:
        found["drift"] = drift(splits, limits, seed)
    return found


def held_out_from(dates: dataset.Days) -> np.datetime64 | None:
    """Give the first day of the last ten years; of the later half of the years if there are fewer."""
    years, days = np.unique(dates.astype("datetime64[Y]"), return_counts=True)
    years = years[days >= _FEWEST_DAYS_OF_A_YEAR]
    if len(years) < 2:  # noqa: PLR2004  one to learn from, one to look at
        return None
    return np.datetime64(years[-min(YEARS, len(years) // 2)], "D")


def drift(splits: list[Split], limits: windows.Limits, seed: int) -> dict[str, Any]:
    """Give the share of undisturbed days in alarm, and the days until a shift is found."""
    random = np.random.default_rng(seed)
    alarms = {each.symbol: _alarms(each.past, _continued(each, limits), limits) for each in splits}
    delays: list[int | None] = []
    for each in splits:
        delays += _delays(each, limits, alarms[each.symbol], random)
    days = sum(map(len, alarms.values()))
    found = [delay for delay in delays if delay is not None]
    # A missed shift is later than any that was found.
    ranked = np.sort([_PATIENCE + 1 if delay is None else delay for delay in delays])
    return {
        "asked_rate": calibration.RATE,
        "rate": sum(int(each.sum()) for each in alarms.values()) / days,
        "days": days,
        "by_symbol": {
            symbol: {"rate": float(each.mean()), "alarms": _episodes(each)}
            for symbol, each in alarms.items()
        },
        "alarms_a_year": sum(map(_episodes, alarms.values())) / (days / 252),
        "shift": {
            "standard_deviations": _SHIFT,
            "features": splits[0].past.shape[1] // 2,
            "tried": len(delays),
            "found": len(found),
            "within_days": _PATIENCE,
            "delay_median": float(np.quantile(ranked, 0.5)) if delays else None,
            "delay_90": float(np.quantile(ranked, 0.9)) if delays else None,
        },
    }


def _continued(split: Split, limits: windows.Limits) -> dataset.Array:
    """Give the later days after as many earlier ones as fill the longest window."""
    return np.concatenate([split.past[1 - limits.longest :], split.later])


def _alarms(past: dataset.Array, days: dataset.Array, limits: windows.Limits) -> Any:
    """Say for each of `days` from the first full window on whether its score is above 0.5."""
    ranks = windows.Reference.of(past, calibration.SAMPLES).ranks(days)
    ends = range(limits.longest, len(days) + 1)
    verdicts = (limits.judge(ranks[:, end - limits.longest : end]) for end in ends)
    return np.array([verdict is not None and verdict.score > _ABOVE for verdict in verdicts])


def _delays(
    split: Split, limits: windows.Limits, alarms: Any, random: np.random.Generator
) -> Iterator[int | None]:
    features = split.past.shape[1]
    spread = split.past.std(axis=0)
    undisturbed = _continued(split, limits)
    for start in range(0, len(split.later) - _PATIENCE, _BETWEEN):
        moved = random.permutation(features)[: features // 2]
        if start and alarms[start - 1]:
            continue  # what is in alarm already cannot find anything
        days = undisturbed[start : start + limits.longest - 1 + _PATIENCE].copy()
        days[limits.longest - 1 :, moved] += _SHIFT * spread[moved]
        found = np.flatnonzero(_alarms(split.past, days, limits))
        yield int(found[0]) + 1 if len(found) else None


def _episodes(alarms: Any) -> int:
    return int((np.diff(alarms.astype(np.int8), prepend=0) == 1).sum())


def _anomalies(
    data: dataset.Dataset, before: dataset.Rows, later: dataset.Rows, seed: int
) -> dict[str, Any]:
    symbols = len(data.symbols)
    standard = isolation.Standard.of(data.features[before], data.symbol[before], symbols)
    grown = isolation.fit(standard(data.features[before], data.symbol[before]), seed)
    known = later[np.isin(data.symbol[later], np.unique(data.symbol[before]))]
    if not len(known):
        return {}
    above = grown.predict(standard(data.features[known], data.symbol[known])) < 0
    return {
        "asked_rate": isolation.CONTAMINATION,
        "rate": float(above.mean()),
        "by_symbol": {
            symbol: float(above[data.symbol[known] == place].mean())
            for place, symbol in enumerate(data.symbols)
            if (data.symbol[known] == place).any()
        },
    }
