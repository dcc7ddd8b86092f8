"""A real MLServer with predictors, the explainer, and the explanations on demand."""

import contextlib
import json
import os
import pathlib
import subprocess
import time
from collections.abc import Iterator

import httpx
import mlserver_process
import pytest

PREDICTORS = ("line", "trees", "lstm", "transformer", "ensemble")
STEPS = {
    "explainer": ("runtimes.explainer.runtime.Explainer", {}),
    "explanations": (
        "runtimes.explainer.on_demand.Explanations",
        {"model": "line-predictor", "samples": "300", "repeats": "3", "references": "4"},
    ),
}
PATIENCE = 120.0


def write(repository: pathlib.Path, folders: dict[str, str]) -> None:
    """Write every model's settings, as a deployment does."""
    for kind in PREDICTORS:
        mlserver_process.write_settings(
            repository, f"{kind}-predictor", pathlib.Path(folders[kind])
        )
    # The second version of a model whose first one the bundles know.
    mlserver_process.write_settings(repository, "line-predictor_2", pathlib.Path(folders["line2"]))
    for name, (implementation, extra) in STEPS.items():
        (repository / name).mkdir()
        settings = {
            "name": name,
            "implementation": implementation,
            "parameters": {"uri": folders[name], "extra": extra},
        }
        (repository / name / "model-settings.json").write_text(json.dumps(settings))


@contextlib.contextmanager
def running(folders: dict[str, str], repository: pathlib.Path) -> Iterator[httpx.Client]:
    """Serve; give a client of its REST port."""
    write(repository, folders)
    http, grpc, metrics = mlserver_process.free_ports(3)
    settings = {
        "debug": False,
        "host": "127.0.0.1",
        "http_port": http,
        "grpc_port": grpc,
        "metrics_port": metrics,
        "parallel_workers": 0,
    }
    (repository / "settings.json").write_text(json.dumps(settings))
    python = pathlib.Path(mlserver_process.environment_python("serving"))
    log = repository / "mlserver.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(python.parent / "mlserver"), "start", str(repository)],
            cwd=repository,
            env=os.environ | {"PYTHONPATH": str(mlserver_process.ROOT)},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{http}", timeout=60) as client:
            wait_until_ready(process, client, log)
            client.headers["x-metrics"] = f"http://127.0.0.1:{metrics}/metrics"
            yield client
    finally:
        process.terminate()
        process.wait(timeout=30)


def wait_until_ready(
    process: subprocess.Popen[bytes], client: httpx.Client, log: pathlib.Path
) -> None:
    deadline = time.monotonic() + PATIENCE
    names = [*(f"{kind}-predictor" for kind in PREDICTORS), *STEPS]
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(httpx.TransportError):  # until it listens
            if all(client.get(f"/v2/models/{name}/ready").is_success for name in names):
                return
        time.sleep(0.05)  # between two probes
    pytest.fail(f"MLServer is not ready:\n{log.read_text()[-4000:]}", pytrace=False)
