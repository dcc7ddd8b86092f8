"""A real MLServer with steps of the pipeline, in a process of the serving environment."""

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

ROOT = pathlib.Path(__file__).parents[4]
PATIENCE = 60.0


def serving_python() -> pathlib.Path:
    python = pathlib.Path(os.environ.get("BELLWETHER_SERVING_PYTHON", ""))
    if not python.is_file():
        pytest.fail(
            f"BELLWETHER_SERVING_PYTHON is {str(python)!r}: it has to name the Python of the "
            "serving environment; `make test` sets it",
            pytrace=False,
        )
    return python


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [held.getsockname()[1] for held in sockets]
    for held in sockets:
        held.close()
    return ports


def texts(name: str, *values: str) -> dict[str, Any]:
    """A request's tensor of texts, one row."""
    shape = [1] if len(values) == 1 else [1, len(values)]
    return {"name": name, "shape": shape, "datatype": "BYTES", "data": list(values)}


def numbers(name: str, values: Any) -> dict[str, Any]:
    """A request's tensor of numbers; `values` nested as its shape says."""
    shape, inner = [], values
    while isinstance(inner, list):
        shape.append(len(inner))
        inner = inner[0]
    return {"name": name, "shape": shape, "datatype": "FP64", "data": values}


@dataclasses.dataclass(frozen=True)
class Server:
    http: httpx.Client
    metrics: str
    repository: pathlib.Path
    log: pathlib.Path

    def infer(self, model: str, *tensors: dict[str, Any], **more: Any) -> httpx.Response:
        return self.http.post(f"/v2/models/{model}/infer", json={"inputs": list(tensors), **more})

    def outputs(self, model: str, *tensors: dict[str, Any], **more: Any) -> dict[str, Any]:
        """The data of every output, by name; the answer has to be a good one."""
        response = self.infer(model, *tensors, **more)
        assert response.status_code == 200, response.text
        return {output["name"]: output["data"] for output in response.json()["outputs"]}

    def refusal(self, model: str, *tensors: dict[str, Any]) -> str:
        """The reason of a 400."""
        response = self.infer(model, *tensors)
        assert response.status_code == 400, response.text
        reason: str = response.json()["error"]
        return reason

    def load(
        self, name: str, implementation: str, folder: pathlib.Path | None = None, **extra: str
    ) -> httpx.Response:
        write_settings(self.repository, name, implementation, folder, extra)
        return self.http.post(f"/v2/repository/models/{name}/load")

    def count(self, metric: str, **labels: str) -> float:
        for line in httpx.get(self.metrics).text.splitlines():
            match = re.fullmatch(re.escape(metric) + r"\{(.*)\} (\S+)", line)
            if match and dict(re.findall(r'(\w+)="([^"]*)"', match[1])) == labels:
                return float(match[2])
        return 0.0


def write_settings(
    repository: pathlib.Path,
    name: str,
    implementation: str,
    artifact: pathlib.Path | None,
    extra: Mapping[str, str],
) -> None:
    folder = repository / name
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "name": name,
        "implementation": implementation,
        "parameters": {"uri": str(artifact or folder), "extra": dict(extra)},
    }
    (folder / "model-settings.json").write_text(json.dumps(settings))


@contextlib.contextmanager
def running(repository: pathlib.Path) -> Iterator[Server]:
    """Run MLServer over the models in `repository` (see `write_settings`)."""
    names = [path.parent.name for path in repository.glob("*/model-settings.json")]
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
            [str(serving_python().parent / "mlserver"), "start", str(repository)],
            cwd=repository,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{http}", timeout=30) as client:
            _wait_until_ready(process, client, names, log)
            yield Server(
                http=client,
                metrics=f"http://127.0.0.1:{metrics}/metrics",
                repository=repository,
                log=log,
            )
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_until_ready(
    process: subprocess.Popen[bytes], client: httpx.Client, names: list[str], log: pathlib.Path
) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(httpx.TransportError):  # until it listens
            if all(client.get(f"/v2/models/{name}/ready").is_success for name in names):
                return
        time.sleep(0.05)  # between two probes
    pytest.fail(f"MLServer is not ready:\n{log.read_text()[-4000:]}", pytrace=False)
