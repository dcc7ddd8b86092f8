"""What is known of an experiment: its split, its policy's belief, each epoch with its reasons."""

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from runtimes.contract import bandits

from .doors import objects, topics

EPOCHS = 1000
"""How many of the last epochs are read."""


@dataclasses.dataclass(frozen=True, slots=True)
class Arm:
    """One candidate, and what its policy knows of it."""

    name: str
    weight: int
    share: float
    """Of the traffic, 0..1."""
    decisions: int | None
    rewards: int | None
    mean: float | None
    """Of a reward, as it is believed."""
    sd: float | None
    """Of that belief."""
    veto: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class Epoch:
    """What a policy decided at one time."""

    number: int
    time: float
    policy: str
    mode: str
    applied: bool
    weights: Mapping[str, int]
    decisions: Mapping[str, int]
    """How many each arm had answered in it."""
    reasons: tuple[str, ...]

    def shares(self) -> dict[str, float]:
        """Give the split as shares of 1."""
        total = sum(self.weights.values()) or 1
        return {arm: weight / total for arm, weight in self.weights.items()}


@dataclasses.dataclass(frozen=True, slots=True)
class Policy:
    """Who owns the weights."""

    name: str
    mode: str
    algorithm: str
    metric: str
    epoch: int | None
    ready: bool
    message: str
    annotations: Mapping[str, str]
    waiting: int | None
    """Decisions that still may be rewarded."""


@dataclasses.dataclass(frozen=True, slots=True)
class Experiment:
    """One experiment."""

    name: str
    ready: bool
    message: str
    arms: tuple[Arm, ...]
    policy: Policy | None


@dataclasses.dataclass(frozen=True, slots=True)
class Regret:
    """What the traffic has cost, by what is believed of the arms now."""

    times: tuple[float, ...]
    policy: tuple[float, ...]
    """Cumulated: of the split that there was."""
    fixed: tuple[float, ...]
    """Cumulated: had the first split stayed."""


async def read(door: objects.Objects) -> tuple[Experiment, ...]:
    """Read all experiments with their policies."""
    policies = {each["spec"]["experiment"]: each for each in await door.listed("banditpolicies")}
    found = await door.listed("experiments")
    return tuple(_experiment(each, policies.get(each["metadata"]["name"])) for each in found)


async def epochs(door: topics.Topics) -> tuple[Epoch, ...]:
    """Read the last epochs of all experiments' policies, oldest first; keyed by experiment."""
    records = await door.newest((bandits.ALLOCATIONS,), EPOCHS)
    return tuple(_epoch(bandits.Allocation.decode(each.value)) for each in records)


def regret(arms: Sequence[Arm], history: Sequence[Epoch]) -> Regret | None:
    """Give the expected regret of each epoch's decisions; None where nothing is believed yet.

    An epoch's regret is the sum over its decisions of the best arm's mean less the answering
    arm's (Lai and Robbins 1985), with the means of the posterior as it stands now.
    """
    means = {each.name: each.mean for each in arms if each.mean is not None}
    if not history or len(means) < len(arms) or not means:
        return None
    best = max(means.values())
    gaps = {name: best - mean for name, mean in means.items()}
    first = history[0].shares()
    usual = sum(first.get(name, 0.0) * gap for name, gap in gaps.items())
    times, policy, fixed = [], [0.0], [0.0]
    for each in history:
        times.append(each.time)
        lost = sum(each.decisions.get(name, 0) * gap for name, gap in gaps.items())
        policy.append(policy[-1] + lost)
        fixed.append(fixed[-1] + usual * sum(each.decisions.values()))
    return Regret(tuple(times), tuple(policy[1:]), tuple(fixed[1:]))


def of(history: Sequence[Epoch], policy: str) -> tuple[Epoch, ...]:
    """Give one policy's epochs."""
    return tuple(each for each in history if each.policy == policy)


def _experiment(body: objects.Object, policy: objects.Object | None) -> Experiment:
    candidates = body["spec"]["candidates"]
    total = sum(int(each.get("weight") or 0) for each in candidates) or 1
    status = (policy or {}).get("status") or {}
    known = {each["name"]: each for each in status.get("arms") or ()}
    ready, message = standing(body)
    return Experiment(
        name=body["metadata"]["name"],
        ready=ready,
        message=message,
        arms=tuple(
            _arm(each["name"], int(each.get("weight") or 0), total, known.get(each["name"]) or {})
            for each in candidates
        ),
        policy=None if policy is None else _policy(policy),
    )


def _arm(name: str, weight: int, total: int, known: Mapping[str, Any]) -> Arm:
    posterior = known.get("posterior") or {}
    return Arm(
        name=name,
        weight=weight,
        share=weight / total,
        decisions=known.get("decisions"),
        rewards=known.get("rewards"),
        mean=posterior.get("mean"),
        sd=posterior.get("sd"),
        veto=known.get("veto"),
    )


def _policy(body: objects.Object) -> Policy:
    status, spec = body.get("status") or {}, body["spec"]
    ready, message = standing(body)
    algorithm = spec.get("algorithm")
    return Policy(
        name=body["metadata"]["name"],
        mode=str(spec.get("mode") or status.get("mode") or "active"),
        algorithm=str(algorithm.get("name") if isinstance(algorithm, dict) else algorithm),
        metric=str(spec.get("rewardMetric", "")),
        epoch=status.get("epoch"),
        ready=ready,
        message=message,
        annotations=dict(body["metadata"].get("annotations") or {}),
        waiting=status.get("waitingRewards"),
    )


def standing(body: objects.Object) -> tuple[bool, str]:
    """Say whether an object is ready, and what its condition says."""
    conditions = (body.get("status") or {}).get("conditions") or []
    ready = next((each for each in conditions if each["type"] == "Ready"), None)
    if ready is None:
        return False, "nobody has looked at it yet"
    return ready["status"] == "True", str(ready.get("message") or ready.get("reason") or "")


def _epoch(record: bandits.Allocation) -> Epoch:
    reasons = record.details.get("reasons")
    said = [str(each) for each in reasons] if isinstance(reasons, list) else []
    said += [f"veto {each.arm}: {each.reason}" for each in record.vetoes]
    decisions = record.counts.get("decisions")
    return Epoch(
        number=record.epoch,
        time=record.time,
        policy=record.policy,
        mode=record.mode,
        applied=record.applied,
        weights=dict(record.weights),
        decisions={name: int(str(count)) for name, count in decisions.items()}
        if isinstance(decisions, dict)
        else {},
        reasons=tuple(dict.fromkeys(said)),
    )


def utc(seconds: float, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """Write a Unix time."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime(form)
