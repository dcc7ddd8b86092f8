"""A real Kafka broker, that can be killed and come back."""

import os
import pathlib
import subprocess
from typing import Any

import confluent_kafka
import pytest

from infra import settings
from infra.catalogue import topics
from infra.local import kafka, toolchain
from tests.conformance.environment import eventually
from tests.unit.runtimes.predictor.mlserver_process import free_ports

HEAP_MB = 256


class Broker:
    """One broker in a folder; its records outlive its process."""

    def __init__(self, folder: pathlib.Path) -> None:
        java, jars = toolchain._java(), toolchain.kafka_jars()
        if java is None or not jars.exists():
            pytest.fail("Java or Kafka is not installed: `make up` installs them", pytrace=False)
        self._folder = folder
        port, controller, metrics = free_ports(3)
        ports = settings.Ports(kafka=port, kafka_controller=controller, kafka_metrics=metrics)
        self.address = f"127.0.0.1:{port}"
        contents = {
            "server.properties": kafka.properties(ports, folder / "data"),
            "log4j.properties": kafka.LOG4J,
            "metrics.yml": topics.JMX_EXPORTER,
            "start.sh": kafka.start_script(pathlib.Path(java), jars, folder, HEAP_MB, metrics),
        }
        for name, content in contents.items():
            (folder / name).write_text(content)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, without waiting for it."""
        with (self._folder / "kafka.log").open("ab") as log:
            self._process = subprocess.Popen(
                ["/bin/sh", str(self._folder / "start.sh")],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ,
            )

    def kill(self) -> None:
        """Kill it, as a fault would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
            self._process = None


class Reader:
    """Reads topics from their beginning."""

    def __init__(self, address: str, topics: list[str]) -> None:
        self._consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": address,
                "group.id": "test",
                "enable.auto.commit": False,
                "log_level": 0,
                "topic.metadata.refresh.interval.ms": 500,
            }
        )
        self._consumer.assign(
            [
                confluent_kafka.TopicPartition(topic, 0, confluent_kafka.OFFSET_BEGINNING)
                for topic in topics
            ]
        )
        self.records: list[Any] = []

    def close(self) -> None:
        self._consumer.close()

    def by_topic(self, key: str, count: int, seconds: float = 60) -> dict[str, Any]:
        """Wait for so many records of a key, and give them by topic."""

        def found() -> list[Any] | None:
            for record in self._consumer.consume(500, 0.2):
                if record.error() is None:
                    self.records.append(record)
            of_key = [each for each in self.records if each.key() == key.encode()]
            return of_key if len(of_key) >= count else None

        records = eventually(found, f"{count} records of {key}", seconds)
        assert len(records) == count, [each.topic() for each in records]
        return {each.topic(): each for each in records}
