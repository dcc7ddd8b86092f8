"""The real model server with small models and a document of pipelines, without the mesh."""

import contextlib
import dataclasses
import json
import os
import pathlib
import subprocess
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from infra.local.mesh import dataflow
from infra.local.mesh.settings import HOST, ModelServerSettings, Ports
from tests.conformance.environment import eventually
from tests.conformance.open_inference import Client
from tests.unit.runtimes.predictor.mlserver_process import environment_python, free_ports

ROOT = pathlib.Path(__file__).parents[5]
ARITHMETIC = "tests.conformance.arithmetic"
OWN = "tests.unit.infra.local.dataflow.pipeline_models"
MAX_REQUEST_BYTES = 500_000


@dataclasses.dataclass(frozen=True)
class ModelServer:
    http: httpx.Client
    grpc: Client
    metrics_url: str
    repository: pathlib.Path
    log: pathlib.Path

    def ask(self, pipeline: str, body: Any, **headers: str) -> httpx.Response:
        """Ask as the gateway does."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.http.post(
            "/v2/models/x/infer",
            content=content,
            headers={"seldon-internal-model": f"{pipeline}.pipeline", **headers},
        )

    def act_on(self, *pipelines: dataflow.Pipeline, **shares: tuple[str, ...]) -> httpx.Response:
        """Write the document and have it read."""
        path = dataflow.path_of(self.repository)
        written = path.with_suffix(".new")
        written.write_text(document(*pipelines, **shares).model_dump_json())
        written.rename(path)
        return self.http.post(dataflow.RELOAD_PATH)

    def scrape(self) -> str:
        return httpx.get(self.metrics_url).text

    def metric(self, start: str) -> float:
        """Give the value of the first line of the metrics that begins so; 0 if there is none."""
        for line in self.scrape().splitlines():
            if line.startswith(start):
                return float(line.rsplit(" ", 1)[1])
        return 0.0


def document(
    *pipelines: dataflow.Pipeline, missing: tuple[str, ...] = (), **shares: tuple[str, ...]
) -> dataflow.Document:
    names = {each.name for one in pipelines for each in one.steps} - set(missing)
    models = {
        name: tuple(
            dataflow.Share(internal_name=version, weight=1)
            for version in shares.get(name.replace("-", "_"), (f"{name}_1",))
        )
        for name in names
    }
    return dataflow.Document(pipelines=pipelines, models=models)


def _write_model(repository: pathlib.Path, name: str, implementation: str, **extra: float) -> None:
    folder = repository / name
    folder.mkdir(parents=True)
    settings = {
        "name": name,
        "implementation": implementation,
        "parameters": {"uri": str(folder), "version": "1", "extra": extra},
        "_artifact": str(folder),
    }
    (folder / "model-settings.json").write_text(json.dumps(settings))


def _write_models(repository: pathlib.Path) -> None:
    _write_model(repository, "mul10_1", f"{ARITHMETIC}.Arithmetic", factor=10)
    _write_model(repository, "mul2_1", f"{ARITHMETIC}.Arithmetic", factor=2)
    _write_model(repository, "add10_1", f"{ARITHMETIC}.Arithmetic", term=10)
    _write_model(repository, "boom_1", f"{ARITHMETIC}.Boom")
    _write_model(repository, "bad_1", f"{ARITHMETIC}.Bad")
    for name in ("Echo", "Branching", "Strange", "Held"):
        _write_model(repository, f"{name.lower()}_1", f"{OWN}.{name}")


@contextlib.contextmanager
def running(
    folder: pathlib.Path, given: dataflow.Document, kafka: str | None = None
) -> Iterator[ModelServer]:
    """Run the model server in a folder until the block ends."""
    repository = folder / "repository"
    _write_models(repository)
    dataflow.path_of(repository).write_text(given.model_dump_json())
    ports = Ports(**dict(zip(Ports.model_fields, free_ports(6), strict=True)))
    settings = ModelServerSettings(
        repository=repository,
        ports=ports,
        max_request_bytes=MAX_REQUEST_BYTES,
        namespace="ns",
        kafka=kafka,
    )
    (folder / "settings.json").write_text(settings.model_dump_json())
    log = folder / "model-server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [
                environment_python("serving"),
                "-m",
                "infra.local.model_server",
                str(folder / "settings.json"),
            ],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        with (
            httpx.Client(base_url=f"http://{HOST}:{ports.mlserver_http}", timeout=30) as http,
            Client(f"{HOST}:{ports.mlserver_grpc}") as grpc,
        ):

            def ready() -> bool:
                if process.poll() is not None:
                    pytest.fail(f"it ended:\n{log.read_text()[-4000:]}", pytrace=False)
                return http.get("/v2/health/ready").status_code == 200

            eventually(ready, "the model server is ready", 60, 0.05)
            yield ModelServer(
                http, grpc, f"http://{HOST}:{ports.mlserver_metrics}/metrics", repository, log
            )
    finally:
        process.terminate()
        process.wait(30)
