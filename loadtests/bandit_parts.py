"""A small environment of one's own for the bandit's controller: Kafka, Valkey, the mesh, on free ports.

What measures the controller kills parts and fills topics; the environment that serves is left alone.
"""

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
import redis
from confluent_kafka.cimpl import NewTopic

from infra import settings
from infra.catalogue import topics
from infra.local import kafka, toolchain
from runtimes.bandit.controller.cluster import EXPERIMENTS, POLICIES
from runtimes.contract import bandits

ROOT = pathlib.Path(__file__).parents[1]
NAMESPACE = "desk"
ARMS = ("one", "two", "three", "four")
TOPICS = (bandits.DECISIONS, bandits.REWARDS, bandits.ALLOCATIONS)
PATIENCE = 60.0
_START_PATIENCE = 180.0
"""Programs take long to start on a machine that is busy."""

_EOF = confluent_kafka.KafkaError._PARTITION_EOF  # noqa: SLF001  librdkafka's name
_MERGE = {"content-type": "application/merge-patch+json"}

Found = TypeVar("Found")


class PartsError(RuntimeError):
    """A part does not do what it should."""


def until(ask: Callable[[], Found | None], what: str, patience: float = PATIENCE) -> Found:
    """Ask until the answer is not None."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        found = ask()
        if found is not None:
            return found
        time.sleep(0.01)  # between two probes
    raise PartsError(f"not within {patience:g} s: {what}")


def free_ports(count: int) -> list[int]:
    """Give ports that nobody listens on."""
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
        """Start it."""
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
        """Its process id."""
        if self._process is None:
            raise PartsError(f"{self.log.stem} does not run")
        return self._process.pid

    def alive(self) -> bool:
        """Say whether it runs."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """Kill it, as a fault would."""
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
        self.namespace = NAMESPACE
        self.http = httpx.Client()
        """Who a person is at the API server."""
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
            "metrics.yml": topics.JMX_EXPORTER,
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
        """Make a controller beside the first one."""
        told = {
            "kafka": self.kafka,
            "valkey": f"127.0.0.1:{self.valkey_port}",
            "api": self.api,
            "namespace": self.namespace,
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
        self.mesh.start()
        self.start_stores()
        until(self.mesh_answers, "the mesh answers", _START_PATIENCE)

    def start_stores(self) -> None:
        """Start Kafka and Valkey alone."""
        for part in (self.broker, self.valkey):
            part.start()
        until(self.has_topics, "Kafka has its topics", _START_PATIENCE)
        until(self.valkey_answers, "Valkey answers", _START_PATIENCE)

    def close(self) -> None:
        """Kill everything."""
        for part in (self.controller, self.mesh, self.valkey, self.broker):
            part.kill()
        self.http.close()

    def has_topics(self) -> bool | None:
        """Make the topics; None while Kafka is not there."""
        if not self.broker.alive():
            raise PartsError(self.broker.log.read_text()[-4000:])
        admin = confluent_kafka.admin.AdminClient(
            dict[str, Any](
                {"bootstrap.servers": self.kafka, "log_level": 0, "error_cb": lambda _: None}
            )
        )
        wanted = [
            NewTopic(
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
        """Say that Valkey answers, or None."""
        try:
            with redis.Redis(port=self.valkey_port) as client:
                return bool(client.ping())
        except redis.RedisError:
            return None

    def mesh_answers(self) -> bool | None:
        """Say that the mesh answers, or None."""
        try:
            return httpx.get(f"{self.api}/healthz").is_success or None
        except httpx.TransportError:
            return None

    def controller_ready(self) -> bool | None:
        """Say that the controller is ready, or None."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/ready").is_success or None
        except httpx.TransportError:
            return None

    def traffic(self) -> "Traffic":
        """Give who writes this experiment's decisions and rewards."""
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

        return until(found, f"counts are {wanted}")

    # What a person would do at the API server.

    def experiment_url(self) -> str:
        """The experiment's address."""
        return f"{self.api}{EXPERIMENTS.format(namespace=self.namespace)}/{self.experiment}"

    def policy_url(self) -> str:
        """The policy's address."""
        return f"{self.api}{POLICIES.format(namespace=self.namespace)}/{self.policy}"

    def declare_experiment(self, **weights: int) -> None:
        """Apply the experiment."""
        body = {
            "apiVersion": "mlops.seldon.io/v1alpha1",
            "kind": "Experiment",
            "metadata": {"name": self.experiment},
            "spec": {"candidates": [{"name": k, "weight": v} for k, v in weights.items()]},
        }
        self._apply(self.experiment_url(), body)

    def declare_policy(self, **spec: Any) -> None:
        """Apply the policy; `spec` as in a manifest."""
        body = {
            "apiVersion": "bandits.bellwether.dev/v1alpha1",
            "kind": "BanditPolicy",
            "metadata": {"name": self.policy},
            "spec": {"experiment": self.experiment, "updateFrequency": "1s", **spec},
        }
        self._apply(self.policy_url(), body)

    def _apply(self, url: str, body: dict[str, Any]) -> None:
        _check(self.http.put(url, json=body))

    def remove_policy(self) -> None:
        """Delete the policy."""
        self.http.delete(self.policy_url())

    def patch_policy(self, **spec: Any) -> None:
        """Change the policy's spec."""
        _check(self.http.patch(self.policy_url(), json={"spec": spec}, headers=_MERGE))

    def set_weights(self, **weights: int) -> None:
        """Write weights as somebody else would."""
        spec = {"candidates": [{"name": k, "weight": v} for k, v in weights.items()]}
        _check(self.http.patch(self.experiment_url(), json={"spec": spec}, headers=_MERGE))

    def weights(self) -> dict[str, int]:
        """Read the weights."""
        spec = self.http.get(self.experiment_url()).json()["spec"]
        return {each["name"]: each["weight"] for each in spec["candidates"]}

    def status(self) -> dict[str, Any]:
        """Read the policy's status."""
        found: dict[str, Any] = self.http.get(self.policy_url()).json().get("status") or {}
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
        found: list[bandits.Allocation] = []
        try:
            while True:
                message = consumer.poll(20)
                error = None if message is None else message.error()
                if message is None or (error is not None and error.code() != _EOF):
                    raise PartsError(f"the log is not read: {error}")
                if error is not None:
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

    def decide(
        self,
        id_: str,
        arm: str,
        experiment: str | None = None,
        context: dict[str, float] | None = None,
        propensity: float | None = None,
    ) -> None:
        """Write a decision."""
        record = bandits.Decision(
            id=id_,
            time=0.0,
            experiment=experiment or self._experiment,
            arm=arm,
            context=context,
            propensity=propensity,
        )
        self._send(bandits.DECISIONS, id_, record.encode())

    def reward(self, id_: str, value: float, metric: str = bandits.BUSINESS_VALUE) -> None:
        """Write a reward."""
        record = bandits.Reward(prediction_id=id_, metric=metric, value=value, time=0.0)
        self._send(bandits.REWARDS, id_, record.encode())

    def raw(self, topic: str, value: bytes) -> None:
        """Write anything."""
        self._send(topic, "raw", value)

    def flush(self) -> None:
        """Wait until Kafka has everything."""
        if self._producer.flush(120):
            raise PartsError("Kafka does not take what was sent")

    def _send(self, topic: str, key: str, value: bytes) -> None:
        def done(error: Any, message: Any) -> None:
            del message
            if error is not None:
                raise PartsError(str(error))
            self.acknowledged[topic] += 1

        while True:
            try:
                self._producer.produce(topic, value, key, on_delivery=done)
            except BufferError:
                self._producer.poll(0.05)
            else:
                break
        self._producer.poll(0)


def _check(answer: httpx.Response) -> None:
    if not answer.is_success:
        raise PartsError(answer.text)


@contextlib.contextmanager
def parts(folder: pathlib.Path) -> Iterator[Parts]:
    """Start a small environment; its controller is started by who uses it."""
    made = Parts(folder)
    try:
        made.start()
        yield made
    finally:
        made.close()
