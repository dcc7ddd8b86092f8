"""What the log has of an epoch."""

from collections.abc import Mapping
from typing import Any

from runtimes.contract import bandits

from .cluster import Weights
from .deciding import Decided
from .joining import Learnt
from .state import State, spec_digest

Positions = Mapping[str, int]


def record(  # noqa: PLR0913  an epoch has these sides
    policy: str,
    state: State,
    ended: float,
    decided: Decided,
    previous: Weights,
    start: Positions,
    *,
    applied: bool,
    begins: bool = False,
    respects: bool = False,
    counts: Mapping[str, Any] | None = None,
) -> bandits.Allocation:
    """Write an epoch: `start` are the offsets from which it read, the state has those up to which.

    What is needed to do it again is there: records, arms and their order, the spec, the vetoes.
    """
    details: dict[str, Any] = {
        "spec": state.spec.model_dump(mode="json", by_alias=True),
        "shares": dict(decided.shares),
        "reasons": list(decided.reasons),
    }
    if begins:
        details["begins"] = True
    if respects:
        details["respects"] = True
    here = state.positions
    return bandits.Allocation(
        experiment=state.spec.experiment,
        policy=policy,
        epoch=state.epoch,
        time=ended,
        weights=decided.weights,
        previous=previous,
        applied=applied,
        mode=state.spec.mode,
        vetoes=tuple(bandits.Veto(arm=arm, reason=why) for arm, why in decided.vetoes.items()),
        counts={
            **(counts or {}),
            "decision_outcomes": dict(state.join.decision_counts),
            "reward_outcomes": dict(state.join.reward_counts),
        },
        offsets=bandits.Consumed(
            decisions=(start[bandits.DECISIONS], here[bandits.DECISIONS]),
            rewards=(start[bandits.REWARDS], here[bandits.REWARDS]),
        ),
        spec_digest=spec_digest(state.spec),
        state_digest=state.digest(),
        details=details,
    )


def counts(arms: tuple[str, ...], learnt: Learnt) -> dict[str, Any]:
    """Count an epoch's decisions and rewards by arm."""
    return {
        "decisions": dict(zip(arms, map(int, learnt.decisions), strict=True)),
        "rewards": dict(zip(arms, map(int, learnt.counts), strict=True)),
    }


def correction(last: bandits.Allocation, why: str) -> bandits.Allocation:
    """Say in the log that an epoch's weights never acted."""
    details: dict[str, Any] = {
        **last.details,
        "corrects": last.epoch,
        "reasons": [f"never applied: {why}"],
    }
    return last.model_copy(update={"applied": False, "details": details})
