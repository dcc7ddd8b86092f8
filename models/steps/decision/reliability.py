"""How true a confidence was: on years later than all that it was learnt from.

The expected calibration error is the mean distance between confidence and the share that came out
near, over ten bins of as many rows each (Naeini, Cooper and Hauskrecht 2015);
the Brier score (Brier 1950) is set against that of a constant, the share in the learnt rows.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from models import calibration, dataset, fitting, procedure, walkforward

from . import confidence

BINS = 10


@dataclasses.dataclass(frozen=True, slots=True)
class Year:
    """A year's forecasts, with the confidence that was learnt before it."""

    year: int
    tried: confidence.Tried
    sure: dataset.Array
    """[k]: the confidence"""
    constant: float
    """Share that came out near among what the confidence was learnt from."""
    met: confidence.Flags
    """[k]: whether the confidence was learnt of the symbol too."""

    def part(self, which: confidence.Flags) -> "Year":
        """Give the rows of `which`."""
        return dataclasses.replace(
            self,
            tried=self.tried.part(which),
            sure=self.sure[which],
            met=self.met[which],
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Bin:
    """Forecasts of like confidence, or of one year."""

    rows: int
    confidence: float
    near: float
    """Share that came out near."""


@dataclasses.dataclass(frozen=True, slots=True)
class Reliability:
    """How true confidences were, over years."""

    whole: Bin
    expected_calibration_error: float
    brier: float
    brier_of_constant: float
    bins: tuple[Bin, ...]
    years: Mapping[int, Bin]

    def document(self) -> dict[str, Any]:
        """Give it as JSON's types."""
        return {
            **dataclasses.asdict(self.whole),
            "expected_calibration_error": self.expected_calibration_error,
            "brier": self.brier,
            "brier_of_constant": self.brier_of_constant,
            "bins": [dataclasses.asdict(each) for each in self.bins],
            "years": {str(key): dataclasses.asdict(each) for key, each in self.years.items()},
        }


def year(number: int, past: confidence.Tried, now: confidence.Tried) -> Year:
    """Learn from `past`, and say how sure the forecasts `now` are."""
    recent = past.newest()
    return Year(
        year=number,
        tried=now,
        sure=confidence.learn(recent).of(now),
        constant=float(recent.near.mean()),
        met=np.isin(now.symbol, np.unique(recent.symbol)),
    )


def walk(data: dataset.Dataset, ledgers: Mapping[str, fitting.Ledger]) -> list[Year]:
    """Walk through the years of `ledgers` that have enough of them before.

    Intervals and confidence are learnt on what was known a week before each year.
    """
    dates = np.concatenate([data.date[ledger.rows] for ledger in ledgers.values()])
    first, last = (int(str(date)[:4]) for date in (dates.min(), dates.max()))
    result = []
    for number in range(first + 1, last + 1):
        past, now = [], []
        for name, ledger in ledgers.items():
            before, within = _split(data, ledger, number)
            if min(len(before.rows), len(within.rows)) >= procedure.FEWEST_ROWS:
                interval = calibration.learn(
                    walkforward.FEATURE_NAMES,
                    data.features[before.rows],
                    data.log_volatility[before.rows] - before.log_volatility,
                )
                past.append(confidence.tried(data, name, before, interval))
                now.append(confidence.tried(data, name, within, interval))
        if past:
            result.append(year(number, confidence.together(past), confidence.together(now)))
    return result


def _split(
    data: dataset.Dataset, ledger: fitting.Ledger, number: int
) -> tuple[fitting.Ledger, fitting.Ledger]:
    """Give what was known a week before the year, and the year."""
    start, end = walkforward.start(number), walkforward.start(number + 1)
    dates = data.date[ledger.rows]
    known = data.known[ledger.rows] < start - procedure.EMBARGO
    return _only(ledger, known), _only(ledger, (dates >= start) & (dates < end))


def _only(ledger: fitting.Ledger, which: confidence.Flags) -> fitting.Ledger:
    return fitting.Ledger(ledger.rows[which], ledger.log_volatility[which], ledger.direction[which])


def measure(years: Sequence[Year]) -> Reliability:
    """Sum years up; at least one of them has rows."""
    sure = np.concatenate([each.sure for each in years])
    near = np.concatenate([each.tried.near for each in years]).astype(np.float64)
    constant = np.concatenate([np.full(len(each.tried), each.constant) for each in years])
    order = np.argsort(sure, kind="stable")
    bins = tuple(_bin(sure[part], near[part]) for part in np.array_split(order, BINS) if len(part))
    distances = [each.rows * abs(each.confidence - each.near) for each in bins]
    return Reliability(
        whole=_bin(sure, near),
        expected_calibration_error=_rounded(sum(distances) / len(sure)),
        brier=_rounded(float(np.mean((sure - near) ** 2))),
        brier_of_constant=_rounded(float(np.mean((constant - near) ** 2))),
        bins=bins,
        years={each.year: _bin(each.sure, each.tried.near) for each in years if len(each.tried)},
    )


def of_usual(usual: confidence.Usual) -> dict[int, Bin]:
    """Give, for each year but the first, the fallback's confidence as of the years before."""
    years = usual.date.astype("datetime64[Y]").astype(int) + 1970
    result = {}
    for number in np.unique(years)[1:]:
        now, before = usual.near[years == number], usual.near[years < number]
        result[int(number)] = _bin(np.full(len(now), before.mean()), now)
    return result


def _bin(sure: dataset.Array, near: dataset.Array | confidence.Flags) -> Bin:
    return Bin(rows=len(sure), confidence=_rounded(sure.mean()), near=_rounded(near.mean()))


def _rounded(value: float) -> float:
    return float(f"{value:.5g}")
