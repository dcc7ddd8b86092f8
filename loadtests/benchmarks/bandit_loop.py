"""The bandit's controller: what it absorbs, how soon weights follow, its memory, ten kills.

In a small environment of its own (Kafka, Valkey, the mesh; no MLServer, no Envoy):
what is sent and killed here must not reach the one that serves.
"""

import collections.abc
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import time
from typing import Any

import httpx
import psutil

from loadtests import bandit_kills, bandit_parts, endpoints
from loadtests.benchmarks import benchmark

NAME = "bandit-loop"
ABOUT = "the bandit's controller: rewards a second, epoch's end to PATCH, memory, ten kills"

REWARDS = 300_000
EPOCHS = 40
KILLED_REWARDS = 100_000
KILLS = 10
KILLED_SECONDS = 100.0
DECISIONS = 12_000_000
REMEMBERED = 10_000_000

_SENT = "bellwether_bandit_patch_sent_seconds_bucket"
_FREQUENCY = 0.5


def run(context: benchmark.Context) -> benchmark.Result:
    """Measure the four in turn."""
    document: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="bandit-loop-") as folder:
        for number, (name, measure) in enumerate(
            (("absorbed", _absorbed), ("update", _update), ("kills", _kills))
        ):
            context.progress(number / 4, name)
            place = pathlib.Path(folder) / name
            place.mkdir()
            try:
                with bandit_parts.parts(place) as parts:
                    document[name] = measure(parts)
            except bandit_parts.PartsError as error:
                raise endpoints.LoadTestError(f"{NAME}, {name}: {error}") from error
    context.progress(3 / 4, "memory")
    document["memory"] = _memory(context.root)
    return benchmark.Result((_table(document),), document)


def _absorbed(parts: bandit_parts.Parts) -> dict[str, Any]:
    """Fill the topics, then let a controller catch up."""
    parts.declare_experiment(**dict.fromkeys(bandit_parts.ARMS, 1))
    draw = random.Random(1)  # noqa: S311  values that are the same each time
    traffic = parts.traffic()
    for number in range(REWARDS):
        traffic.decide(f"a-{number}", draw.choice(bandit_parts.ARMS))
        traffic.reward(f"a-{number}", draw.random())
    traffic.flush()
    parts.declare_policy(updateFrequency="1s")
    parts.controller.start()
    process = psutil.Process(parts.controller.pid)
    began, before = _begun(parts, process)
    bandit_parts.until(
        lambda: True if _learnt(parts) >= REWARDS else None, "every reward is learnt", 120
    )
    seconds = time.time() - began
    used = process.cpu_times()
    cpu = used.user + used.system - before
    parts.controller.stop()
    return {
        "rewards": REWARDS,
        "seconds": seconds,
        "rewards_per_second": REWARDS / seconds,
        "rewards_per_cpu_second": REWARDS / cpu,
    }


def _begun(parts: bandit_parts.Parts, process: psutil.Process) -> tuple[float, float]:
    """Wait until the log has begun: when that was, and the processor time until then."""

    def first() -> float | None:
        found = parts.allocations()
        return found[0].time if found else None

    began = bandit_parts.until(first, "the policy has begun")
    used = process.cpu_times()
    return began, used.user + used.system


def _learnt(parts: bandit_parts.Parts) -> int:
    return int((parts.status().get("rewards") or {}).get("learnt", 0))


