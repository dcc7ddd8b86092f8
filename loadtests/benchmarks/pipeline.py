"""What the prediction pipeline costs, beside its steps as plain calls in one process.

Latency alternates between the two, a stretch of each in turn, so that the machine's other work
touches both alike. Throughput and its tail are measured with sixteen callers, with what each
process of the environment spent on it.

Requests come in two kinds.
`same day` asks for the symbols' newest day, as most callers do: its explanation is known after the
first one. `new features` gives one base feature another value in each request, so that everything
is computed every time.
"""

import collections.abc
import dataclasses
import itertools
import json
import os
import statistics
import subprocess
import time
from typing import Any

import psutil

from loadtests import endpoints, wire
from loadtests.benchmarks import benchmark, child
from runtimes import contract

NAME = "pipeline"
ABOUT = "the prediction pipeline against its steps as plain calls: latency, throughput, tail"

PIPELINE = "financial-prediction-pipeline"
CALLERS = 16
_WARM_UP = 50
_STRETCH = 50
_STRETCHES = 4
_SLICE_SECONDS = 3.0
_VARIED = "rsi_14d"


@dataclasses.dataclass(slots=True)
class _Measured:
    """One round's values of one kind of request."""

    latencies_ms: list[float] = dataclasses.field(default_factory=list)
    plain: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    loaded_ms: list[float] = dataclasses.field(default_factory=list)
    seconds: float = 0.0
    failed: int = 0
    cpu: dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def steps_ms(self) -> float:
        """The sum of the steps' own times: the median over stretches."""
        return statistics.median(float(one["steps_sum_ms"]) for one in self.plain)

    @property
    def requests_per_second(self) -> float:
        return len(self.loaded_ms) / self.seconds


def run(context: benchmark.Context) -> benchmark.Result:
    """Measure both kinds of requests in every round; see the module's description."""
    kinds = {"same day": _same_day(context), "new features": _new_features(context)}
    rounds: list[dict[str, _Measured]] = []
    load_average = os.getloadavg()[0]
    repository = child.repository(context)
    arguments = (repository, context.where.namespace, PIPELINE)
    with child.started(context, "loadtests.plain_steps", *arguments) as plain:
        for number in range(context.rounds):
            measured = {}
            for at, (kind, bodies) in enumerate(kinds.items()):
                done = (number + at / len(kinds)) / context.rounds
                context.progress(done, f"round {number + 1}: {kind}")
                measured[kind] = _Measured()
                _latency(context, plain, bodies, measured[kind])
                _throughput(context, bodies, measured[kind])
            rounds.append(measured)
    return _result(rounds, load_average)


_Bodies = collections.abc.Iterator[dict[str, Any]]


def _same_day(context: benchmark.Context) -> _Bodies:
    return itertools.cycle([_body(symbol) for symbol in _symbols(context)])


def _new_features(context: benchmark.Context) -> _Bodies:
    for number, symbol in enumerate(itertools.cycle(_symbols(context))):
        yield _body(symbol, **{_VARIED: 20.0 + number * 1e-5 % 60.0})


def _symbols(context: benchmark.Context) -> tuple[str, ...]:
    """Ask for a symbol that there is not: the answer names those that there are."""
    gateway = endpoints.address(context.where.gateway)
    with wire.Connection(gateway) as connection:
        answer = connection.call(_request(context, _body("?")))
    named = answer.body.decode().rpartition("known are ")[2].strip()
    if answer.ok or not named:
        raise endpoints.LoadTestError(
            f"{PIPELINE} does not say which symbols it knows: status {answer.status}, "
            f"{answer.body[:300]!r}; `bellwether status` tells what is wrong"
        )
    return tuple(each.strip() for each in named.split(","))


def _body(symbol: str, **base: float) -> dict[str, Any]:
    tensors = [{"name": contract.SYMBOL, "shape": [1], "datatype": "BYTES", "data": [symbol]}]
    tensors += [
        {"name": name, "shape": [1], "datatype": "FP64", "data": [value]}
        for name, value in base.items()
    ]
    return {"inputs": tensors}


def _request(context: benchmark.Context, body: dict[str, Any]) -> bytes:
    return wire.compose(
        "POST",
        endpoints.address(context.where.gateway),
        f"/v2/pipelines/{PIPELINE}/infer",
        {"seldon-model": f"{PIPELINE}.pipeline"},
        json.dumps(body).encode(),
    )


def _latency(
    context: benchmark.Context,
    plain: child.Measure,
    bodies: _Bodies,
    measured: _Measured,
) -> None:
    with wire.Connection(endpoints.address(context.where.gateway)) as connection:
        for turn in range(_STRETCHES + 1):
            count = _STRETCH if turn else _WARM_UP
            taken = []
            for _ in range(count):
                answer = connection.call(_request(context, next(bodies)))
                measured.failed += not answer.ok
                taken.append(answer.seconds * 1e3)
            there = plain({"bodies": [next(bodies) for _ in range(count)]})
            if turn:
                measured.latencies_ms += taken
                measured.plain.append(there)


