"""What an arm of an experiment tells the bandit: that it answered, which request, in which market.

Envoy splits an experiment's traffic, and lets the caller's `seldon-model: <name>.experiment` stand;
so the arm knows for which experiment it answers. Where an experiment has a `default`, requests to
that model are split as well, and cannot be told from requests to the model alone: they are no
decisions. Nor is what no split has chosen:

- a copy that Envoy made for a mirror: its host ends in `-shadow` (over REST; the local mesh takes
  `seldon-model` off every copy, gRPC's too);
- a request with `x-seldon-route`, whose caller has chosen the arm.
"""

import logging
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pydantic
from mlserver import types
from numpy.typing import NDArray

from runtimes.contract import bandits, publishing, regimes

from . import metrics

_LOG = logging.getLogger("mlserver.bellwether.predictor")

CLIENT = "decisions"
"""The publisher's name in `bellwether_records_lost`."""

_MODEL, _ROUTE, _ID, _HOST = "seldon-model", "x-seldon-route", "x-request-id", "host"


class Decisions:
    """Publishes the decisions of one arm, and never waits for it."""

    def __init__(self, arm: metrics.Served, kafka: str) -> None:
        self._arm = arm.model
        self._publisher = publishing.shared(kafka, CLIENT)
        self._counted = {
            outcome: metrics.DECISIONS.labels(arm.model, arm.version, outcome)
            for outcome in metrics.DECISION_OUTCOMES
        }

    def take(self, payload: types.InferenceRequest, history: NDArray[np.floating[Any]]) -> None:
        """Publish that `payload` was answered, if an experiment's split led it here.

        `history` is [n, T, C]. A request of n rows is one decision: it was split as one.
        """
        headers = payload.parameters.headers if payload.parameters else None
        if headers:
            named = headers.get(_MODEL)
            if named is not None and named.endswith(bandits.EXPERIMENT_SUFFIX):
                self._counted[self._publish(headers, named, history)].inc()

    def _publish(
        self, headers: Mapping[str, str], named: str, history: NDArray[np.floating[Any]]
    ) -> str:
        """Give the outcome, of `metrics.DECISION_OUTCOMES`."""
        if headers.get(_HOST, "").partition(":")[0].endswith(bandits.SHADOW_HOST):
            return "mirrored"
        if _ROUTE in headers:
            return "pinned"
        identity = headers.get(_ID)
        if not identity:
            return "without_id"
        try:
            record = bandits.Decision(
                id=identity,
                time=time.time(),
                experiment=named.removesuffix(bandits.EXPERIMENT_SUFFIX),
                arm=self._arm,
                context=context(history),
                propensity=None,
            )
        except pydantic.ValidationError as error:
            _LOG.warning("%s: a decision is not recorded: %s", self._arm, error)
            return "invalid"
        published = self._publisher.publish(bandits.DECISIONS, record.encode(), key=identity)
        return "published" if published else "lost"


def context(history: NDArray[np.floating[Any]]) -> dict[str, float] | None:
    """Give the market of a request's own history, as `contract.regimes` measures it.

    None for several rows, which may be several markets, and for less history than a regime takes.
    """
    rows, days, channels = history.shape
    if rows != 1 or days < regimes.DAYS or not channels:
        return None
    returns = history[:, -regimes.DAYS :, :1].astype(np.float64)
    with np.errstate(over="ignore"):
        volatility, trend = float(regimes.volatility(returns)[0]), float(regimes.trend(returns)[0])
    if not np.isfinite((volatility, trend)).all():
        return None
    return {bandits.CONTEXT_VOLATILITY: volatility, bandits.CONTEXT_TREND: trend}
