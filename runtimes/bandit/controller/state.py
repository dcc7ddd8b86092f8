"""What a policy knows after an epoch, and how the next epoch changes it.

Pure: records in, state out. `digest` says in 64 digits whether two states are the same.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from runtimes.bandit import declaration
from runtimes.contract import bandits

from . import learning, messages
from .joining import UNKNOWN_ARM, Join, Learnt, Limits

TOPICS = (bandits.DECISIONS, bandits.REWARDS)


def spec_digest(spec: declaration.BanditPolicySpec) -> str:
    """Give a digest of a spec."""
    return _digest(spec.model_dump(mode="json", by_alias=True))


def _digest(document: Any) -> str:
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _limits(spec: declaration.BanditPolicySpec, most: int) -> Limits:
    return Limits(round(spec.reward_time_limit.total_seconds() * 1000), most)


class State:
    """Everything that the next epoch depends on. `positions` are the next offsets by topic."""

    def __init__(
        self,
        spec: declaration.BanditPolicySpec,
        arms: Sequence[str],
        positions: dict[str, int],
        max_decisions: int = 10_000_000,
    ) -> None:
        self.spec = spec
        self.arms = tuple(arms)
        self.positions = dict(positions)
        self.epoch = -1
        """The last epoch that has ended; the first one, number 0, only begins the log."""
        self.fresh = False
        """Whether records came in since then."""
        self.max_decisions = max_decisions
        self.policy = learning.start(spec, self.arms)
        features = learning.features(spec)
        self.join = Join(len(self.arms), _limits(spec, max_decisions), len(features))
        self.rewards_by_arm = np.zeros(len(self.arms), dtype=np.int64)
        self.decisions_by_arm = np.zeros(len(self.arms), dtype=np.int64)

    def take(self, topic: str, batch: Sequence[messages.Message]) -> None:
        """Take the next records of a topic."""
        if not batch:
            return
        self.fresh = True
        self.positions[topic] = batch[-1].offset + 1
        if topic == bandits.DECISIONS:
            places = {arm: place for place, arm in enumerate(self.arms)}
            self.join.decide(
                messages.decisions(
                    batch, self.spec.experiment, places, learning.features(self.spec)
                )
            )
        else:
            binary = self.spec.reward_kind == "binary"
            self.join.reward(messages.rewards(batch, self.spec.reward_metric, binary=binary))

    def end(self) -> Learnt:
        """End an epoch: learn what it taught. Without a record, nothing changes but its number."""
        self.epoch += 1
        learnt = self.join.learnt()
        if self.fresh:
            self.policy.update(learning.batch(learnt))
        self.fresh = False
        self.rewards_by_arm += learnt.counts
        self.decisions_by_arm += learnt.decisions
        return learnt

    def adopt(self, spec: declaration.BanditPolicySpec, arms: Sequence[str]) -> list[str]:
        """Go on by another spec, or with other arms, between two epochs; say what that means."""
        reasons = []
        arms = tuple(arms)
        if arms != self.arms:
            reasons.append(f"candidates were {', '.join(self.arms)} and are {', '.join(arms)}")
        policy, renewed = None, learning.renewed(self.spec, spec)
        if not renewed:
            policy = learning.carried(self.policy, spec, arms)
        if policy is None:
            reasons.append(f"{', '.join(renewed) or 'the candidates'} changed: learns anew")
            policy = learning.start(spec, arms)
        if arms != self.arms:
            self._rearm(arms)
        if renewed:
            self.rewards_by_arm[:] = 0
            self.decisions_by_arm[:] = 0
        self.policy = policy
        if learning.features(spec) != learning.features(self.spec):
            self.join.forget(len(learning.features(spec)))
        self.spec = spec
        self.join.limits = _limits(spec, self.max_decisions)
        return reasons

    def _rearm(self, arms: tuple[str, ...]) -> None:
        codes = np.arange(256, dtype=np.uint8)
        codes[: len(self.arms)] = [
            arms.index(arm) if arm in arms else UNKNOWN_ARM for arm in self.arms
        ]
        self.join.rearm(codes, len(arms))
        for name in ("rewards_by_arm", "decisions_by_arm"):
            before = dict(zip(self.arms, getattr(self, name).tolist(), strict=True))
            setattr(self, name, np.array([before.get(arm, 0) for arm in arms], dtype=np.int64))
        self.arms = arms

    def digest(self) -> str:
        """Give a digest of what was learnt, of all counts, and of how far the topics were read."""
        return _digest(
            {
                "epoch": self.epoch,
                "arms": self.arms,
                "policy": learning.digest(self.policy),
                "positions": self.positions,
                "watermark": self.join.watermark,
                "horizon": self.join.open.horizon,
                "decisions": self.join.decision_counts,
                "rewards": self.join.reward_counts,
                "rewards_by_arm": self.rewards_by_arm.tolist(),
                "decisions_by_arm": self.decisions_by_arm.tolist(),
                "waiting": self.join.unanswered(),
            }
        )