def _update(parts: bandit_parts.Parts) -> dict[str, Any]:
    """Make another arm the best in each epoch, beside 1,000 rewards a second."""
    parts.declare_experiment(**dict.fromkeys(bandit_parts.ARMS, 1))
    parts.declare_policy(
        updateFrequency=f"{round(_FREQUENCY * 1000)}ms",
        forgetting={"name": "change-points"},
    )
    parts.controller.start()
    parts.standing("Active")
    draw = random.Random(2)  # noqa: S311  values that are the same each time
    traffic = parts.traffic()
    began, number = time.time(), 0
    while time.time() - began < EPOCHS * _FREQUENCY:
        best = bandit_parts.ARMS[int((time.time() - began) / _FREQUENCY) % 4]
        for _ in range(50):
            arm = draw.choice(bandit_parts.ARMS)
            traffic.decide(f"u-{number}", arm)
            traffic.reward(f"u-{number}", draw.gauss(3.0 if arm == best else 0.0, 1.0))
            number += 1
        traffic.flush()
        time.sleep(max(0.0, began + number / 1000 - time.time()))
    text = httpx.get(f"http://127.0.0.1:{parts.port}/metrics").text
    parts.controller.stop()
    buckets = list(_buckets(text, _SENT))
    count = buckets[-1][1]
    return {
        "patches": int(count),
        "p50_ms": _quantile(buckets, 0.5) * 1e3,
        "p95_ms": _quantile(buckets, 0.95) * 1e3,
        "within_50_ms": next(n for bound, n in buckets if bound >= 0.05) / count,  # noqa: PLR2004
    }


def _buckets(text: str, name: str) -> collections.abc.Iterator[tuple[float, float]]:
    for line in text.splitlines():
        if line.startswith(name):
            bound = line.partition('le="')[2].partition('"')[0]
            yield float(bound), float(line.rpartition(" ")[2])


def _quantile(buckets: list[tuple[float, float]], share: float) -> float:
    """Give the least bound under which so many are; buckets are 5 ms wide below 100 ms."""
    wanted = share * buckets[-1][1]
    return next(bound for bound, count in buckets if count >= wanted)


def _kills(parts: bandit_parts.Parts) -> dict[str, Any]:
    parts.declare_experiment(**dict.fromkeys(bandit_parts.ARMS, 1))
    parts.declare_policy(updateFrequency="500ms")
    parts.controller.start()
    parts.standing("Active")
    outcome = bandit_kills.run(parts, KILLED_REWARDS, KILLS, KILLED_SECONDS, seed=3)
    parts.controller.stop()
    learnt = {each["name"]: each["rewards"] for each in outcome.status["arms"]}
    return {
        "rewards": outcome.rewards,
        "kills": outcome.kills,
        "learnt": outcome.status["rewards"]["learnt"],
        "by_arm_as_sent": learnt == outcome.by_arm,
        "epochs": outcome.epochs,
        "epochs_that_a_replay_gives_otherwise": len(outcome.different),
        "seconds": outcome.seconds,
    }


def _memory(root: pathlib.Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "loadtests.bandit_memory", str(DECISIONS), str(REMEMBERED)]
    answer = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in answer.stdout.splitlines()]
    by_count = {each["decisions"]: each["mb"] for each in lines}
    return {
        "decisions": DECISIONS,
        "remembered_at_most": REMEMBERED,
        "mb_at_1_million": by_count[1_000_000],
        "mb_at_10_million": by_count[10_000_000],
        "mb_at_12_million": by_count[12_000_000],
        "joined_per_second": DECISIONS / lines[-1]["seconds"],
    }


def _table(document: dict[str, Any]) -> benchmark.Table:
    absorbed, update = document["absorbed"], document["update"]
    kills, memory = document["kills"], document["memory"]
    different = kills["epochs_that_a_replay_gives_otherwise"]
    rows = (
        ("rewards absorbed a second, decisions beside", f"{absorbed['rewards_per_second']:,.0f}"),
        ("… for each second of processor time", f"{absorbed['rewards_per_cpu_second']:,.0f}"),
        ("epoch's end to PATCH, median, ms (at most)", f"{update['p50_ms']:.0f}"),
        ("epoch's end to PATCH, 95 %, ms (at most)", f"{update['p95_ms']:.0f}"),
        (f"… of {update['patches']} within 50 ms", f"{update['within_50_ms']:.0%}"),
        ("memory at 1 / 10 / 12 million decisions, MB", " / ".join(
            f"{memory[f'mb_at_{count}_million']:.0f}" for count in (1, 10, 12)
        )),
        (f"of {kills['rewards']:,} rewards, learnt after {KILLS} kills", f"{kills['learnt']:,}"),
        (f"of {kills['epochs']} epochs, otherwise in a replay", str(different)),
    )  # fmt: skip
    return benchmark.Table("the bandit's controller", ("", "measured"), rows)
