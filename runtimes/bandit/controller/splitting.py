"""Whether an epoch's decisions are split as its weights say; if not, it is told and counted."""

import logging
from collections.abc import Sequence

from runtimes.bandit import sample_ratio
from runtimes.contract import bandits

from . import metrics, writing
from .cluster import Weights

logger = logging.getLogger("bellwether.bandit")

_CARRIED_SECONDS = 0.25
"""How long after a change of weights decisions by the weights before may still come."""


def unlike_weights(
    last: bandits.Allocation,
    weights: Weights,
    arms: Sequence[str],
    decisions: Sequence[int],
    ended: float,
) -> list[str]:
    """Give what a person is told of the epoch that follows `last`: nothing, if it is as it should.

    `weights` act at its end, Unix time `ended`; `decisions` are those of `arms`.
    """
    acting = last.weights if last.applied else last.previous
    if last.details.get("begins") or not any(acting.values()) or not writing.same(weights, acting):
        return []  # older weights than are known, or somebody else's since an unknown time
    found = sample_ratio.check(
        dict(zip(arms, decisions, strict=True)),
        acting,
        before=last.previous if any(last.previous.values()) else None,
        carried=_CARRIED_SECONDS / max(ended - last.time, _CARRIED_SECONDS),
    )
    metrics.SAMPLE_RATIO.labels(last.policy).set(found.p_value)
    if not found.alert:
        return []
    metrics.SAMPLE_RATIO_ALERTS.labels(last.policy).inc()
    logger.warning("%s: traffic does not split as the weights say: %s", last.policy, found.reason)
    return [f"traffic does not split as the weights say: {found.reason}"]
