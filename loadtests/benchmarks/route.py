"""What the gateway costs: the same requests to MLServer directly, by model, and by experiment.

All in one run, so that the machine's other work touches each alike:
latency alternates request by request, throughput in slices of half a second.
An experiment's arms cost differently, so it is compared with MLServer called directly in the
same mix of arms, and its latency on the answers of one arm.
"""

import collections.abc
import contextlib
import dataclasses
import itertools
import os
import statistics
import time
from typing import Any

from loadtests import endpoints, mesh, samples, wire
from loadtests.benchmarks import benchmark

NAME = "route"
ABOUT = "what Envoy and the experiment's split add to MLServer: latency and throughput"

CALLERS = 8
_WARM_UP = 100
_LATENCY_REQUESTS = 250
_SLICES = 4
_SLICE_SECONDS = 0.5
_MIX = 100


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """One way to the models: an address, and requests that are sent in turn."""

    name: str
    about: str
    address: endpoints.Address
    requests: tuple[bytes, ...]
    compared_with: str | None = None


@dataclasses.dataclass(slots=True)
class _Measured:
    """One round's values of one target."""

    latency_ms: float = 0.0
    answers: int = 0
    seconds: float = 0.0
    client_seconds: float = 0.0
    failed: int = 0

    @property
    def requests_per_second(self) -> float:
        return self.answers / self.seconds


def run(context: benchmark.Context) -> benchmark.Result:
    """Measure every target in every round; see the module's description."""
    with _client_on_one_core():
        return _measure(context)


@contextlib.contextmanager
def _client_on_one_core() -> collections.abc.Iterator[None]:
    """Keep the client where it is, for every target alike.

    A client that moves between the cores takes MLServer's, now and then,
    and does so more often while Envoy is busy beside it: that is the client's cost, not Envoy's.
    """
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def _measure(context: benchmark.Context) -> benchmark.Result:
    load_average = os.getloadavg()[0]
    declared = mesh.experiment(context.where, context.experiment)
    internal = {arm: _internal_name(context.where, arm) for arm in declared.arms}
    reference = _reference(declared)
    targets = _targets(context, declared, internal)
    rounds: list[dict[str, _Measured]] = []
    for number in range(context.rounds):
        measured = {target.name: _Measured() for target in targets}
        context.progress(number / context.rounds, f"round {number + 1}: latency at one caller")
        _latency(targets, measured, internal[reference])
        for turn in range(_SLICES):
            done = (number + (turn + 1) / (_SLICES + 1)) / context.rounds
            context.progress(done, f"round {number + 1}: throughput at {CALLERS} callers")
            for target in targets[turn:] + targets[:turn]:
                _throughput(target, measured[target.name])
        rounds.append(measured)
    return _result(targets, rounds, reference, load_average)


def _targets(
    context: benchmark.Context, declared: mesh.Experiment, internal: dict[str, str]
) -> list[Target]:
    bodies = samples.bodies()
    reference = _reference(declared)
    gateway = endpoints.address(context.where.gateway)
    server = endpoints.address(context.where.model_server)

    def requests(
        address: endpoints.Address, names: collections.abc.Iterable[str], headers: dict[str, str]
    ) -> tuple[bytes, ...]:
        return tuple(
            wire.compose("POST", address, endpoints.infer_path(name), headers, body)
            for name, body in zip(names, itertools.cycle(bodies), strict=False)
        )

    return [
        Target(
            "direct",
            f"{reference} in MLServer",
            server,
            requests(server, [internal[reference]] * _MIX, {}),
        ),
        Target(
            "gateway",
            f"{reference} through Envoy, by model",
            gateway,
            requests(gateway, [reference] * _MIX, endpoints.model_header(reference)),
            compared_with="direct",
        ),
        Target(
            "direct mix",
            "the arms in MLServer, as often as their weights say",
            server,
            requests(server, [internal[arm] for arm in _mix(declared)], {}),
        ),
        Target(
            "experiment",
            f"{declared.name} through Envoy",
            gateway,
            requests(gateway, [declared.name] * _MIX, endpoints.experiment_header(declared.name)),
            compared_with="direct mix",
        ),
    ]


def _reference(declared: mesh.Experiment) -> str:
    """Return the arm with the largest weight: the one that is compared alone."""
    return max(declared.weights, key=lambda candidate: candidate[1])[0]


def _mix(declared: mesh.Experiment) -> list[str]:
    """Spread the arms over a cycle of requests in proportion to their weights, evenly."""
    credit = dict.fromkeys(declared.arms, 0.0)
    chosen = []
    for _ in range(_MIX):
        for arm, share in declared.shares.items():
            credit[arm] += share
        richest = max(credit, key=lambda arm: credit[arm])
        credit[richest] -= 1
        chosen.append(richest)
    return chosen


def _internal_name(where: endpoints.Endpoints, model: str) -> str:
    """Ask the gateway which version of a model answers."""
    gateway = endpoints.address(where.gateway)
    request = wire.compose(
        "POST",
        gateway,
        endpoints.infer_path(model),
        endpoints.model_header(model),
        samples.bodies(days=1)[0],
    )
    with wire.Connection(gateway) as connection:
        answer = connection.call(request)
    if not answer.ok or answer.arm is None:
        raise endpoints.LoadTestError(
            f"model {model!r} does not answer through {where.gateway}: status {answer.status}, "
            f"{answer.body[:300]!r}; `bellwether status` tells what is wrong"
        )
    return answer.arm.internal_name


