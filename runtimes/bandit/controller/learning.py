"""The policy behind the controller: begun, fed, carried over to other arms, described."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from runtimes.bandit import declaration, policies

from .joining import Learnt

Spec = declaration.BanditPolicySpec


def start(spec: Spec, arms: Sequence[str]) -> policies.Policy:
    """Begin with the prior."""
    return policies.make(spec, tuple(arms))


def restore(spec: Spec, arms: Sequence[str], snapshot: dict[str, Any]) -> policies.Policy:
    """Go on from a snapshot."""
    return policies.restore(spec, tuple(arms), snapshot)


def features(spec: Spec) -> tuple[str, ...]:
    """Name the context's numbers that the policy learns from; none without context."""
    algorithm = spec.algorithm
    if isinstance(algorithm, declaration.LinUcb | declaration.LinearThompson):
        return tuple(algorithm.features)
    return ()


def batch(learnt: Learnt) -> policies.Batch:
    """Write what an epoch taught as policies take it."""
    rows = None
    if learnt.row_contexts.shape[1]:
        rows = policies.Rows(learnt.row_contexts, learnt.row_arms, learnt.row_values)
    return policies.Batch(learnt.counts.astype(np.float64), learnt.sums, learnt.deviations, rows)


def renewed(before: Spec, after: Spec) -> list[str]:
    """Name what has changed so that what was learnt is worthless."""
    found = [
        name
        for name in ("experiment", "reward_metric", "reward_kind", "prior")
        if getattr(before, name) != getattr(after, name)
    ]
    if type(before.forgetting) is not type(after.forgetting):
        found.append("forgetting")
    if before.contextual != after.contextual or features(before) != features(after):
        found.append("algorithm")
    return found


def carried(policy: policies.Policy, spec: Spec, arms: Sequence[str]) -> policies.Policy | None:
    """Go on by another spec or with other arms; None if what was learnt does not fit.

    What is known of an arm that stays, stays; an arm that is new has its prior.
    Change points are estimated over all arms at once: there, a new arm begins everything anew.
    """
    arms = tuple(arms)
    fresh = start(spec, arms)
    if spec.algorithm.name == policy.spec.algorithm.name and arms == policy.arms:
        snapshot = policy.snapshot()
    else:
        added = set(arms) - set(policy.arms)
        if added and isinstance(spec.forgetting, declaration.ChangePoints):
            return None
        snapshot = fresh.snapshot()
        snapshot["state"] = _moved(policy, fresh)
    try:
        return fresh.load(snapshot)
    except policies.SnapshotError:
        return None


def _moved(policy: policies.Policy, fresh: policies.Policy) -> dict[str, Any]:
    """Copy what is known of each arm to its new place; the axis of arms shows in the shapes."""
    wider = start(policy.spec, (*policy.arms, "")).arrays()
    state = {}
    kept = [arm for arm in fresh.arms if arm in policy.arms]
    here = [policy.arms.index(arm) for arm in kept]
    there = [fresh.arms.index(arm) for arm in kept]
    for name, old in policy.arrays().items():
        new = np.array(fresh.arrays().get(name, old), dtype=np.float64)
        axes = [
            at
            for at, (size, more) in enumerate(zip(old.shape, wider[name].shape, strict=True))
            if size != more
        ]
        if not axes:
            new = np.array(old)
        for axis in axes[:1]:
            moved = np.moveaxis(new, axis, 0)
            moved[there] = np.moveaxis(old, axis, 0)[here]
        state[name] = new.tolist()
    return state


def digest(policy: policies.Policy) -> str:
    """Give a digest of all that was learnt, to the bit."""
    found = hashlib.sha256(policy.spec.algorithm.name.encode())
    for name, array in sorted(policy.arrays().items()):
        found.update(f"{name}{array.shape}".encode())
        found.update(np.ascontiguousarray(array, dtype="<f8").tobytes())
    return found.hexdigest()


def posterior(policy: policies.Policy) -> dict[str, dict[str, float]]:
    """Say what is believed of each arm's mean reward: `mean` and `sd`."""
    estimates = policy.estimates()
    return {
        arm: {name: round(float(values[place]), 9) for name, values in estimates.items()}
        for place, arm in enumerate(policy.arms)
    }
