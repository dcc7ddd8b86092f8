"""Real Kafka, Valkey and feature stream, on free ports, each until its context ends."""

import collections.abc
import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import socket
import subprocess
import time
from collections.abc import Iterator

import confluent_kafka
import confluent_kafka.admin
import httpx
import pytest
import redis

from infra import settings
from infra.catalogue import topics
from infra.local import kafka as kafka_configuration
from infra.local import toolchain
from runtimes.features import records

ROOT = pathlib.Path(__file__).parents[4]
PATIENCE = 60.0
TOPICS = (
    records.MARKET_DATA,
    records.NEWS,
    records.DEAD_LETTERS,
    records.FEATURE_MONITORING,
)


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


def until(
    condition: collections.abc.Callable[[], object], what: str, patience: float = PATIENCE
) -> object:
    """Wait for a condition, and give what it found."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.005)  # between two looks
    return pytest.fail(f"not within {patience:.0f} s: {what}")


@dataclasses.dataclass
class Server:
    """A process that can be ended, killed, held, and started again."""

    command: list[str]
    log: pathlib.Path
    port: int
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                self.command,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=os.environ | self.environment,
                cwd=self.log.parent,
            )

    def send(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        self.wait()

    def wait(self) -> int:
        assert self.process is not None
        return self.process.wait(30)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.send(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(20)

    def alive(self) -> None:
        if self.process is not None and self.process.poll() is not None:
            pytest.fail(f"{self.command} ended:\n{self.log.read_text()[-4000:]}", pytrace=False)

    def ready(self) -> bool:
        self.alive()
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"http://{self.address}/ready").is_success
        return False


@contextlib.contextmanager
def running(server: Server) -> Iterator[Server]:
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def valkey(folder: pathlib.Path) -> Iterator[Server]:
    folder.mkdir(exist_ok=True)
    (port,) = free_ports(1)
    program = str(toolchain.Toolchain.locate().valkey)
    command = [program, "--bind", "127.0.0.1", "--port", str(port), "--save", ""]
    with running(Server(command, folder / "valkey.log", port)) as server:
        until(lambda: answers(port), "Valkey answers")
        yield server


def answers(port: int) -> bool:
    with contextlib.suppress(redis.RedisError):
        return bool(redis.Redis(port=port, socket_timeout=1).ping())
    return False


@contextlib.contextmanager
def kafka(folder: pathlib.Path) -> Iterator[Server]:
    folder.mkdir(exist_ok=True)
    port, controller, metrics = free_ports(3)
    ports = settings.Ports(kafka=port, kafka_controller=controller, kafka_metrics=metrics)
    tools = toolchain.Toolchain.locate()
    script = kafka_configuration.start_script(tools.java, tools.kafka_jars, folder, 256, metrics)
    for name, content in {
        "server.properties": kafka_configuration.properties(ports, folder / "data"),
        "log4j.properties": kafka_configuration.LOG4J,
        "metrics.yml": topics.JMX_EXPORTER,
        "start.sh": script,
    }.items():
        (folder / name).write_text(content)
    with running(
        Server(["/bin/sh", str(folder / "start.sh")], folder / "kafka.log", port)
    ) as server:
        make_topics(server)
        yield server


def make_topics(server: Server) -> None:
    admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": server.address, "log_level": 0})

    def made() -> bool:
        server.alive()
        wanted = [confluent_kafka.admin.NewTopic(name, 1, 1) for name in TOPICS]
        try:
            for future in admin.create_topics(wanted, request_timeout=5).values():
                future.result()
        except confluent_kafka.KafkaException as error:
            return error.args[0].code() == confluent_kafka.KafkaError.TOPIC_ALREADY_EXISTS
        return True

    until(made, "Kafka makes topics")


def stream(
    folder: pathlib.Path,
    kafka_address: str,
    valkey_address: str,
    artifact: pathlib.Path,
) -> Server:
    folder.mkdir(exist_ok=True)
    (port,) = free_ports(1)
    configuration = {
        "kafka": kafka_address,
        "valkey": valkey_address,
        "registry": str(folder / "registry.db"),
        "artifact": str(artifact),
        "port": port,
    }
    path = folder / "stream.json"
    path.write_text(json.dumps(configuration))
    return Server(
        [environment_python("serving"), "-m", "runtimes.features.stream", str(path)],
        folder / "stream.log",
        port,
        {"PYTHONPATH": str(ROOT)},
    )


@contextlib.contextmanager
def enrichment(
    folder: pathlib.Path, artifact: pathlib.Path, **extra: str
) -> Iterator[httpx.Client]:
    """An MLServer with the step `enrichment` alone."""
    model = folder / "repository" / "enrichment_1"
    model.mkdir(parents=True)
    (model / "model-settings.json").write_text(
        json.dumps(
            {
                "name": "enrichment_1",
                "implementation": "runtimes.features.enrichment.Enrichment",
                "parameters": {"uri": str(artifact), "extra": extra},
            }
        )
    )
    http, grpc, metrics = free_ports(3)
    ports = {"http_port": http, "grpc_port": grpc, "metrics_port": metrics}
    (model.parent / "settings.json").write_text(
        json.dumps({"debug": False, "host": "127.0.0.1", "parallel_workers": 0, **ports})
    )
    program = pathlib.Path(environment_python("serving")).parent / "mlserver"
    server = Server(
        [str(program), "start", str(model.parent)],
        folder / "mlserver.log",
        http,
        {"PYTHONPATH": str(ROOT)},
    )
    with running(server), httpx.Client(base_url=f"http://{server.address}", timeout=10) as client:

        def loaded() -> bool:
            server.alive()
            with contextlib.suppress(httpx.TransportError):
                return client.get("/v2/models/enrichment_1/ready").is_success
            return False

        until(loaded, "MLServer has loaded the enrichment")
        client.headers["x-metrics"] = f"http://127.0.0.1:{metrics}/metrics"
        yield client
