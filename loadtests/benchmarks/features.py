"""What the feature store costs: a read, beside Feast's own, and a bar's way into the features.

Reads alternate, a stretch of each in turn: the step `enrichment` through the gateway, the same step
called in one process, and Feast's `get_online_features` for the same values.
A bar's way is measured by the demo of the feature store, which replays history through Kafka and
the stream, asks until an answer knows each bar, and puts the store back.
"""

import collections.abc
import dataclasses
import json
import os
import statistics
import subprocess
import sys
from typing import Any

from loadtests import endpoints, wire
from loadtests.benchmarks import benchmark, child
from runtimes import contract

NAME = "features"
ABOUT = "a read of the feature store beside Feast's own, and a bar's way into the next forecast"

MODEL = "enrichment"
SYMBOL = "SPX"
_STRETCH = 200
_REPLAY_SECONDS = 30


def run(context: benchmark.Context) -> benchmark.Result:
    """Measure the reads in every round, then a replay."""
    load_average = os.getloadavg()[0]
    gateway = endpoints.address(context.where.gateway)
    body = {
        "inputs": [{"name": contract.SYMBOL, "shape": [1], "datatype": "BYTES", "data": [SYMBOL]}]
    }
    request = wire.compose(
        "POST",
        gateway,
        endpoints.infer_path(MODEL),
        endpoints.model_header(MODEL),
        json.dumps(body).encode(),
    )
    rounds: list[dict[str, float]] = []
    with wire.Connection(gateway) as connection:
        folder = f"{child.repository(context)}/{_internal_name(connection, request)}"
        with child.started(context, "loadtests.plain_reads", folder) as plain:
            for number in range(context.rounds + 1):
                context.progress(number / (context.rounds + 6), f"round {number + 1}: reads")
                asked = [connection.call(request).seconds * 1e3 for _ in range(_STRETCH)]
                there = plain({"symbol": SYMBOL, "count": _STRETCH})
                if number:  # the first is a warm-up
                    rounds.append({"gateway_ms": statistics.median(asked), **there})
    context.progress((context.rounds + 1) / (context.rounds + 6), "replay")
    return _result(rounds, _replay(context), load_average)


def _internal_name(connection: wire.Connection, request: bytes) -> str:
    answer = connection.call(request)
    if not answer.ok or answer.arm is None:
        raise endpoints.LoadTestError(
            f"{MODEL} does not answer for {SYMBOL}: status {answer.status}, {answer.body[:300]!r}; "
            "`bellwether status` tells what is wrong"
        )
    return answer.arm.internal_name


def _replay(context: benchmark.Context) -> dict[str, Any]:
    demo = context.root / "scripts" / "feature-store-demo.py"
    options = ["--realtime", "--json", "--duration", f"{_REPLAY_SECONDS}s"]
    done = subprocess.run(
        [sys.executable, str(demo), *options], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise endpoints.LoadTestError(f"the replay failed: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


_READS = {
    "gateway_ms": "enrichment, through the gateway",
    "enrichment_ms": "enrichment, called in one process",
    "feast_ms": "Feast's get_online_features, in one process",
}


def _result(
    rounds: collections.abc.Sequence[dict[str, float]],
    replay: dict[str, Any],
    load_average: float,
) -> benchmark.Result:
    spreads = {name: benchmark.Spread.of(one[name] for one in rounds) for name in _READS}
    latency = replay["latency_ms"]
    return benchmark.Result(
        tables=(
            benchmark.Table(
                f"one symbol's features and history, ms (median of {_STRETCH} a round)",
                ("read", "min", "median", "max"),
                tuple((_READS[name], *each.cells(3)) for name, each in spreads.items()),
                note="enrichment reads, judges the quality, publishes the record and answers; "
                f"Feast's only reads; the load average was {load_average:.1f} before",
            ),
            benchmark.Table(
                "from a bar's arrival on market-data to the first answer that knows it, ms",
                ("bars", "p50", "p99", "max", "within 200 ms"),
                (
                    (
                        str(latency["count"]),
                        *(f"{latency[name]:.1f}" for name in ("p50", "p99", "max")),
                        f"{latency['share_within_limit']:.1%}",
                    ),
                ),
            ),
        ),
        document={
            "rounds": len(rounds),
            "load_average_before": load_average,
            "reads": {name: dataclasses.asdict(each) for name, each in spreads.items()},
            "bar_to_answer_ms": latency,
            "work": replay["work"],
        },
    )
