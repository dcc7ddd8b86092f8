"""A policy's status: per arm what is known, per epoch what was decided and why."""

import dataclasses
import datetime as dt
from collections import deque
from typing import Any

from runtimes.contract import bandits

from . import learning
from .cluster import Weights
from .state import State

HISTORY = 10
"""How many of the last epochs are shown."""


def iso(seconds: float) -> str:
    """Write a time as Kubernetes does."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclasses.dataclass(frozen=True)
class Standing:
    """Whether the policy acts, Kubernetes' kind of reason, and a message for a person."""

    ready: bool
    reason: str
    message: str


class Status:
    """What is told about one policy."""

    def __init__(self) -> None:
        self._standing: Standing | None = None
        self._since = ""
        self._history: deque[dict[str, Any]] = deque(maxlen=HISTORY)
        self.foreign: dict[str, Any] | None = None
        """The last change of the weights by somebody else."""

    def stand(self, standing: Standing, now: float) -> bool:
        """Take a standing over; say whether it is another one."""
        before = self._standing
        if before is None or before.ready != standing.ready:
            self._since = iso(now)
        self._standing = standing
        return standing != before

    @property
    def standing(self) -> Standing | None:
        """How the policy stands."""
        return self._standing

    def epoch(self, record: bandits.Allocation) -> None:
        """Add an epoch."""
        self._history.append(
            {
                "epoch": record.epoch,
                "time": iso(record.time),
                "weights": record.weights,
                "applied": record.applied,
                "reasons": record.details.get("reasons") or [],
                "vetoes": [{"arm": each.arm, "reason": each.reason} for each in record.vetoes],
            }
        )

    def body(
        self, generation: int | None, state: State | None, weights: Weights | None, now: float
    ) -> dict[str, Any]:
        """Write it; a null removes what was there before."""
        standing = self._standing or Standing(False, "Starting", "the controller has just begun")
        written: dict[str, Any] = {
            "observedGeneration": generation,
            "conditions": [
                {
                    "type": "Ready",
                    "status": "True" if standing.ready else "False",
                    "reason": standing.reason,
                    "message": standing.message,
                    "lastTransitionTime": self._since or iso(now),
                }
            ],
            "foreignChange": self.foreign,
        }
        if state is not None:
            written |= {
                "mode": state.spec.mode,
                "epoch": state.epoch,
                "arms": _arms(state, weights or {}, self._vetoes()),
                "decisions": dict(state.join.decision_counts),
                "rewards": dict(state.join.reward_counts),
                "waitingRewards": state.join.unanswered(),
                "epochs": list(reversed(self._history)),
            }
        return written

    def _vetoes(self) -> dict[str, str]:
        last = self._history[-1] if self._history else {}
        return {each["arm"]: each["reason"] for each in last.get("vetoes", [])}


def _arms(state: State, weights: Weights, vetoes: dict[str, str]) -> list[dict[str, Any]]:
    total = sum(weights.values())
    posterior = learning.posterior(state.policy)
    return [
        {
            "name": arm,
            "decisions": int(state.decisions_by_arm[place]),
            "rewards": int(state.rewards_by_arm[place]),
            "posterior": posterior.get(arm, {}),
            "weight": weights.get(arm),
            "share": round(weights.get(arm, 0) / total, 4) if total else None,
            **({"veto": vetoes[arm]} if arm in vetoes else {}),
        }
        for place, arm in enumerate(state.arms)
    ]
