"""Whether a policy may act: its value off-policy, beside the value of the one that acted."""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from runtimes.bandit import offpolicy, reward_model

from .joined import Joined

Array = NDArray[np.float64]

ESTIMATOR: offpolicy.Name = "dr"
"""By which the gate goes: right if either the propensities or the predictions are."""

FEWEST_EFFECTIVE = 30.0
"""The least effective sample size that a normal interval is believed of."""


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """Both policies' values per decision, and whether the gate lets the candidate through."""

    candidate: offpolicy.Evaluation
    current: offpolicy.Evaluation
    difference: offpolicy.Estimate
    """Candidate less current, over the same rows."""
    passes: bool
    reason: str


def judge(
    joined: Joined,
    target: Array,
    *,
    level: float = 0.95,
    clip: float | None = None,
    seed: int = 0,
) -> Verdict:
    """Judge a candidate by its probabilities `target` [n, K].

    The current policy's value is the mean reward of its own traffic, the same for all estimators.
    The gate passes if the candidate's lower bound is not below the current one's, and the
    effective sample size is at least `FEWEST_EFFECTIVE`. Raises `offpolicy.Unusable`.
    """
    arms, rows = joined.arms, len(joined.arms)
    predicted = (
        reward_model.cross_fitted(arms, joined.rewards, target.shape[1], joined.contexts, seed=seed)
        if rows
        else None
    )
    log = offpolicy.Log(arms, joined.rewards, joined.propensities, target, predicted)
    taken = np.zeros_like(target)
    taken[np.arange(rows), arms] = 1.0
    own = offpolicy.Log(arms, joined.rewards, np.ones(rows), taken, predicted)
    candidate = offpolicy.evaluate(log, level=level, clip=clip)
    current = offpolicy.evaluate(own, level=level)
    passes, reason = _gate(candidate, current)
    difference = offpolicy.difference(log, own, ESTIMATOR, level=level, clip=clip)
    return Verdict(candidate, current, difference, passes, reason)


def _gate(candidate: offpolicy.Evaluation, current: offpolicy.Evaluation) -> tuple[bool, str]:
    effective, bar = candidate.effective_sample_size, current.estimates[ESTIMATOR].lower
    if effective < FEWEST_EFFECTIVE:
        return False, (
            f"the effective sample size is {effective:.1f} of {candidate.rows} decisions, at least "
            f"{FEWEST_EFFECTIVE:g} are needed: what it would do was hardly tried"
        )
    lower = candidate.estimates[ESTIMATOR].lower
    said = f"its lower bound {lower:.6g} (doubly robust) is {{}} the current one's {bar:.6g}"
    if lower < bar:
        return False, said.format("below")
    return True, said.format("not below")
