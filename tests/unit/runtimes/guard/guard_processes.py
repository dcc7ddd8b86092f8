"""Real parts for the guard's tests: Kafka, Valkey, MLServer and the drift watcher, on free ports."""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import confluent_kafka
import confluent_kafka.admin
import httpx
import pytest
import redis

from infra import settings
from infra.catalogue import topics
from infra.local import kafka, toolchain

ROOT = pathlib.Path(__file__).parents[4]
PATIENCE = 60.0

Found = TypeVar("Found")


def environment_python(name: str) -> str:
    """The Python of an environment, from a variable that `make test` sets."""
    variable = f"BELLWETHER_{name.upper()}_PYTHON"
    python = os.environ.get(variable)
    if not python or not pathlib.Path(python).exists():
        pytest.fail(
            f"{variable} is {python!r}: it has to name the Python of the {name} environment; "
            "`make test` sets it",
            pytrace=False,
        )
    return python


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [held.getsockname()[1] for held in sockets]
    for held in sockets:
        held.close()
    return ports


def until(ask: Callable[[], Found | None], what: str, patience: float = PATIENCE) -> Found:
    """Ask until the answer is not None."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        found = ask()
        if found is not None:
            return found
        time.sleep(0.01)  # between two probes
    return pytest.fail(f"not within {patience:g} s: {what}")


@contextlib.contextmanager
def process(
    command: list[str], log: pathlib.Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as out:
        started = subprocess.Popen(
            command,
            cwd=log.parent,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        yield started
    finally:
        started.terminate()
        try:
            started.wait(timeout=20)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait(timeout=20)


@contextlib.contextmanager
def valkey(folder: pathlib.Path, port: int) -> Iterator[redis.Redis]:
    program = toolchain.Toolchain.locate().valkey
    command = [str(program), "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder)]
    command += ["--appendonly", "yes", "--save", ""]
    with process(command, folder / "valkey.log"), redis.Redis(port=port) as client:
        until(lambda: answers(client), "Valkey answers")
        yield client


def answers(client: redis.Redis) -> bool | None:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return None


@contextlib.contextmanager
def broker(folder: pathlib.Path, ports: list[int]) -> Iterator[str]:
    """Kafka with its topics; `ports` are its own, its controller's and its metrics'."""
    own, controller, metrics = ports
    moved = settings.Ports(kafka=own, kafka_controller=controller, kafka_metrics=metrics)
    tools = toolchain.Toolchain.locate()
    contents = {
        "server.properties": kafka.properties(moved, folder / "data"),
        "log4j.properties": kafka.LOG4J,
        "metrics.yml": topics.JMX_EXPORTER,
        "start.sh": kafka.start_script(tools.java, tools.kafka_jars, folder, 256, metrics),
    }
    folder.mkdir(exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_text(content)
    address = f"127.0.0.1:{own}"
    log = folder / "kafka.log"
    with process(["/bin/sh", str(folder / "start.sh")], log) as started:

        def is_there() -> bool | None:
            assert started.poll() is None, log.read_text()[-4000:]
            return has_topics(address)

        until(is_there, "Kafka has its topics")
        yield address


def has_topics(address: str) -> bool | None:
    admin = confluent_kafka.admin.AdminClient(
        {"bootstrap.servers": address, "log_level": 0, "error_cb": lambda _: None}
    )
    wanted = [
        confluent_kafka.admin.NewTopic(name, num_partitions=1, replication_factor=1)
        for name in ("feature-monitoring", "drift")
    ]
    for future in admin.create_topics(wanted, request_timeout=2).values():
        try:
            future.result()
        except confluent_kafka.KafkaException as error:
            if error.args[0].code() != confluent_kafka.KafkaError.TOPIC_ALREADY_EXISTS:
                return None
    return True


def read_topic(address: str, topic: str) -> list[dict[str, Any]]:
    """Read all that is in a topic of one partition."""
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": address, "group.id": "reader", "enable.auto.commit": False}
    )
    try:
        partition = confluent_kafka.TopicPartition(topic, 0, 0)
        _, end = consumer.get_watermark_offsets(partition, timeout=20)
        consumer.assign([partition])
        found: list[dict[str, Any]] = []
        while len(found) < end:
            message = consumer.poll(20)
            assert message is not None, f"{topic} has {end} records, {len(found)} came"
            assert message.error() is None, message.error()
            found.append(json.loads(message.value() or b""))
        return found
    finally:
        consumer.close()


@contextlib.contextmanager
def watcher(configuration: pathlib.Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [environment_python("serving"), "-m", "runtimes.guard.drift", str(configuration)]
    with process(command, configuration.with_suffix(".log")) as started:
        yield started


def ready(port: int) -> httpx.Response | None:
    """Give the answer of `/ready`, None while nothing listens."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/ready")
    except httpx.TransportError:
        return None


def metric(url: str, start: str) -> float:
    """Give the value of the one series that begins with `start`; 0 if there is none."""
    lines = [line for line in httpx.get(url).text.splitlines() if line.startswith(start)]
    assert len(lines) <= 1, lines
    return float(lines[0].rpartition(" ")[2]) if lines else 0.0
