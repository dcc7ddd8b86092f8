"""Decisions with their rewards, as columns: what an evaluation starts from.

The rules are the controller's: an id's first decision and its first reward for the metric count,
a reward counts within its time limit, and times are Kafka's.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runtimes.bandit.controller.messages import Message
from runtimes.contract import bandits

from .splits import Splits

Array = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True)
class Joined:
    """Rewarded decisions, in the order in which they were made.

    `arms` [n] are places in the splits' arms, `times` and `reward_times` [n] milliseconds,
    `intervals` [n] those of the splits; `contexts` [n, d] are numbers called `features`, NaN where
    a decision has none. `left_out` counts what could not be used, by reason.
    """

    arms: NDArray[np.int64]
    rewards: Array
    propensities: Array
    times: NDArray[np.int64]
    reward_times: NDArray[np.int64]
    intervals: NDArray[np.int64]
    contexts: Array
    features: tuple[str, ...]
    left_out: Mapping[str, int]


class _Row(NamedTuple):
    time: int
    arm: int
    propensity: float | None
    context: Mapping[str, float] | None


def join(  # noqa: PLR0913  the records, and by what they are read
    decisions: Iterable[Message],
    rewards: Iterable[Message],
    splits: Splits,
    *,
    experiment: str,
    metric: str,
    limit_ms: int,
) -> Joined:
    """Join the records of one experiment and metric; `limit_ms` is how late a reward may be."""
    left_out: dict[str, int] = dict.fromkeys(
        ("malformed", "unknown arm", "not rewarded", "late", "split not known", "no propensity"), 0
    )
    rows = _decided(decisions, splits.arms, experiment, left_out)
    found = _rewarded(rewards, metric, left_out)
    kept: list[tuple[_Row, float, int]] = []
    for identity, row in rows.items():
        reward = found.get(identity)
        if reward is None:
            left_out["not rewarded"] += 1
        elif reward[1] - row.time > limit_ms:
            left_out["late"] += 1
        else:
            kept.append((row, *reward))
    kept.sort(key=lambda each: each[0].time)
    return _columns(kept, splits, left_out)


def _decided(
    decisions: Iterable[Message],
    arms: tuple[str, ...],
    experiment: str,
    left_out: dict[str, int],
) -> dict[str, _Row]:
    places = {arm: place for place, arm in enumerate(arms)}
    rows: dict[str, _Row] = {}
    for _, time, value in decisions:
        try:
            read = bandits.Decision.decode(value)
        except bandits.InvalidRecord:
            left_out["malformed"] += 1
            continue
        if read.experiment != experiment or read.id in rows:
            continue
        place = places.get(read.arm)
        if place is None:
            left_out["unknown arm"] += 1
            continue
        rows[read.id] = _Row(time, place, read.propensity, read.context)
    return rows


def _rewarded(
    rewards: Iterable[Message], metric: str, left_out: dict[str, int]
) -> dict[str, tuple[float, int]]:
    found: dict[str, tuple[float, int]] = {}
    for _, time, value in rewards:
        try:
            read = bandits.Reward.decode(value)
        except bandits.InvalidRecord:
            left_out["malformed"] += 1
            continue
        if read.metric == metric:
            found.setdefault(read.prediction_id, (read.value, time))
    return found


def _columns(
    kept: list[tuple[_Row, float, int]], splits: Splits, left_out: dict[str, int]
) -> Joined:
    rows = [row for row, _, _ in kept]
    times = np.array([row.time for row in rows], dtype=np.int64)
    arms = np.array([row.arm for row in rows], dtype=np.int64)
    own = np.array([row.propensity or np.nan for row in rows], dtype=np.float64)
    intervals = splits.at(times)
    # A propensity of its own goes before the split's: the decision was made request by request.
    certain = splits.known[intervals] | np.isfinite(own)
    propensities = np.where(np.isfinite(own), own, splits.shares[intervals, arms])
    left_out["split not known"] += int((~certain).sum())
    left_out["no propensity"] += int((certain & ~(propensities > 0)).sum())
    good = certain & (propensities > 0)
    features, contexts = _contexts([row.context for row in rows])
    return Joined(
        arms=arms[good],
        rewards=np.array([value for _, value, _ in kept], dtype=np.float64)[good],
        propensities=propensities[good],
        times=times[good],
        reward_times=np.array([time for _, _, time in kept], dtype=np.int64)[good],
        intervals=intervals[good],
        contexts=contexts[good],
        features=features,
        left_out=left_out,
    )


def _contexts(given: list[Mapping[str, float] | None]) -> tuple[tuple[str, ...], Array]:
    """Give the numbers that every context has, by name."""
    named = [set(each) for each in given if each]
    features = tuple(sorted(set.intersection(*named))) if named else ()
    missing = dict.fromkeys(features, np.nan)
    rows = [[(each or missing)[name] for name in features] for each in given]
    return features, np.array(rows, dtype=np.float64).reshape(len(given), len(features))