def _latency(targets: list[Target], measured: dict[str, _Measured], reference: str) -> None:
    """One caller, every target in turn; the median over the answers of the reference model."""
    times: dict[str, list[float]] = {target.name: [] for target in targets}
    connections = {target.name: wire.Connection(target.address) for target in targets}
    turns = {target.name: itertools.cycle(target.requests) for target in targets}
    try:
        for number in itertools.count():
            for target in targets:
                answer = connections[target.name].call(next(turns[target.name]))
                if not answer.ok:
                    measured[target.name].failed += 1
                elif number >= _WARM_UP and _answered_by(answer, reference):
                    times[target.name].append(answer.seconds)
            if all(len(known) >= _LATENCY_REQUESTS for known in times.values()):
                break
            if number >= _WARM_UP + 50 * _LATENCY_REQUESTS:
                raise endpoints.LoadTestError(
                    f"{reference!r} answered too few requests: "
                    + ", ".join(f"{name} {len(known)}" for name, known in times.items())
                )
    finally:
        for connection in connections.values():
            connection.close()
    for name, known in times.items():
        measured[name].latency_ms = statistics.median(known) * 1e3


def _answered_by(answer: wire.Answer, internal_name: str) -> bool:
    """Whether a model answered: MLServer's answer names it."""
    return f'"model_name":"{internal_name}"'.encode() in answer.body


def _throughput(target: Target, measured: _Measured) -> None:
    """Eight callers that ask again as soon as they are answered."""
    turn = itertools.cycle(target.requests)

    def answered(answer: wire.Answer) -> bytes:
        measured.answers += answer.ok
        measured.failed += not answer.ok
        return next(turn)

    def failed(_: wire.WireError) -> bytes:
        measured.failed += 1
        return next(turn)

    callers = [
        wire.Caller(wire.Connection(target.address), answered, failed) for _ in range(CALLERS)
    ]
    try:
        for caller in callers:
            caller.send(next(turn))
        began, busy = time.perf_counter(), time.process_time()
        wire.drive(callers, lambda: time.perf_counter() - began >= _SLICE_SECONDS)
        measured.seconds += time.perf_counter() - began
        measured.client_seconds += time.process_time() - busy
    finally:
        for caller in callers:
            caller.connection.close()


def _result(
    targets: list[Target],
    rounds: list[dict[str, _Measured]],
    reference: str,
    load_average: float,
) -> benchmark.Result:
    latency_rows, throughput_rows = [], []
    document: dict[str, Any] = {
        "rounds": len(rounds),
        "warm_up_requests": _WARM_UP,
        "latency_requests": _LATENCY_REQUESTS,
        "throughput_seconds": _SLICES * _SLICE_SECONDS,
        "callers": CALLERS,
        "load_average_before": load_average,
        "model": reference,
        "targets": {},
    }
    for target in targets:
        known = [one[target.name] for one in rounds]
        latency = benchmark.Spread.of(one.latency_ms for one in known)
        rate = benchmark.Spread.of(one.requests_per_second for one in known)
        entry: dict[str, Any] = {
            "about": target.about,
            "latency_ms": dataclasses.asdict(latency),
            "requests_per_second": dataclasses.asdict(rate),
            "client_cpu_share": sum(one.client_seconds for one in known)
            / sum(one.seconds for one in known),
            "failed": sum(one.failed for one in known),
        }
        added_cells, cost_cells = ("", "", ""), ("", "", "")
        if target.compared_with:
            bases = [one[target.compared_with] for one in rounds]
            pairs = list(zip(known, bases, strict=True))
            added = benchmark.Spread.of(one.latency_ms - base.latency_ms for one, base in pairs)
            cost = benchmark.Spread.of(
                100 * (1 - one.requests_per_second / base.requests_per_second)
                for one, base in pairs
            )
            entry |= {
                "compared_with": target.compared_with,
                "added_ms": dataclasses.asdict(added),
                "throughput_cost_percent": dataclasses.asdict(cost),
            }
            added_cells, cost_cells = added.cells(3), cost.cells(1)
        latency_rows.append((target.name, *latency.cells(3), *added_cells, str(entry["failed"])))
        throughput_rows.append((target.name, *rate.cells(0), *cost_cells))
        document["targets"][target.name] = entry
    spread = ("min", "median", "max")
    return benchmark.Result(
        tables=(
            benchmark.Table(
                f"latency at one caller, ms ({reference}; median of {_LATENCY_REQUESTS} a round, "
                f"{len(rounds)} rounds after {_WARM_UP} requests of warm-up each)",
                ("to", *spread, *(f"added {word}" for word in spread), "failed"),
                tuple(latency_rows),
            ),
            benchmark.Table(
                f"requests/s at {CALLERS} callers ({_SLICES} times {_SLICE_SECONDS:g} s a round, "
                f"{len(rounds)} rounds)",
                ("to", *spread, *(f"cost {word}, %" for word in spread)),
                tuple(throughput_rows),
                note="gateway is compared with direct, experiment with the direct mix of its arms; "
                f"the client keeps to one core; the load average was {load_average:.1f} before",
            ),
        ),
        document=document,
    )
