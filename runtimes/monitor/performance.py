"""Errors of predictions whose truth has come, by model and regime, over windows of market days.

The utility is that of volatility targeting (Bollerslev, Hood, Huss and Pedersen 2018): a forecast f
of a variance that came out as RV is worth 0.08 sqrt(RV/f) - 0.04 RV/f of wealth a year.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

from . import truth as truths

WINDOWS = (5, 22, 66, 252)
"""Market days: a week, a month, a quarter, a year."""

_SHARPE_TERM, _RISK_TERM = 0.08, 0.04


@dataclasses.dataclass(slots=True)
class Sums:
    """What is added up over predictions."""

    count: int = 0
    error: float = 0.0
    bias: float = 0.0
    hits: int = 0
    covered: int = 0
    utility: float = 0.0

    def add(self, other: "Sums") -> None:
        """Add another's."""
        self.count += other.count
        self.error += other.error
        self.bias += other.bias
        self.hits += other.hits
        self.covered += other.covered
        self.utility += other.utility

    def document(self) -> dict[str, float | int]:
        """Give means."""
        return {
            "predictions": self.count,
            "log_error": self.error / self.count,
            "bias": self.bias / self.count,
            "hit_rate": self.hits / self.count,
            "coverage": self.covered / self.count,
            "utility": self.utility / self.count,
        }


def judged(row: Mapping[str, Any], truth: truths.Truth) -> Sums:
    """Judge a prediction: |ln(forecast/truth)|, its sign, direction, interval, utility.

    A row may stand for `count` of them that are the same.
    """
    count = int(row.get("count", 1))
    log_ratio = math.log(row["prediction"] / truth.volatility) if truth.volatility > 0 else 0.0
    ratio = (truth.volatility / row["prediction"]) ** 2
    return Sums(
        count=count,
        error=count * abs(log_ratio),
        bias=count * log_ratio,
        hits=count * int((row["direction"] > 0.5) == truth.rose),  # noqa: PLR2004  a coin's chance
        covered=count * int(row["lower"] <= truth.volatility <= row["upper"]),
        utility=count * (_SHARPE_TERM * math.sqrt(ratio) - _RISK_TERM * ratio),
    )


class Performance:
    """Sums by market day, model and regime: bounded by days, not by predictions."""

    def __init__(self, days: int) -> None:
        self._days = days
        self._sums: dict[str, dict[tuple[str, str], Sums]] = {}

    def add(self, rows: Iterable[tuple[Mapping[str, Any], truths.Truth]]) -> None:
        """Add predictions with their truths."""
        for row, truth in rows:
            of_day = self._sums.setdefault(truth.date, {})
            key = (row["model"], row["regime"])
            of_day.setdefault(key, Sums()).add(judged(row, truth))
        for day in sorted(self._sums)[: -self._days]:
            del self._sums[day]

    def drop(self, symbols_day: Iterable[str]) -> None:
        """Forget days: they are counted anew, because their truth has changed."""
        for day in symbols_day:
            self._sums.pop(day, None)

    def windows(self) -> list[dict[str, Any]]:
        """Give the means of each model and regime over each window, and of all together."""
        days = sorted(self._sums, reverse=True)
        found = []
        for length in WINDOWS:
            total: dict[tuple[str, str], Sums] = {}
            for day in days[:length]:
                for (model, regime), sums in self._sums[day].items():
                    for key in ((model, regime), (model, "all"), ("all", "all")):
                        total.setdefault(key, Sums()).add(sums)
            found += [
                {"days": length, "model": model, "regime": regime, **sums.document()}
                for (model, regime), sums in sorted(total.items())
            ]
        return found
