"""Runs Locust without its web page: a plan in, a folder of reports out."""

import collections.abc
import dataclasses
import datetime as dt
import json
import os
import pathlib
import subprocess
import sys
import time

from loadtests import endpoints, mesh, plan, record, samples, summary, thresholds, wire

LOCUSTFILE = pathlib.Path(__file__).with_name("journeys") / "locustfile.py"
"""What Locust is started with."""

_STOP_SECONDS = 5
_TAIL = 2000
_FASTEST = 1000


@dataclasses.dataclass(frozen=True, slots=True)
class Progress:
    """How far a running load test is."""

    seconds: float
    """Since the first request."""
    requests: int
    failed: int

    @property
    def per_second(self) -> float:
        """Requests a second so far."""
        return self.requests / self.seconds if self.seconds else 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class Order:
    """What a person asks for."""

    journey: thresholds.Journey
    users: int
    seconds: int
    rate: float
    """Requests a second of each user."""
    stack: str
    """Whose thresholds have to hold."""
    experiment: str
    objects: bool = True
    """Whether the mesh has the objects of the gateway; without, the split is not tested."""
    models: tuple[str, ...] = ()
    """The models to ask; empty for all predictors that the mesh has."""

    def check(self) -> None:
        """Raise `LoadTestError` for what cannot be done."""
        if self.users < len(self.journey.parts):
            raise endpoints.LoadTestError(
                f"{self.users} users cannot go on the journey {self.journey.value!r}; "
                f"give at least {len(self.journey.parts)}"
            )
        if not 0 < self.rate <= _FASTEST:
            raise endpoints.LoadTestError(
                f"a user cannot ask {self.rate:g} times a second; give more than 0, "
                f"at most {_FASTEST}"
            )
        thresholds.read(self.stack)

    def asks(self, part: thresholds.Journey) -> bool:
        """Whether a journey is part of the test."""
        return part in self.journey.parts


def prepare(where: endpoints.Endpoints, order: Order, reports: pathlib.Path) -> plan.Plan:
    """Make the folder of a load test, with its plan and its requests, after a first request each.

    Raises `LoadTestError` if something that is to be asked does not answer.
    """
    order.check()
    targets = _targets(where, order)
    bodies = samples.bodies()
    for path, header in targets.values():
        _ask(where, path, header, bodies[0])
    declared = order.asks(thresholds.Journey.EXPERIMENT) and order.objects
    prepared = plan.Plan(
        journey=order.journey,
        users=order.users,
        seconds=order.seconds,
        rate=order.rate,
        stack=order.stack,
        gateway=where.gateway,
        mesh=where.mesh if order.objects else None,
        namespace=where.namespace,
        models=tuple(name for name in targets if name != order.experiment),
        experiment=order.experiment,
        weights=dict(mesh.experiment(where, order.experiment).weights) if declared else None,
        folder=_new_folder(reports, order.journey),
    )
    prepared.requests.write_bytes(b"\n".join(bodies) + b"\n")
    prepared.write()
    return prepared


def run(
    of: plan.Plan, progress: collections.abc.Callable[[Progress], None], *, every: float = 0.25
) -> summary.Summary:
    """Run Locust to its end, and return what came out.

    Raises `LoadTestError` with the end of Locust's log if it came to no summary.
    """
    log = of.folder / "locust.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command(of),
            stdout=out,
            stderr=subprocess.STDOUT,
            env=os.environ | {plan.VARIABLE: str(of.folder / "plan.json")},
        )
        try:
            _watch(process, of, progress, every)
        except KeyboardInterrupt:  # Locust got it too, and writes its reports
            process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if not of.summary.exists():
        raise endpoints.LoadTestError(
            f"Locust ended with {process.returncode} and no summary; the end of {log}:\n"
            + log.read_text(errors="replace")[-_TAIL:]
        )
    came_out = summary.load(json.loads(of.summary.read_text()))
    if process.returncode and came_out.holds:
        raise endpoints.LoadTestError(
            f"Locust ended with {process.returncode}; the end of {log}:\n"
            + log.read_text(errors="replace")[-_TAIL:]
        )
    return came_out


def command(of: plan.Plan) -> list[str]:
    """Return the command line of Locust for a plan, which `plan.VARIABLE` has to lead to."""
    return [
        *(sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless"),
        *("--users", str(of.users), "--spawn-rate", str(of.users)),
        *("--run-time", f"{of.seconds}s", "--stop-timeout", str(_STOP_SECONDS)),
        *("--csv", str(of.folder / "locust"), "--html", str(of.folder / "report.html")),
        *("--json-file", str(of.folder / "locust")),
        *("--only-summary", "--exit-code-on-error", "1"),
    ]


def _watch(
    process: subprocess.Popen[bytes],
    of: plan.Plan,
    progress: collections.abc.Callable[[Progress], None],
    every: float,
) -> None:
    """Follow the file of samples until Locust ends."""
    requests = failed = position = 0
    began: float | None = None
    while True:
        ended = _ended(process, every)
        if of.samples.exists():
            with of.samples.open("rb") as file:
                file.seek(max(position, len(record.HEADER)))
                chunk = file.read()
            whole = chunk.rfind(b"\n") + 1
            lines = chunk[:whole].splitlines()
            position = max(position, len(record.HEADER)) + whole
            requests += len(lines)
            failed += sum(not line.endswith(b",") for line in lines)
            if lines and began is None:
                began = time.monotonic() - every
        if began is not None:
            since = min(time.monotonic() - began, of.seconds)
            progress(Progress(since, requests, failed))
        if ended:
            return


def _ended(process: subprocess.Popen[bytes], within: float) -> bool:
    try:
        process.wait(within)
    except subprocess.TimeoutExpired:
        return False
    return True


def _targets(where: endpoints.Endpoints, order: Order) -> dict[str, tuple[str, dict[str, str]]]:
    """Return path and header of everything that is to be asked, by name."""
    models: tuple[str, ...] = ()
    if order.asks(thresholds.Journey.MODELS):
        models = order.models
        if not models and order.objects:
            models = mesh.predictors(where)
        if not models:
            raise endpoints.LoadTestError(
                f"it is not known which predictors {where.gateway} serves; name them with --model"
            )
    targets = {name: (endpoints.infer_path(name), endpoints.model_header(name)) for name in models}
    if order.asks(thresholds.Journey.EXPERIMENT):
        header = endpoints.experiment_header(order.experiment)
        targets[order.experiment] = (endpoints.infer_path(order.experiment), header)
    return targets


def _ask(where: endpoints.Endpoints, path: str, header: dict[str, str], body: bytes) -> None:
    gateway = endpoints.address(where.gateway)
    with wire.Connection(gateway) as connection:
        answer = connection.call(wire.compose("POST", gateway, path, header, body))
    if not answer.ok:
        said = answer.body[:300].decode(errors="replace") or "an empty body"
        raise endpoints.LoadTestError(
            f"{where.gateway}{path} ({header['seldon-model']}) answers {answer.status}: {said}; "
            "`bellwether status` tells what is served"
        )


def _new_folder(reports: pathlib.Path, journey: thresholds.Journey) -> pathlib.Path:
    now = dt.datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    folder = (reports / f"{now}-{journey}").absolute()
    folder.mkdir(parents=True)
    return folder
