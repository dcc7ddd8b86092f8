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
import uuid

from loadtests import (
    access,
    course,
    endpoints,
    itinerary,
    mesh,
    plan,
    record,
    samples,
    summary,
    targets,
    thresholds,
)

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

    journey: itinerary.Journey
    users: int
    seconds: int
    rate: float
    """Requests a second of each user; of a mixed journey's, times the pace of its part."""
    stack: str
    """Whose thresholds have to hold."""
    experiment: str
    pipeline: str = ""
    explainer: str = ""
    reward: str = ""
    objects: bool = True
    """Whether the mesh has the objects of the gateway; without, the split is not tested."""
    models: tuple[str, ...] = ()
    """The models to ask; empty for all predictors that the mesh has."""
    shape: course.Shape = course.Shape.STEADY
    protocol: itinerary.Protocol = itinerary.Protocol.REST
    host: str | None = None
    ca_file: str | None = None
    data: pathlib.Path | None = None
    """The bars to make requests of; None for the built-in ones."""

    def check(self) -> None:
        """Raise `LoadTestError` for what cannot be done."""
        fewest = itinerary.FEWEST_MIXED if self.journey is itinerary.Journey.MIXED else 1
        if self.users < fewest:
            raise endpoints.LoadTestError(
                f"{self.users} users cannot go on the journey {self.journey.value!r}; "
                f"give at least {fewest}"
            )
        if not 0 < self.rate <= _FASTEST:
            raise endpoints.LoadTestError(
                f"a user cannot ask {self.rate:g} times a second; give more than 0, "
                f"at most {_FASTEST}"
            )
        thresholds.read(self.stack)

    def asks(self, part: itinerary.Journey) -> bool:
        """Whether a journey is part of the test."""
        return part in self.journey.parts


def prepare(where: endpoints.Endpoints, order: Order, reports: pathlib.Path) -> plan.Plan:
    """Make the folder of a load test, with its plan and its requests, after a first request each.

    Raises `LoadTestError` if something that is to be asked does not answer.
    """
    order.check()
    gateway = access.Access(where.gateway, order.host, order.ca_file)
    gateway.check()
    requests = _requests(order)
    asked = _targets(where, order, requests)
    for target in asked:
        targets.check(gateway, order.protocol, target)
    declared = order.asks(itinerary.Journey.EXPERIMENT) and order.objects
    prepared = plan.Plan(
        **{
            field: getattr(order, field)
            for field in (
                *("journey", "users", "seconds", "rate", "stack", "experiment", "pipeline"),
                *("explainer", "reward", "shape", "protocol", "host", "ca_file"),
            )
        },
        gateway=where.gateway,
        mesh=where.mesh if order.objects else None,
        namespace=where.namespace,
        models=_models(where, order) if order.asks(itinerary.Journey.MODEL) else (),
        weights=dict(mesh.experiment(where, order.experiment).weights) if declared else None,
        folder=_new_folder(reports, order),
    )
    for kind, bodies in requests.items():
        samples.write(prepared.requests(kind), bodies)
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
        *("--stop-timeout", str(_STOP_SECONDS)),  # users over time are a shape's
        *("--csv", str(of.folder / "locust"), "--html", str(of.folder / "locust.html")),
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


def _requests(order: Order) -> dict[plan.Kind, list[samples.Body]]:
    makers: dict[plan.Kind, collections.abc.Callable[..., list[samples.Body]]] = {
        plan.Kind.FORECAST: samples.forecasts,
        plan.Kind.DECISION: samples.decisions,
        plan.Kind.EXPLANATION: samples.explanations,
    }
    return {kind: makers[kind](order.data) for kind in plan.kinds(order.journey)}


def _models(where: endpoints.Endpoints, order: Order) -> tuple[str, ...]:
    models = order.models
    if not models and order.objects:
        models = mesh.predictors(where)
    if not models:
        raise endpoints.LoadTestError(
            f"it is not known which predictors {where.gateway} serves; name them with --model"
        )
    return models


def _targets(
    where: endpoints.Endpoints,
    order: Order,
    requests: collections.abc.Mapping[plan.Kind, list[samples.Body]],
) -> list[targets.Target]:
    """Return everything that is to be asked."""
    found = []
    if order.asks(itinerary.Journey.MODEL):
        body = requests[plan.Kind.FORECAST][0]
        found += [
            targets.Target(name, endpoints.model_header(name), body)
            for name in _models(where, order)
        ]
    if order.asks(itinerary.Journey.EXPERIMENT) or order.asks(itinerary.Journey.REWARD):
        header = endpoints.experiment_header(order.experiment)
        found.append(targets.Target(order.experiment, header, requests[plan.Kind.FORECAST][0]))
    if order.asks(itinerary.Journey.PIPELINE):
        header = endpoints.pipeline_header(order.pipeline)
        found.append(targets.Target(order.pipeline, header, requests[plan.Kind.DECISION][0]))
    if order.asks(itinerary.Journey.EXPLANATION):
        header = endpoints.model_header(order.explainer)
        found.append(targets.Target(order.explainer, header, requests[plan.Kind.EXPLANATION][0]))
    if order.asks(itinerary.Journey.REWARD):
        body = samples.reward(str(uuid.uuid4()))
        found.append(targets.Target(order.reward, endpoints.model_header(order.reward), body))
    return found


def _new_folder(reports: pathlib.Path, order: Order) -> pathlib.Path:
    now = dt.datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    folder = (reports / f"{now}-{order.journey}-{order.shape}-{order.protocol}").absolute()
    folder.mkdir(parents=True)
    return folder
