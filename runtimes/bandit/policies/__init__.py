"""Policies: rules that learn from rewards how traffic is split between arms.

`make` builds the one that a spec declares, `restore` one that goes on from a snapshot.
"""

from typing import Any

from runtimes.bandit import declaration
from runtimes.bandit.policies import linear, weighing
from runtimes.bandit.policies.batch import Batch, Rows
from runtimes.bandit.policies.policy import Policy, SnapshotError

__all__ = ["Batch", "Policy", "Rows", "SnapshotError", "make", "restore"]

_CLASSES: dict[type[Any], type[Policy]] = {
    declaration.EpsilonGreedy: weighing.EpsilonGreedy,
    declaration.Ucb1: weighing.Ucb1,
    declaration.Thompson: weighing.Thompson,
    declaration.LinUcb: linear.LinUcb,
    declaration.LinearThompson: linear.LinearThompson,
}


def make(
    spec: declaration.BanditPolicySpec, arms: tuple[str, ...], lanes: int | None = None
) -> Policy:
    """Build the policy that a spec declares; with `lanes`, as many at once.

    Raises:
        ValueError: there is no arm, or an arm is named twice.

    """
    if len(set(arms)) != len(arms):
        raise ValueError(f"an arm is named once; the arms are {', '.join(arms)}")
    return _CLASSES[type(spec.algorithm)](spec, arms, lanes)


def restore(
    spec: declaration.BanditPolicySpec, arms: tuple[str, ...], snapshot: dict[str, Any]
) -> Policy:
    """Build a policy that goes on where the snapshot was taken, to the bit.

    Raises:
        SnapshotError: the snapshot is another policy's.

    """
    return make(spec, arms).load(snapshot)
