"""Real parts for the controller's tests: Kafka, Valkey, the mesh, the controller, on free ports."""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import confluent_kafka
import confluent_kafka.admin
import httpx
import pytest
import redis

from infra import settings
from infra.local import kafka, toolchain
from runtimes.bandit.controller.cluster import EXPERIMENTS, POLICIES
from runtimes.contract import bandits

ROOT = pathlib.Path(__file__).parents[5]
NAMESPACE = "desk"
ARMS = ("one", "two", "three", "four")
TOPICS = (bandits.DECISIONS, bandits.REWARDS, bandits.ALLOCATIONS)
PATIENCE = 60.0

_MERGE = {"content-type": "application/merge-patch+json"}

Found = TypeVar("Found")


def until(ask: Callable[[], Found | None], what: str, patience: float = PATIENCE) -> Found:
    """Ask until the answer is not None."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        found = ask()
        if found is not None:
            return found
        time.sleep(0.01)  # between two probes
    return pytest.fail(f"not within {patience:g} s: {what}")


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [held.getsockname()[1] for held in sockets]
    for held in sockets:
        held.close()
    return ports


class Part:
    """A process that can be killed and come back."""

    def __init__(self, command: list[str], log: pathlib.Path) -> None:
        self.command, self.log = command, log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as out:
            self._process = subprocess.Popen(
                self.command,
                cwd=self.log.parent,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(20)
            self._process = None

    def stop(self) -> None:
        """End it in order."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None


class Parts:
    """All parts; `mesh`, `broker`, `valkey`, `controller` can each be killed and started."""

    def __init__(self, folder: pathlib.Path) -> None:
        tools = toolchain.Toolchain.locate()
        ports = free_ports(11)
        self.folder = folder
        self.experiment, self.policy = "split", "mover"
        kafka_ports = settings.Ports(
            kafka=ports[0], kafka_controller=ports[1], kafka_metrics=ports[2]
        )
        self.kafka = f"127.0.0.1:{ports[0]}"
        self.api = f"http://127.0.0.1:{ports[3]}"
        self.valkey_port, self.port, self.serving = ports[4], ports[5], str(tools.serving_python)
        (folder / "kafka").mkdir(parents=True, exist_ok=True)
        contents = {
            "server.properties": kafka.properties(kafka_ports, folder / "kafka" / "data"),
            "log4j.properties": kafka.LOG4J,
            "metrics.yml": kafka.JMX_EXPORTER,
            "start.sh": kafka.start_script(
                tools.java, tools.kafka_jars, folder / "kafka", 256, ports[2]
            ),
        }
        for name, content in contents.items():
            (folder / "kafka" / name).write_text(content)
        self.broker = Part(["/bin/sh", str(folder / "kafka" / "start.sh")], folder / "kafka.log")
        self.valkey = Part(
            [
                *(str(tools.valkey), "--bind", "127.0.0.1", "--port", str(ports[4])),
                *("--dir", str(folder), "--appendonly", "yes", "--save", ""),
            ],
            folder / "valkey.log",
        )
        mesh = {
            "state_dir": str(folder / "mesh"),
            "namespace": NAMESPACE,
            "ports": {
                "mesh": ports[3],
                "gateway": ports[6],
                "envoy_admin": ports[7],
                "mlserver_http": ports[8],
                "mlserver_grpc": ports[9],
                "mlserver_metrics": ports[10],
            },
        }
        (folder / "mesh.json").write_text(json.dumps(mesh))
        self.mesh = Part(
            [self.serving, "-m", "infra.local.mesh", str(folder / "mesh.json")],
            folder / "mesh.log",
        )
        self.controller = self.another_controller(self.port, "first")

    def another_controller(self, port: int, holder: str, **given: Any) -> Part:
        told = {
            "kafka": self.kafka,
            "valkey": f"127.0.0.1:{self.valkey_port}",
            "api": self.api,
            "namespace": NAMESPACE,
            "service_account": str(self.folder / "nothing"),
            "port": port,
            "holder": holder,
            "lease_seconds": 2.0,
            **given,
        }
        path = self.folder / f"controller-{holder}.json"
        path.write_text(json.dumps(told))
        command = [sys.executable, "-m", "runtimes.bandit.controller", str(path)]
        return Part(command, self.folder / f"controller-{holder}.log")

    def start(self) -> None:
        """Start all but the controller."""
        for part in (self.broker, self.valkey, self.mesh):
            part.start()
        until(self.has_topics, "Kafka has its topics")
        until(self.valkey_answers, "Valkey answers")
        until(self.mesh_answers, "the mesh answers")

    def close(self) -> None:
        for part in (self.controller, self.mesh, self.valkey, self.broker):
            part.kill()

    def has_topics(self) -> bool | None:
        assert self.broker.alive(), self.broker.log.read_text()[-4000:]
        admin = confluent_kafka.admin.AdminClient(
            {"bootstrap.servers": self.kafka, "log_level": 0, "error_cb": lambda _: None}
        )
        wanted = [
            confluent_kafka.admin.NewTopic(
                name,
                num_partitions=1,
                replication_factor=1,
                config={"message.timestamp.type": "LogAppendTime"},
            )
            for name in TOPICS
        ]
        for future in admin.create_topics(wanted, request_timeout=2).values():
            try:
                future.result()
            except confluent_kafka.KafkaException as error:
                if error.args[0].code() != confluent_kafka.KafkaError.TOPIC_ALREADY_EXISTS:
                    return None
        return True

    def valkey_answers(self) -> bool | None:
        try:
            with redis.Redis(port=self.valkey_port) as client:
                return bool(client.ping())
        except redis.RedisError:
            return None

    def mesh_answers(self) -> bool | None:
        try:
            return httpx.get(f"{self.api}/healthz").is_success or None
        except httpx.TransportError:
            return None

    def traffic(self) -> "Traffic":
        return Traffic(self.kafka, self.experiment)

    def epoch_of(self, **wanted: int) -> dict[str, Any]:
        """Wait until so many decisions and rewards are counted, by outcome; give the status."""

        def found() -> dict[str, Any] | None:
            status = self.status()
            counted = {
                **{f"decisions_{k}": v for k, v in (status.get("decisions") or {}).items()},
                **{f"rewards_{k}": v for k, v in (status.get("rewards") or {}).items()},
            }
            return status if all(counted.get(k) == v for k, v in wanted.items()) else None

        return until(found, f"counts are {wanted}", 20)

    # What a person would do at the API server.

    def experiment_url(self) -> str:
        return f"{self.api}{EXPERIMENTS.format(namespace=NAMESPACE)}/{self.experiment}"

    def policy_url(self) -> str:
        return f"{self.api}{POLICIES.format(namespace=NAMESPACE)}/{self.policy}"

    def declare_experiment(self, **weights: int) -> None:
        body = {
            "apiVersion": "mlops.seldon.io/v1alpha1",
            "kind": "Experiment",
            "metadata": {"name": self.experiment},
            "spec": {"candidates": [{"name": k, "weight": v} for k, v in weights.items()]},
        }
        httpx.put(self.experiment_url(), json=body).raise_for_status()

    def declare_policy(self, **spec: Any) -> None:
        body = {
            "apiVersion": "bandits.bellwether.dev/v1alpha1",
            "kind": "BanditPolicy",
            "metadata": {"name": self.policy},
            "spec": {"experiment": self.experiment, "updateFrequency": "1s", **spec},
        }
        answer = httpx.put(self.policy_url(), json=body)
        assert answer.is_success, answer.text

    def remove_policy(self) -> None:
        httpx.delete(self.policy_url())

    def patch_policy(self, **spec: Any) -> None:
        answer = httpx.patch(self.policy_url(), json={"spec": spec}, headers=_MERGE)
        assert answer.is_success, answer.text

    def set_weights(self, **weights: int) -> None:
        spec = {"candidates": [{"name": k, "weight": v} for k, v in weights.items()]}
        answer = httpx.patch(self.experiment_url(), json={"spec": spec}, headers=_MERGE)
        assert answer.is_success, answer.text

    def weights(self) -> dict[str, int]:
        spec = httpx.get(self.experiment_url()).json()["spec"]
        return {each["name"]: each["weight"] for each in spec["candidates"]}

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(self.policy_url()).json().get("status") or {}
        return found

    def standing(self, reason: str, patience: float = PATIENCE) -> str:
        """Wait until the policy's condition has a reason; give its message."""

        def found() -> str | None:
            for condition in self.status().get("conditions") or []:
                if condition["reason"] == reason:
                    return str(condition["message"])
            return None

        return until(found, f"the policy's reason is {reason}", patience)

    def allocations(self) -> list[bandits.Allocation]:
        """Read the policy's log."""
        consumer = confluent_kafka.Consumer(
            {"bootstrap.servers": self.kafka, "group.id": uuid.uuid4().hex,
             "enable.partition.eof": True, "log_level": 0}
        )  # fmt: skip
        consumer.assign([confluent_kafka.TopicPartition(bandits.ALLOCATIONS, 0, 0)])
        found = []
        try:
            while True:
                message = consumer.poll(20)
                assert message is not None, "the log is not read"
                if message.error() is not None:
                    assert message.error().code() == confluent_kafka.KafkaError._PARTITION_EOF
                    return found
                record = bandits.Allocation.decode(message.value())
                if record.policy == self.policy:
                    found.append(record)
        finally:
            consumer.close()


