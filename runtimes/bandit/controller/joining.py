"""Decisions and rewards joined by id, one epoch after the other.

The state after an epoch is a function of the state before and of the epoch's records alone.
It does not depend on how reading interleaved the two topics, nor on the size of its batches:
an id's first decision and an id's first reward count, by offset, sums are exact,
and what expires does so between epochs, by the newest timestamp that Kafka gave until then.
Times are milliseconds, Kafka's.
"""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .exact import ExactSums, squares
from .table import Columns, Found, Mask, Table, keys_of

ELSEWHERE = 255
"""The arm of a decision for another experiment."""

UNKNOWN_ARM = 254
"""The arm of a decision by a model that is no candidate."""

MOST_ARMS = 250

LARGEST_REWARD = 1e150
"""Beyond it, a reward's square is no number any more."""

_DAY = 24 * 60 * 60 * 1000

DECISION_OUTCOMES = ("taken", "duplicate", "other_experiment", "unknown_arm", "malformed")
REWARD_OUTCOMES = (
    "learnt",
    "duplicate",
    "late",
    "unknown",
    "non_finite",
    "out_of_range",
    "other_metric",
    "other_experiment",
    "unknown_arm",
    "malformed",
)


class Limits:
    """How long and how many; `reward` is the time limit of a reward in milliseconds.

    Of more than `decisions` (and a tenth as many rewards without one) the oldest are forgotten
    at an epoch's end; it takes 18 bytes to remember a decision.
    """

    def __init__(self, reward: int, decisions: int = 10_000_000) -> None:
        self.reward = reward
        self.decisions = decisions
        self.waiting = max(1000, decisions // 10)
        # As long as a late reward is told from an unknown one.
        self.kept = reward + min(reward, _DAY)


@dataclasses.dataclass(frozen=True)
class Decisions:
    """A batch of decisions, in order: ids, times [n], arms [n], contexts [n, d] if wanted."""

    ids: list[str]
    times: NDArray[np.int64]
    arms: NDArray[np.uint8]
    contexts: NDArray[np.float64] | None = None
    malformed: int = 0


@dataclasses.dataclass(frozen=True)
class Rewards:
    """A batch of rewards for the right metric, in order; the others are in `refused`, by outcome."""

    ids: list[str]
    times: NDArray[np.int64]
    values: NDArray[np.float64]
    offsets: NDArray[np.int64]
    refused: dict[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Learnt:
    """What an epoch taught, by arm [K]; sums are rounded once, so no order shows in them.

    `deviations` are the sums of squared deviations from the arm's mean in the epoch.

    For contextual policies there are rows too, in the order of the rewards' offsets:
    `row_arms` [n], `row_values` [n], `row_contexts` [n, d].
    """

    decisions: NDArray[np.int64]
    counts: NDArray[np.int64]
    sums: NDArray[np.float64]
    deviations: NDArray[np.float64]
    row_arms: NDArray[np.int64]
    row_values: NDArray[np.float64]
    row_contexts: NDArray[np.float64]


class _Epoch:
    """What was learnt since the last epoch's end."""

    def __init__(self, arms: int, features: int) -> None:
        self.decisions = np.zeros(arms, dtype=np.int64)
        self.counts = np.zeros(arms, dtype=np.int64)
        self.sums, self.squares = ExactSums(arms), ExactSums(arms)
        self.rows: list[tuple[NDArray[Any], ...]] = []
        self.features = features

    def add(
        self,
        arms: NDArray[np.uint8],
        values: NDArray[np.float64],
        offsets: NDArray[np.int64],
        contexts: NDArray[np.float64] | None,
    ) -> None:
        self.counts += np.bincount(arms, minlength=len(self.counts))
        self.sums.add(arms, values)
        for term in squares(values):
            self.squares.add(arms, term)
        if contexts is not None:
            self.rows.append((offsets, arms, values, contexts))

    def _deviations(self) -> NDArray[np.float64]:
        parts = zip(
            self.squares.fractions(), self.sums.fractions(), self.counts.tolist(), strict=True
        )
        return np.array([float(square - total * total / max(n, 1)) for square, total, n in parts])

    def learnt(self) -> Learnt:
        if self.rows:
            columns = [np.concatenate(each) for each in zip(*self.rows, strict=True)]
            order = np.argsort(columns[0], kind="stable")
            rows = [each[order] for each in columns[1:]]
        else:
            empty = np.zeros(0)
            rows = [empty, empty, np.zeros((0, self.features))]
        return Learnt(
            self.decisions,
            self.counts,
            self.sums.values(),
            self._deviations(),
            rows[0].astype(np.int64),
            rows[1],
            rows[2],
        )


class Join:
    """Open decisions and rewards that wait for theirs.

    `arms` is how many arms there are; `features` the length of a context, 0 for none.
    """

    def __init__(self, arms: int, limits: Limits, features: int = 0) -> None:
        if not 0 < arms <= MOST_ARMS:
            raise ValueError(f"{arms} arms: from 1 to {MOST_ARMS} can be told apart")
        self.limits = limits
        self.watermark = -(2**62)
        """The newest timestamp of all records so far."""
        self.decision_counts = dict.fromkeys(DECISION_OUTCOMES, 0)
        self.reward_counts = dict.fromkeys(REWARD_OUTCOMES, 0)
        self._arms = arms
        self._features = features
        self.open = Table()
        self.waiting = Table()
        self._epoch = _Epoch(arms, features)

    def decide(self, batch: Decisions) -> None:
        """Take decisions, and the rewards that came before them."""
        self.decision_counts["malformed"] += batch.malformed
        if not batch.ids:
            return
        self._seen(batch.times)
        keys, first = _first(keys_of(batch.ids))
        new = ~self.open.find(keys).there
        keys, first = keys[new], first[new]
        self.decision_counts["duplicate"] += len(batch.ids) - len(keys)
        arms, times = batch.arms[first], batch.times[first]
        mine = arms < self._arms
        self.decision_counts["taken"] += int(mine.sum())
        self.decision_counts["other_experiment"] += int((arms == ELSEWHERE).sum())
        self.decision_counts["unknown_arm"] += int((arms == UNKNOWN_ARM).sum())
        self._epoch.decisions += np.bincount(arms[mine], minlength=self._arms)
        contexts = None
        columns: Columns = {
            "key": keys,
            "time": times,
            "arm": arms,
            "used": np.zeros(len(keys), np.bool_),
        }
        if self._features and batch.contexts is not None:
            contexts = columns["context"] = batch.contexts[first]
        early = self.waiting.find(keys)
        match = early.there & ~early.column("used").astype(np.bool_)
        if match.any():
            early.use(match)
            columns["used"] = match
            self._classify(
                arms[match],
                times[match],
                early.column("time")[match],
                early.column("value")[match],
                early.column("offset")[match],
                None if contexts is None else contexts[match],
            )
        self.open.add(columns)

    def reward(self, batch: Rewards) -> None:
        """Take rewards."""
        for outcome, count in batch.refused.items():
            self.reward_counts[outcome] += count
        if not batch.ids:
            return
        self._seen(batch.times)
        keys, first = _first(keys_of(batch.ids))
        self.reward_counts["duplicate"] += len(batch.ids) - len(keys)
        times, values, offsets = batch.times[first], batch.values[first], batch.offsets[first]
        found = self.open.find(keys)
        again = found.there & found.column("used").astype(np.bool_)
        joined = found.there & ~again
        if joined.any():
            self._join(found, joined, times, values, offsets)
        early = self.waiting.find(keys)
        again |= ~found.there & early.there
        self.reward_counts["duplicate"] += int(again.sum())
        alone = ~found.there & ~early.there
        self.waiting.add(
            {
                "key": keys[alone],
                "time": times[alone],
                "value": values[alone],
                "offset": offsets[alone],
                "used": np.zeros(int(alone.sum()), np.bool_),
            }
        )

    def learnt(self) -> Learnt:
        """End the epoch: give what it taught, and let expire what is over."""
        learnt = self._epoch.learnt()
        self._epoch = _Epoch(self._arms, self._features)
        self._expire()
        return learnt

    def compact(self) -> None:
        """Give memory back; nothing else changes."""
        self.open.compact()

    def rearm(self, codes: NDArray[np.uint8], arms: int) -> None:
        """Go on with other arms, between two epochs; `codes` [256] gives an arm's new place."""
        for segment in self.open.segments:
            segment.columns["arm"] = codes[segment.columns["arm"]]
        self.open.renewed()
        self._arms = arms
        self._epoch = _Epoch(arms, self._features)

    def forget(self, features: int) -> None:
        """Forget open decisions: their contexts are not those that are learnt from now on."""
        self._features = features
        horizon = self.open.horizon
        self.open = Table()
        self.open.horizon = horizon
        self._epoch = _Epoch(self._arms, features)

    def unanswered(self) -> int:
        """Say how many rewards wait for their decision."""
        return sum(int((~each.columns["used"]).sum()) for each in self.waiting.segments)

    def _seen(self, times: NDArray[np.int64]) -> None:
        self.watermark = max(self.watermark, int(times.max()))

    def _join(
        self,
        found: Found,
        which: Mask,
        times: NDArray[np.int64],
        values: NDArray[np.float64],
        offsets: NDArray[np.int64],
    ) -> None:
        found.use(which)
        contexts = found.column("context")[which] if self._features else None
        self._classify(
            found.column("arm")[which],
            found.column("time")[which],
            times[which],
            values[which],
            offsets[which],
            contexts,
        )

    def _classify(  # noqa: PLR0913  the columns of decisions beside those of their rewards
        self,
        arms: NDArray[Any],
        decided: NDArray[Any],
        rewarded: NDArray[Any],
        values: NDArray[Any],
        offsets: NDArray[Any],
        contexts: NDArray[Any] | None,
    ) -> None:
        late = (rewarded - decided) > self.limits.reward
        mine = arms < self._arms
        counts = self.reward_counts
        counts["other_experiment"] += int((arms == ELSEWHERE).sum())
        counts["unknown_arm"] += int((arms == UNKNOWN_ARM).sum())
        counts["late"] += int((mine & late).sum())
        good = mine & ~late
        counts["learnt"] += int(good.sum())
        if good.any():
            self._epoch.add(
                arms[good],
                values[good],
                offsets[good],
                None if contexts is None else contexts[good],
            )

    def _expire(self) -> None:
        self.open.expire(self.watermark - self.limits.kept)
        if len(self.open) > self.limits.decisions:
            times = self.open.times()
            surplus = len(times) - self.limits.decisions
            if surplus > 0:
                self.open.expire(int(np.partition(times, surplus)[surplus]))
        horizon = self.watermark - self.limits.reward
        if len(self.waiting) > self.limits.waiting:
            times = np.concatenate([each.columns["time"] for each in self.waiting.segments])
            surplus = len(times) - self.limits.waiting
            horizon = max(horizon, int(np.partition(times, surplus)[surplus]))
        self._give_up(horizon)

    def _give_up(self, horizon: int) -> None:
        """Count rewards as unknown whose decision did not come in time."""
        keep: dict[int, Mask] = {}
        for number, each in enumerate(self.waiting.segments):
            over = each.columns["time"] < horizon
            self.reward_counts["unknown"] += int((over & ~each.columns["used"]).sum())
            keep[number] = ~(over | each.columns["used"])
        self.waiting.drop(keep)


def _first(keys: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Give each key once, in the order of first occurrence, and where that is."""
    _, first = np.unique(keys, return_index=True)
    first.sort()
    return keys[first], first
