"""Asking the running pipeline, and the parts around it: what the tests of the pipeline share."""

import contextlib
import dataclasses
import json
import math
import os
import re
import signal
import threading
import time
import uuid
import xmlrpc.client
from collections.abc import Callable, Iterator
from typing import Any, Self

import confluent_kafka
import httpx

from bellwether import environment as environments
from infra.local import supervision
from runtimes import contract

PIPELINE = "financial-prediction-pipeline"
STEPS = ("enrichment", "guard", "regime-router", "{branch}", "forecast", "explainer", "decision")
FALLBACK_STEPS = ("enrichment", "guard", "fallback-predictor", "forecast", "explainer", "decision")
LIMIT_SECONDS = 30.0
"""No request may take longer, whatever is down."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """What came back of one request."""

    status: int
    text: str
    seconds: float
    id: str
    route: tuple[str, ...]
    """Models and pipeline, in the order of the lines."""
    outputs: dict[str, list[Any]]

    @property
    def model(self) -> list[str]:
        """Name, version and artifact of the model that forecast."""
        return self.outputs[contract.MODEL]

    @property
    def quality(self) -> float:
        """0..1"""
        return float(self.outputs[contract.QUALITY_SCORE][0])

    @property
    def date(self) -> str:
        """Day of the newest bar."""
        return str(self.outputs[contract.DATE][0])

    @property
    def fallback(self) -> bool:
        """Whether the fallback answered."""
        return self.outputs[contract.REGIME] == ["fallback"]

    def document(self, name: str) -> Any:
        """Read an output that is JSON."""
        return json.loads(self.outputs[name][0])

    @property
    def rules(self) -> dict[str, str]:
        """The rules that fired: name and reason."""
        return {each["name"]: each["reason"] for each in self.document(contract.RULES)}


def inputs(symbol: str, **base: float) -> dict[str, Any]:
    """Write a request of a symbol, with features that stand for the store's."""
    tensors: list[dict[str, Any]] = [
        {"name": contract.SYMBOL, "shape": [1], "datatype": "BYTES", "data": [symbol]}
    ]
    tensors += [
        {"name": name, "shape": [1], "datatype": "FP64", "data": [value]}
        for name, value in base.items()
    ]
    return {"inputs": tensors}


