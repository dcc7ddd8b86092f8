"""The controller and Kafka killed at random moments while rewards come in."""

import dataclasses
import random
import threading
import time
from collections import Counter
from typing import Any

import numpy as np

from loadtests.bandit_parts import ARMS, Parts, PartsError, Traffic, until
from runtimes.bandit.controller import replay
from runtimes.contract import bandits

_EVERY = 3
"""Each third kill is Kafka's."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What was sent and acknowledged, what the controller has learnt, and what a replay says."""

    rewards: int
    by_arm: dict[str, int]
    sums: dict[str, float]
    status: dict[str, Any]
    epochs: int
    different: list[tuple[int, tuple[str, ...]]]
    replayed: dict[str, int]
    kills: dict[str, int]
    seconds: float


def run(parts: Parts, rewards: int, kills: int, seconds: float, seed: int) -> Outcome:
    """Send rewarded decisions at an even rate over `seconds`, and kill something `kills` times.

    Every tenth reward is sent twice, some before their decision.
    """
    draw = random.Random(seed)  # noqa: S311  values that are the same each time
    traffic = parts.traffic()
    by_arm: Counter[str] = Counter()
    sums = dict.fromkeys(ARMS, 0.0)
    killed: Counter[str] = Counter()
    began = time.monotonic()
    done = threading.Event()
    moments = sorted(draw.uniform(0.05, 0.95) * seconds for _ in range(kills))
    pauses = [draw.uniform(0.0, 0.3) for _ in range(kills)]

    def kill() -> None:
        for number, (moment, pause) in enumerate(zip(moments, pauses, strict=True)):
            time.sleep(max(0.0, began + moment - time.monotonic()))
            part = parts.broker if number % _EVERY == _EVERY - 1 else parts.controller
            part.kill()
            killed["kafka" if part is parts.broker else "controller"] += 1
            time.sleep(pause)
            part.start()
        done.set()

    killer = threading.Thread(target=kill)
    killer.start()
    for number in range(rewards):
        arm = draw.choice(ARMS)
        value = draw.gauss(1.0 if arm == "three" else 0.0, 1.0)
        by_arm[arm] += 1
        sums[arm] += value
        _send(traffic, number, arm, value)
        if number % 500 == 0:
            time.sleep(max(0.0, began + seconds * number / rewards - time.monotonic()))
    traffic.flush()
    killer.join()
    if not done.is_set() or traffic.acknowledged[bandits.DECISIONS] != rewards:
        raise PartsError("not everything was sent and killed as planned")

    def learnt() -> dict[str, Any] | None:
        status = parts.status()
        return status if (status.get("rewards") or {}).get("learnt", 0) >= rewards else None

    status = until(learnt, "every reward is learnt", 90)
    took = time.monotonic() - began
    different, last = [], None
    epochs = 0
    for each, count in replay.replay(parts.kafka, parts.policy):
        epochs, last = count, each.state
        if each.different:
            different.append((each.entry.record.epoch, each.different))
    if last is None:
        raise PartsError("the log is empty")
    counts = np.asarray(last.rewards_by_arm).tolist()
    return Outcome(
        rewards,
        dict(by_arm),
        sums,
        status,
        epochs,
        different,
        dict(zip(last.arms, counts, strict=True)),
        dict(killed),
        took,
    )


def _send(traffic: Traffic, number: int, arm: str, value: float) -> None:
    early = number % 7 == 0
    if early:
        traffic.reward(f"k-{number}", value)
    traffic.decide(f"k-{number}", arm)
    if not early:
        traffic.reward(f"k-{number}", value)
    if number % 10 == 0:
        traffic.reward(f"k-{number}", value + 1.0)
