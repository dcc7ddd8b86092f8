"""What an epoch decides: weights from shares, with vetoes, the floor and the largest step."""

import dataclasses
from collections.abc import Collection, Mapping

from runtimes.bandit import allocation

from .cluster import Weights
from .state import State


@dataclasses.dataclass(frozen=True)
class Decided:
    """Weights, the vetoes that act, the shares that were wanted, and what a person is told."""

    weights: Weights
    vetoes: Mapping[str, str]
    shares: Mapping[str, float]
    reasons: tuple[str, ...]
    moves: bool = True
    """Whether the weights are the policy's: not before there are rewards enough, nor any veto."""


def decide(
    state: State, previous: Weights, vetoes: Mapping[str, str], vetoed_before: Collection[str] = ()
) -> Decided:
    """Give the weights that follow from a state; `previous` are the ones that act now.

    `vetoed_before` are the arms that had lost their traffic in the epoch before.
    """
    spec, arms = state.spec, state.arms
    reasons = []
    acting = {arm: why for arm, why in vetoes.items() if arm in arms}
    if acting and len(acting) == len(arms):
        reasons.append("every arm is bad: no veto acts, somebody has to answer")
        acting = {}
    shares = dict(zip(arms, map(float, state.policy.shares()), strict=True))
    weights = {arm: previous.get(arm, 0) for arm in arms}
    rewards, wanted = int(state.rewards_by_arm.sum()), spec.guardrails.minimum_rewards
    early = rewards < wanted
    if early:
        reasons.append(f"{rewards} of {wanted} rewards are there: weights do not move yet")
        total = sum(weights.values())
        shares = {
            arm: weight / total if total else 1 / len(arms) for arm, weight in weights.items()
        }
    healed = [arm for arm in arms if arm in vetoed_before and arm not in acting]
    moves = bool(acting or healed) or not early
    if moves:
        found = allocation.allocate(
            shares, weights, floor=spec.floor(len(arms)), max_step=spec.max_step, vetoed=acting
        )
        weights = found.weights
        if found.limited:
            reasons.append(f"the largest step ({spec.max_step:g}) holds {', '.join(found.limited)}")
    reasons += [f"{arm} has lost its traffic: {why}" for arm, why in acting.items()]
    reasons += [f"{arm} has healed: it has its floor again" for arm in healed]
    return Decided(weights, acting, shares, tuple(reasons), moves=moves)