class Traffic:
    """What arms and callers would write, acknowledged by Kafka."""

    def __init__(self, address: str, experiment: str) -> None:
        self._experiment = experiment
        self._producer = confluent_kafka.Producer(
            {
                "bootstrap.servers": address,
                "enable.idempotence": True,
                "linger.ms": 5,
                "message.timeout.ms": 120_000,
                "queue.buffering.max.messages": 500_000,
                "log_level": 0,
            }
        )
        self.acknowledged = {bandits.DECISIONS: 0, bandits.REWARDS: 0}

    def decide(self, id_: str, arm: str, experiment: str | None = None) -> None:
        record = bandits.Decision(
            id=id_,
            time=0.0,
            experiment=experiment or self._experiment,
            arm=arm,
            context=None,
            propensity=None,
        )
        self._send(bandits.DECISIONS, id_, record.encode())

    def reward(self, id_: str, value: float, metric: str = bandits.BUSINESS_VALUE) -> None:
        record = bandits.Reward(prediction_id=id_, metric=metric, value=value, time=0.0)
        self._send(bandits.REWARDS, id_, record.encode())

    def raw(self, topic: str, value: bytes) -> None:
        self._send(topic, "raw", value)

    def flush(self) -> None:
        assert self._producer.flush(120) == 0

    def _send(self, topic: str, key: str, value: bytes) -> None:
        def done(error: Any, message: Any) -> None:
            del message
            assert error is None, error
            self.acknowledged[topic] += 1

        while True:
            try:
                self._producer.produce(topic, value, key, on_delivery=done)
            except BufferError:
                self._producer.poll(0.05)
            else:
                break
        self._producer.poll(0)


@contextlib.contextmanager
def parts(folder: pathlib.Path) -> Iterator[Parts]:
    made = Parts(folder)
    try:
        made.start()
        yield made
    finally:
        made.close()
