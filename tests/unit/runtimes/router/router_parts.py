"""Kafka and Valkey of the tests' own, beside `steps_process`."""

import contextlib
import json
import pathlib
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import confluent_kafka
import confluent_kafka.admin
import pytest
import redis
import steps_process

from infra import settings
from infra.catalogue import topics
from infra.local import kafka, toolchain

PATIENCE = 60.0


@contextlib.contextmanager
def broker(folder: pathlib.Path) -> Iterator[str]:
    """A broker of the test's own; give its address once it answers."""
    found = toolchain.Toolchain.locate()
    port, controller, metrics = steps_process.free_ports(3)
    ports = settings.Ports(kafka=port, kafka_controller=controller, kafka_metrics=metrics)
    for name, content in {
        "server.properties": kafka.properties(ports, folder / "data"),
        "log4j.properties": kafka.LOG4J,
        "metrics.yml": topics.JMX_EXPORTER,
        "start.sh": kafka.start_script(found.java, found.kafka_jars, folder, 256, metrics),
    }.items():
        (folder / name).write_text(content)
    log = folder / "kafka.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["sh", str(folder / "start.sh")], stdout=out, stderr=subprocess.STDOUT
        )
    try:
        admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": f"127.0.0.1:{port}"})
        deadline = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(confluent_kafka.KafkaException):  # until it listens
                admin.list_topics(timeout=1)
                break
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"Kafka is not ready:\n{log.read_text()[-4000:]}", pytrace=False)
        wanted = [confluent_kafka.admin.NewTopic(name, 1, 1) for name in ("routing", "decisions")]
        for made in admin.create_topics(wanted).values():
            made.result()
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=30)


def records(
    bootstrap: str, count: int, topic: str = "routing"
) -> list[tuple[bytes | None, dict[str, Any]]]:
    """The first records of a topic, each with its key."""
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "test", "auto.offset.reset": "earliest"}
    )
    found: list[tuple[bytes | None, dict[str, Any]]] = []
    try:
        consumer.subscribe([topic])
        deadline = time.monotonic() + PATIENCE
        while len(found) < count and time.monotonic() < deadline:
            message = consumer.poll(1.0)
            if message is not None and message.error() is None:
                found.append((message.key(), json.loads(message.value() or b"")))
    finally:
        consumer.close()
    return found


@contextlib.contextmanager
def valkey(folder: pathlib.Path, port: int) -> Iterator[redis.Redis]:
    """Valkey of the test's own, whose data stays in `folder`; give a client once it answers."""
    program = str(toolchain.Toolchain.locate().valkey)
    command = [program, "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder)]
    log = folder / "valkey.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            [*command, "--appendonly", "yes", "--save", ""], stdout=out, stderr=subprocess.STDOUT
        )
    try:
        with redis.Redis(port=port) as client:
            deadline = time.monotonic() + PATIENCE
            while True:
                with contextlib.suppress(redis.RedisError):  # until it listens
                    client.ping()
                    break
                if process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"Valkey is not ready:\n{log.read_text()[-4000:]}", pytrace=False)
                time.sleep(0.01)  # between two probes
            yield client
    finally:
        process.terminate()
        process.wait(timeout=30)