def _throughput(context: benchmark.Context, bodies: _Bodies, measured: _Measured) -> None:
    """Sixteen callers that ask again as soon as they are answered."""
    address = endpoints.address(context.where.gateway)

    def answered(answer: wire.Answer) -> bytes:
        if answer.ok:
            measured.loaded_ms.append(answer.seconds * 1e3)
        else:
            measured.failed += 1
        return _request(context, next(bodies))

    def failed(_: wire.WireError) -> bytes:
        measured.failed += 1
        return _request(context, next(bodies))

    callers = [wire.Caller(wire.Connection(address), answered, failed) for _ in range(CALLERS)]
    processes = _processes(context)
    before = _spent(processes)
    try:
        for caller in callers:
            caller.send(_request(context, next(bodies)))
        began = time.perf_counter()
        wire.drive(callers, lambda: time.perf_counter() - began >= _SLICE_SECONDS)
        measured.seconds = time.perf_counter() - began
    finally:
        for caller in callers:
            caller.connection.close()
    after = _spent(processes)
    answers = max(1, len(measured.loaded_ms))
    measured.cpu = {name: (after[name] - before[name]) * 1e3 / answers for name in before}


def _processes(context: benchmark.Context) -> dict[str, psutil.Process]:
    """Name the environment's processes, and this one."""
    command = [*context.cli, "status", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    listed = json.loads(done.stdout)["components"]
    found = {each["component"]: psutil.Process(each["pid"]) for each in listed if each["pid"]}
    return {**found, "callers (this benchmark)": psutil.Process()}


def _spent(processes: dict[str, psutil.Process]) -> dict[str, float]:
    return {name: sum(each.cpu_times()[:2]) for name, each in processes.items()}


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def _result(rounds: list[dict[str, _Measured]], load_average: float) -> benchmark.Result:
    latency, loaded, steps, cpu = [], [], [], []
    document: dict[str, Any] = {
        "pipeline": PIPELINE,
        "rounds": len(rounds),
        "callers": CALLERS,
        "load_average_before": load_average,
        "kinds": {},
    }
    for kind in rounds[0]:
        known = [one[kind] for one in rounds]
        median = benchmark.Spread.of(statistics.median(one.latencies_ms) for one in known)
        tail = benchmark.Spread.of(_quantile(one.latencies_ms, 0.99) for one in known)
        own = benchmark.Spread.of(one.steps_ms for one in known)
        added = benchmark.Spread.of(
            statistics.median(one.latencies_ms) - one.steps_ms for one in known
        )
        rate = benchmark.Spread.of(one.requests_per_second for one in known)
        quantiles = {
            f"p{share * 100:g}": benchmark.Spread.of(
                _quantile(one.loaded_ms, share) for one in known
            )
            for share in (0.5, 0.95, 0.99)
        }
        plain_rate = benchmark.Spread.of(
            statistics.median(each["calls_per_second"] for each in one.plain) for one in known
        )
        by_step = {
            step: statistics.median(
                each["steps_ms"][step] for one in known for each in one.plain
                if step in each["steps_ms"]
            )
            for step in dict.fromkeys(s for one in known for e in one.plain for s in e["steps_ms"])
        }  # fmt: skip
        spent = {name: statistics.median(one.cpu[name] for one in known) for name in known[0].cpu}
        failed = sum(one.failed for one in known)
        document["kinds"][kind] = {
            "latency_ms": dataclasses.asdict(median),
            "latency_p99_ms": dataclasses.asdict(tail),
            "steps_ms": dataclasses.asdict(own),
            "added_ms": dataclasses.asdict(added),
            "requests_per_second": dataclasses.asdict(rate),
            "loaded_ms": {name: dataclasses.asdict(each) for name, each in quantiles.items()},
            "plain_calls_per_second": dataclasses.asdict(plain_rate),
            "by_step_ms": by_step,
            "cpu_ms_per_request": spent,
            "failed": failed,
        }
        latency.append(
            (kind, *median.cells(2), *own.cells(2), *added.cells(2), f"{tail.median:.1f}")
        )
        loaded.append(
            (
                kind,
                *rate.cells(0),
                *(f"{each.median:.1f}" for each in quantiles.values()),
                f"{plain_rate.median:,.0f}",
                str(failed),
            )
        )
        steps += [(kind, step, f"{taken:.3f}") for step, taken in by_step.items()]
        cpu += [
            (kind, name, f"{each:.2f}")
            for name, each in sorted(spent.items(), key=lambda item: -item[1])
            if each >= 0.01  # noqa: PLR2004 - below that it is noise
        ]
    spread = ("min", "median", "max")
    return benchmark.Result(
        tables=(
            benchmark.Table(
                f"{PIPELINE}: latency at one caller, ms",
                (
                    "requests",
                    *spread,
                    *(f"steps' own {word}" for word in spread),
                    *(f"added {word}" for word in spread),
                    "p99",
                ),
                tuple(latency),
                note="steps' own: the sum of the times of the models' own code, called without "
                f"server, gateway and Kafka; the load average was {load_average:.1f} before",
            ),
            benchmark.Table(
                f"at {CALLERS} callers",
                ("requests", *(f"requests/s {word}" for word in spread), "p50 ms", "p95 ms",
                 "p99 ms", "plain calls/s", "failed"),
                tuple(loaded),
                note="plain calls: the same steps in one process, one caller",
            ),
            benchmark.Table("own time of each step, ms", ("requests", "step", "median"),
                            tuple(steps)),
            benchmark.Table(f"processor time at {CALLERS} callers, ms a request",
                            ("requests", "process", "median"), tuple(cpu)),
        ),
        document=document,
    )  # fmt: skip
