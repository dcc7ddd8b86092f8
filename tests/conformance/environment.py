"""Where the suite runs: an environment that is there, or one of its own on free ports.

What the tests know of it is `Environment`; everything else is how it comes about.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil

from infra.local.mesh import envoy as mesh_envoy
from infra.local.mesh.settings import HOST, ModelServerSettings, Ports, Settings

ROOT = Path(__file__).resolve().parents[2]
SERVING_PYTHON = Path(
    os.environ.get(
        "BELLWETHER_SERVING_PYTHON",
        Path.home() / ".cache" / "bellwether" / "envs" / "dev-serving" / "bin" / "python",
    )
)
ENVOY = ROOT / ".venv" / "bin" / "envoy"

_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Environment:
    """The addresses of what is tested; `mesh_url` is empty on a cluster.

    `kafka` is where pipelines' messages are published, if that is known.
    """

    gateway_url: str
    mesh_url: str
    namespace: str = "bellwether"
    model_server_url: str = ""
    kafka: str | None = None

    @property
    def gateway_address(self) -> str:
        """Host and port of the gateway, for gRPC."""
        return urllib.parse.urlsplit(self.gateway_url).netloc

    def listener(self, url: str) -> int | None:
        """Say which process listens at a URL."""
        port = urllib.parse.urlsplit(url).port
        for connection in psutil.net_connections("tcp"):
            at = connection.laddr
            if connection.status == psutil.CONN_LISTEN and at and at.port == port:
                found: int | None = connection.pid
                return found
        return None

    def kill(self, url: str) -> int:
        """Kill the process that listens at a URL, and give back its id.

        Whoever keeps the environment has to start it again.
        """
        process = self.listener(url)
        assert process is not None, f"nothing listens at {url}"
        os.kill(process, signal.SIGKILL)
        return process


def eventually(
    probe: Callable[[], _Found | None], what: str, seconds: float = 15, pause: float = 0.01
) -> _Found:
    """Ask until the answer is true, and give it back.

    Raises `AssertionError` with the last answer when it stays false.
    """
    deadline = time.monotonic() + seconds
    while True:
        answer: Any
        try:
            answer = probe()
        except httpx.TransportError as error:
            answer = None
            last: object = error
        else:
            last = answer
        if answer:
            found: _Found = answer
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds:g} s, last seen: {last}")
        time.sleep(pause)


def write_artifact(folder: Path, implementation: str = "Arithmetic", **extra: float | str) -> Path:
    """Write an artifact of one of the suite's own models, and give back its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "name": folder.name,
        "implementation": f"tests.conformance.arithmetic.{implementation}",
        "parameters": {"extra": extra},
    }
    (folder / "model-settings.json").write_text(json.dumps(settings))
    return folder


class _Kept:
    """A child process that is started again when it dies, as supervisord does."""

    def __init__(self, command: list[str], log: Path, ready_to_start: Callable[[], bool]) -> None:
        self._command = command
        self._log = log
        self._ready_to_start = ready_to_start
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    def _keep(self) -> None:
        while not self._ready_to_start():
            if self._stopping.wait(0.02):
                return
        while not self._stopping.is_set():
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    self._command,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, "PYTHONPATH": str(ROOT)},
                    cwd=self._log.parent,
                )
            self._process.wait()
            self._stopping.wait(0.05)

    def stop(self) -> None:
        self._stopping.set()
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._thread.join(15)


@contextlib.contextmanager
def started(folder: Path, kafka: str | None = None, **settings: Any) -> Iterator[Environment]:
    """Start mesh, MLServer and Envoy on free ports below a folder, and stop them afterwards.

    Pipelines' messages go to the broker at `kafka`, if there is one.
    """
    ports = Ports(**dict(zip(Ports.model_fields, _free_ports(6), strict=True)))
    mesh = Settings(state_dir=folder / "state", ports=ports, **settings)
    server = ModelServerSettings(
        repository=mesh.repository,
        ports=ports,
        max_request_bytes=mesh.max_request_bytes,
        namespace=mesh.namespace,
        kafka=kafka,
    )
    files = {"mesh": mesh, "model_server": server}
    for name, each in files.items():
        (folder / f"{name}.json").write_text(each.model_dump_json())
    python = str(SERVING_PYTHON)
    commands = {
        "mesh": [python, "-m", "infra.local.mesh", str(folder / "mesh.json")],
        "mlserver": [python, "-m", "infra.local.model_server", str(folder / "model_server.json")],
        "envoy": mesh_envoy.command(ENVOY, mesh),
    }
    parts = [
        _Kept(command, folder / f"{name}.log", _exists(mesh.routes) if name == "envoy" else _now)
        for name, command in commands.items()
    ]
    environment = Environment(
        f"http://{HOST}:{ports.gateway}",
        f"http://{HOST}:{ports.mesh}",
        mesh.namespace,
        f"http://{HOST}:{ports.mlserver_http}",
        kafka,
    )
    try:
        try:
            eventually(
                lambda: httpx.get(f"{environment.mesh_url}/readyz").status_code == 200,
                "the environment is ready",
                60,
            )
            yield environment
        except BaseException:
            for name in commands:
                print(f"--- {name}.log, last lines")  # noqa: T201 - pytest shows it on failure
                print(_tail(folder / f"{name}.log"))  # noqa: T201 - pytest shows it on failure
            raise
    finally:
        for part in parts:
            part.stop()


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:]) if log.exists() else ""


def _now() -> bool:
    return True


def _exists(path: Path) -> Callable[[], bool]:
    return path.exists


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]
