"""Writes the explainer's bundle with what explanations on demand need beside it.

What may change in a counterfactual is how today went: its close, how far its price ranged, and how
tense the other markets were.
What lies before today has happened; features that today has a part in follow from it.
`runtimes.explainer.scenario` computes them.
"""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from models import dataset, features, steps
from models.steps.explainer import build as explainer
from runtimes import contract
from runtimes.explainer import bundle

EVALUATION_DAYS = 256
"""Days on which importances are measured."""

CHOSEN, FOLLOWS, HELD = "chosen", "follows", "held"

CHANGES: Mapping[str, tuple[str, str]] = {
    "return_1d": (CHOSEN, "today may close elsewhere"),
    "variance_ratio_1d": (CHOSEN, "today's price may range more or less"),
    "market_tension": (CHOSEN, "other markets may have another week; this one's part follows"),
    "return_5d": (FOLLOWS, "today is one of its five days"),
    "return_22d": (FOLLOWS, "today is one of its 22 days"),
    "shock_1d": (FOLLOWS, "it is today's fall in the month's deviations"),
    "log_variance_22d": (FOLLOWS, "today is one of the month's 22 days; the others are past"),
    "variance_ratio_5d": (FOLLOWS, "today is one of the week's days, and of the month's"),
    "variance_ratio_252d": (FOLLOWS, "today is one of the year's 252 days; the others are past"),
    "volatility_of_volatility_22d": (FOLLOWS, "today is one of its 22 days"),
    "downside_share_22d": (FOLLOWS, "today is one of its 22 days"),
    "intraday_share_22d": (FOLLOWS, "another range changes the day's share; the gap is past"),
    "true_range_1d": (FOLLOWS, "it grows with the root of today's variance (an approximation)"),
    "trend_60d": (FOLLOWS, "today's close against the mean that it is part of"),
    "drawdown_252d": (
        FOLLOWS,
        "today's close against the year's highest (against 60 days' if today is the highest)",
    ),
    "rsi_14d": (FOLLOWS, "today is its newest day (averages from 60 days of history)"),
    "macd_12_26": (FOLLOWS, "today is its newest day"),
    "volume_score_22d": (
        HELD,
        "the month's volumes, which it is a score among, are not in a request",
    ),
}
"""What becomes of each feature if today had gone otherwise, and why."""

UNRULED = (HELD, "no rule says how it follows from today")


def build(task: steps.Task, folder: pathlib.Path) -> Mapping[str, Any]:
    """Write the bundle for explanations on demand."""
    background = explainer.write(task, folder, {"definitions": definitions(task.data)})
    data = task.data
    rows = explainer.sample(data, EVALUATION_DAYS + len(background), task.seed + 1)
    rows = rows[~np.isin(rows, background)][:EVALUATION_DAYS]
    explainer.save(
        folder / bundle.EVALUATION,
        {
            contract.FEATURES: data.features[rows],
            contract.HISTORY: np.ascontiguousarray(data.history(rows)),
            bundle.LOG_VOLATILITY: data.log_volatility[rows],
        },
    )
    return steps.settings("explanations", "runtimes.explainer.on_demand.Explanations")


def definitions(data: dataset.Dataset) -> dict[str, Any]:
    """Give what `bundle.Definitions` reads."""
    names = [column.name for column in features.FEATURES]
    changes = {}
    for name, values in zip(names, data.features.T, strict=True):
        rule, reason = CHANGES.get(name, UNRULED)
        changes[name] = {
            "rule": rule,
            "reason": reason,
            "least": float(values.min()),
            "most": float(values.max()),
        }
    return {
        "changes": changes,
        "scales": {
            name: float(data.features[:, names.index(name)].std())
            for name in ("variance_ratio_1d", "market_tension")
        },
        "variance_floor": features.VARIANCE_FLOOR,
        "symbols": len(data.symbols),
    }
