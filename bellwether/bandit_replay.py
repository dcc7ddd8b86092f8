"""`bellwether bandit replay`: a policy's history again, from the topics alone, and compared."""

import dataclasses
from collections.abc import Callable
from typing import Any

from runtimes.bandit.controller import replay
from runtimes.bandit.controller.parts import AwayError, UnusableError
from runtimes.bandit.judging import acting

Said = Callable[[int, int], None]
"""Told how many epochs are done, of how many."""


@dataclasses.dataclass(frozen=True, slots=True)
class Replay:
    """What came out: how many epochs, and those that came out otherwise, with what did."""

    policy: str
    epochs: int
    learnt: int
    digest: str
    different: tuple[tuple[int, tuple[str, ...]], ...]

    def document(self) -> dict[str, Any]:
        """Write it for programs."""
        return {
            "policy": self.policy,
            "epochs": self.epochs,
            "rewards_learnt": self.learnt,
            "state_digest": self.digest,
            "different": [{"epoch": epoch, "what": list(what)} for epoch, what in self.different],
        }


def run(kafka: str, policy: str, said: Said) -> Replay:
    """Do all epochs of a policy again.

    Raises:
        BanditError: there is no log, records are gone, or Kafka does not answer.

    """
    different, done, state = [], 0, None
    try:
        for each, count in replay.replay(kafka, policy):
            done, state = done + 1, each.state
            if each.different:
                different.append((each.entry.record.epoch, each.different))
            said(done, count)
    except (AwayError, UnusableError) as error:
        raise acting.BanditError(f"policy {policy!r} cannot be replayed: {error}") from error
    if state is None:
        raise acting.BanditError(f"policy {policy!r} has no epoch in the log yet")
    learnt = state.join.reward_counts["learnt"]
    return Replay(policy, done, learnt, state.digest(), tuple(different))
