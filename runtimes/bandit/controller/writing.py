"""Weights are written with the version that was read, read back, and written again if need be."""

import dataclasses
import logging
import time

from . import metrics
from .cluster import Cluster, ConflictError, Experiment, NotFoundError, RefusedError, Weights
from .parts import AwayError

logger = logging.getLogger(__name__)

_ATTEMPTS = 4
_PAUSE_SECONDS = 0.05


@dataclasses.dataclass(frozen=True)
class Written:
    """What became of weights: the experiment as it is now, and why it is not as it should be.

    `sent` is when the first PATCH was sent, on the clock of `time.time`;
    `foreign` says that somebody else wrote weights meanwhile, which are still there.
    """

    experiment: Experiment | None
    problem: str | None
    sent: float
    foreign: bool = False


def same(first: Weights, second: Weights) -> bool:
    """Say whether two splits are the same, whatever their sums are."""
    one, two = sum(first.values()), sum(second.values())
    if first.keys() != second.keys() or (one == 0) != (two == 0):
        return False
    return all(weight * two == second[arm] * one for arm, weight in first.items())


def write(cluster: Cluster, policy: str, known: Experiment, weights: Weights) -> Written:
    """Write weights until they are there; give up after a few attempts, or if others wrote."""
    sent, before = time.time(), known
    ordered = {arm: weights[arm] for arm in known.weights}
    problem = "it was not tried"
    for attempt in range(_ATTEMPTS):
        try:
            if attempt:  # was the request lost, or its answer alone?
                time.sleep(_PAUSE_SECONDS * attempt)
                known = cluster.experiment(known.name)
                done = _seen(known, before.weights, ordered, sent)
            else:
                done = None
            if done is None:
                known = cluster.write_weights(known, ordered)
                done = _seen(known, before.weights, ordered, sent)
        except RefusedError as error:
            metrics.WRITES.labels(policy, "failed").inc()
            return Written(None, f"the weights are refused: {error}", sent)
        except (ConflictError, AwayError, NotFoundError) as error:
            outcome = "conflict" if isinstance(error, ConflictError) else "failed"
            metrics.WRITES.labels(policy, outcome).inc()
            problem = str(error)
            logger.warning("%s: weights are not there yet: %s", policy, problem)
            continue
        if done is not None:
            metrics.WRITES.labels(policy, "failed" if done.problem else "applied").inc()
            return done
        problem = f"{known.weights} are there instead of {ordered}"
    return Written(None, problem, sent)


def _seen(now: Experiment, before: Weights, wanted: Weights, sent: float) -> Written | None:
    """Say what reading back shows; None if everything is as it was before."""
    if same(now.weights, wanted):
        return Written(now, None, sent)
    if now.weights.keys() != wanted.keys():
        return Written(now, "the experiment's candidates have changed", sent)
    if same(now.weights, before):
        return None
    return Written(now, "somebody else wrote the weights", sent, foreign=True)