class Gateway:
    """Asks a stack's gateway; every request ends within `LIMIT_SECONDS`, or fails the test."""

    def __init__(self, stack: environments.Stack) -> None:
        self.ports = stack.settings().ports
        self._client = httpx.Client(
            base_url=f"http://127.0.0.1:{self.ports.gateway}", timeout=LIMIT_SECONDS
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._client.close()

    def post(
        self, content: bytes, *, model: str = f"{PIPELINE}.pipeline", request_id: str | None = None
    ) -> Answer:
        """Send a body as it is."""
        headers = {"content-type": "application/json", "seldon-model": model}
        headers["x-request-id"] = request_id or str(uuid.uuid4())
        began = time.perf_counter()
        response = self._client.post(
            f"/v2/models/{model.partition('.')[0]}/infer", content=content, headers=headers
        )
        seconds = time.perf_counter() - began
        outputs = response.json()["outputs"] if response.is_success else []
        return Answer(
            response.status_code,
            response.text,
            seconds,
            response.headers.get("x-request-id", ""),
            tuple(each.strip(":") for each in response.headers.get_list("x-seldon-route")),
            {each["name"]: each["data"] for each in outputs},
        )

    def ask(self, symbol: str = "SPX", **base: float) -> Answer:
        """Ask the pipeline for a forecast."""
        return self.post(json.dumps(inputs(symbol, **base)).encode())

    def enriched(self, symbol: str = "SPX") -> dict[str, list[Any]]:
        """Ask the step enrichment alone."""
        answer = self.post(json.dumps(inputs(symbol)).encode(), model="enrichment")
        assert answer.status == 200, answer.text
        return answer.outputs

    def metric(self, name: str, **labels: str) -> float:
        """Add up a metric's samples, in the model server, that have these labels."""
        url = f"http://127.0.0.1:{self.ports.model_server_metrics}/metrics"
        total = 0.0
        for line in httpx.get(url).text.splitlines():
            match = re.fullmatch(re.escape(name) + r"(?:\{(.*)\})? (\S+)", line)
            if (
                match
                and labels.items() <= dict(re.findall(r'(\w+)="([^"]*)"', match[1] or "")).items()
            ):
                total += float(match[2])
        return total


def until(
    ask: Callable[[], Answer], met: Callable[[Answer], bool], what: str, seconds: float = 30.0
) -> Answer:
    """Ask until an answer meets a condition, and give it."""
    deadline = time.monotonic() + seconds
    while not met(answer := ask()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s, last: {answer}"
    return answer


def is_normal(answer: Answer) -> bool:
    """Say whether a branch of the router answered, of whole and fresh data."""
    return answer.status == 200 and not answer.fallback and answer.quality == 1.0


def unexplained(answer: Answer) -> float | None:
    """Give what an explanation leaves of the forecast's logarithm; None where it is missing."""
    explanation = answer.document(contract.EXPLANATION)
    if "missing" in explanation:
        return None
    parts = [each["contribution"] for each in explanation["attributions"]]
    explained = explanation["base_value"] + sum(parts) + explanation["rest"]
    return abs(explained - math.log(answer.outputs[contract.PREDICTION][0]))


def identity(answer: Answer) -> dict[str, str]:
    """Give who forecast, as an explanation names it."""
    return dict(zip(("name", "version", "artifact"), answer.model, strict=True))


class Callers:
    """Threads that ask for forecasts all the time, and keep every answer."""

    def __init__(self, stack: environments.Stack, count: int = 2, **base: float) -> None:
        self.answers: list[Answer] = []
        self.failures: list[str] = []
        """Requests without an answer."""
        self._stack, self._base = stack, base
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(count)]

    def __enter__(self) -> Self:
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._stopping.set()
        for each in self._threads:
            each.join(LIMIT_SECONDS + 5)
        assert not any(each.is_alive() for each in self._threads), "a request hangs"

    def _ask(self) -> None:
        with Gateway(self._stack) as gateway:
            while not self._stopping.is_set():
                try:
                    self.answers.append(gateway.ask(**self._base))
                except httpx.TransportError as error:
                    self.failures.append(repr(error))


class Part:
    """One part of the environment, that can be killed and kept down."""

    def __init__(self, stack: environments.Stack, name: str) -> None:
        self._supervision = supervision.Supervision(stack.home)
        specification = self._supervision.specification(name)
        assert specification is not None, f"there is no part {name}"
        self._specification = specification
        self._name = name

    def kill(self) -> int:
        """Kill it as a crash would; supervisord starts it again. Gives its process."""
        pid = self._specification.pid()
        assert pid is not None, f"{self._name} does not run"
        os.kill(pid, signal.SIGKILL)
        return pid

    def up(self) -> bool:
        """Say whether it runs and serves."""
        return self._specification.pid() is not None and (
            self._specification.readiness.failure() is None
        )

    @contextlib.contextmanager
    def down(self) -> Iterator[None]:
        """Kill it, and have supervisord leave it down for a while."""
        self.kill()
        _wait(self._stopped, f"{self._name} stays down")
        try:
            yield
        finally:
            self._supervision.proxy().startProcess(self._name, False)
            _wait(self.up, f"{self._name} serves again", 60)

    @contextlib.contextmanager
    def hanging(self) -> Iterator[None]:
        """Have it answer nothing for a while, and keep its connections."""
        pid = self._specification.pid()
        assert pid is not None, f"{self._name} does not run"
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def _stopped(self) -> bool:
        # Between its end and its next start, supervisord has nothing to stop.
        with contextlib.suppress(xmlrpc.client.Fault):
            self._supervision.proxy().stopProcess(self._name)
        return self._supervision.states()[self._name] == "STOPPED"


def _wait(condition: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(0.02)  # between two looks


@dataclasses.dataclass(frozen=True)
class Record:
    """One record of a topic."""

    topic: str
    key: str
    value: bytes
    headers: list[tuple[str, bytes]]


class Topics:
    """Reads what comes to topics from now on."""

    def __init__(self, stack: environments.Stack, *topics: str) -> None:
        self._consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": f"127.0.0.1:{stack.settings().ports.kafka}",
                "group.id": f"tests-{uuid.uuid4()}",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 20,
                "reconnect.backoff.max.ms": 500,
                "log_level": 0,
            }
        )
        self.records: list[Record] = []
        known = self._consumer.list_topics(timeout=10).topics
        places = []
        for topic in topics:
            for partition in known[topic].partitions if topic in known else (0,):
                place = confluent_kafka.TopicPartition(topic, partition)
                # A topic that is not there yet is read from its beginning.
                place.offset = (
                    self._consumer.get_watermark_offsets(place, timeout=10)[1]
                    if topic in known
                    else 0
                )
                places.append(place)
        self._consumer.assign(places)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._consumer.close()

    def wait(self, met: Callable[[list[Record]], bool], what: str, seconds: float = 30) -> None:
        """Read until what was read meets a condition."""
        deadline = time.monotonic() + seconds
        while not met(self.records):
            assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
            message = self._consumer.poll(0.2)
            if message is not None and not message.error():
                self.records.append(
                    Record(
                        message.topic(),
                        (message.key() or b"").decode(),
                        message.value() or b"",
                        message.headers() or [],
                    )
                )

    def documents(self, topic: str) -> list[dict[str, Any]]:
        """Give the records of a topic that are JSON."""
        return [json.loads(each.value) for each in self.records if each.topic == topic]
