"""A real MLServer with one tiny model of each kind, in a process of the serving environment."""

import contextlib
import dataclasses
import json
import os
import pathlib
import socket
import subprocess
import time
from collections.abc import Iterator

import httpx
import pytest

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[3]
KINDS = ("linear", "lightgbm", "onnx", "ensemble")
MAX_ROWS = 64
THREAD_ROWS = 8
PATIENCE = 60.0


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


def write_settings(
    repository: pathlib.Path, name: str, artifact: pathlib.Path, **extra: str
) -> None:
    folder = repository / name
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "name": name,
        "implementation": "runtimes.predictor.runtime.Predictor",
        "parameters": {"uri": str(artifact), "extra": extra},
    }
    (folder / "model-settings.json").write_text(json.dumps(settings))


@dataclasses.dataclass(frozen=True)
class Server:
    http: httpx.Client
    grpc: str
    metrics: str
    repository: pathlib.Path
    artifacts: pathlib.Path
    log: pathlib.Path

    def load(self, name: str) -> httpx.Response:
        return self.http.post(f"/v2/repository/models/{name}/load")

    def scrape(self) -> str:
        return httpx.get(self.metrics).text


def make_tiny_artifacts(folder: pathlib.Path) -> None:
    subprocess.run(
        [environment_python("training"), str(HERE / "tiny_artifacts.py"), str(folder)],
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


@contextlib.contextmanager
def running(artifacts: pathlib.Path, repository: pathlib.Path) -> Iterator[Server]:
    python = pathlib.Path(environment_python("serving"))
    for kind in KINDS:
        write_settings(
            repository,
            f"{kind}-predictor_1",
            artifacts / kind,
            max_rows=str(MAX_ROWS),
            thread_rows=str(THREAD_ROWS),
        )
    http, grpc, metrics = free_ports(3)
    settings = {
        "debug": False,
        "host": "127.0.0.1",
        "http_port": http,
        "grpc_port": grpc,
        "metrics_port": metrics,
        "parallel_workers": 0,
    }
    (repository / "settings.json").write_text(json.dumps(settings))
    log = repository / "mlserver.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(python.parent / "mlserver"), "start", str(repository)],
            cwd=repository,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{http}", timeout=30) as client:
            wait_until_ready(process, client, log)
            yield Server(
                http=client,
                grpc=f"127.0.0.1:{grpc}",
                metrics=f"http://127.0.0.1:{metrics}/metrics",
                repository=repository,
                artifacts=artifacts,
                log=log,
            )
    finally:
        process.terminate()
        process.wait(timeout=30)


def wait_until_ready(
    process: subprocess.Popen[bytes], client: httpx.Client, log: pathlib.Path
) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(httpx.TransportError):  # until it listens
            if client.get("/v2/health/ready").is_success and is_loaded(client):
                return
        time.sleep(0.05)  # between two probes
    pytest.fail(f"MLServer is not ready:\n{log.read_text()[-4000:]}", pytrace=False)


def is_loaded(client: httpx.Client) -> bool:
    names = (f"/v2/models/{kind}-predictor_1/ready" for kind in KINDS)
    return all(client.get(name).is_success for name in names)
