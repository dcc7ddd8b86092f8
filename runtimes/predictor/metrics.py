"""What a predictor measures of itself, in Prometheus' own registry, beside MLServer's metrics.

The collectors belong to the process, not to a model:
MLServer imports `runtime` anew on every load, and this module once.
Labels are bounded: a model, its version, and the few reasons of `validation.Reason`.
"""

import re
from typing import NamedTuple

import prometheus_client

_LABELS = ("model", "version")

PREDICTIONS = prometheus_client.Counter(
    "bellwether_predictions",
    "Inference requests by outcome: ok, invalid (with the reason) or error.",
    (*_LABELS, "outcome", "reason"),
)
ROWS = prometheus_client.Counter(
    "bellwether_prediction_rows", "Forecasts made: one for each row of a request.", _LABELS
)
SECONDS = prometheus_client.Histogram(
    "bellwether_prediction_seconds",
    "Time of a request inside the runtime: checks, forecast, response.",
    _LABELS,
    buckets=(
        *(0.0001, 0.0002, 0.0003, 0.0005, 0.00075),
        *(0.001, 0.0015, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0),
    ),
)
VOLATILITY = prometheus_client.Histogram(
    "bellwether_forecast_volatility",
    "Forecast volatility, annualised (0.2 is 20 % a year).",
    _LABELS,
    buckets=(0.02, 0.04, 0.06, 0.08, 0.1, 0.125, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 2.0),
)

DECISIONS = prometheus_client.Counter(
    "bellwether_decisions",
    "Answered requests to an experiment, by what became of their record on `decisions`.",
    (*_LABELS, "outcome"),
)
DECISION_OUTCOMES = ("published", "mirrored", "pinned", "without_id", "invalid", "lost")
"""Published; not a decision (a mirror's copy, an arm of the caller's choice); or not recorded."""

_INTERNAL_NAME = re.compile(r"(?P<model>.+)_(?P<version>\d+)")


class Served(NamedTuple):
    """A model as its callers know it: the name they ask for, and the version behind it."""

    model: str
    version: str


def served(name: str, version: str | None) -> Served:
    """Take apart the name that Seldon gives a model inside MLServer: `<model>_<version>`."""
    match = _INTERNAL_NAME.fullmatch(name)
    if match:
        return Served(match["model"], match["version"])
    return Served(name, version or "")


class Meter:
    """The metrics of one model and version, with its labels looked up once."""

    def __init__(self, model: Served) -> None:
        self._labels = model._asdict()
        self.rows = ROWS.labels(**self._labels)
        self.seconds = SECONDS.labels(**self._labels)
        self.volatility = VOLATILITY.labels(**self._labels)
        self.ok = PREDICTIONS.labels(**self._labels, outcome="ok", reason="")
        self.error = PREDICTIONS.labels(**self._labels, outcome="error", reason="")

    def invalid(self, reason: str) -> None:
        """Count a request that was refused."""
        PREDICTIONS.labels(**self._labels, outcome="invalid", reason=reason).inc()
