"""A runtime that became slow, under a real load test: the threshold and the baseline tell.

Mesh, MLServer and Envoy are the test's own, on free ports; the model is the trained baseline.
"""

import json
import pathlib
import re
import shutil

import pytest

from bellwether import environment as environments
from bellwether import training
from infra import seldon
from tests.conformance import apply
from tests.conformance import environment as conformance
from tests.stack import conftest

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

NAME = "sometimes-slow"
RUNTIME = pathlib.Path(__file__).with_name("slow_runtime") / "slow_runtime.py"
LOAD = ("load", "--journey", "model", "--model", NAME, "--users", "3", "--duration", "6s", "--json")


@pytest.fixture
def served(tmp_path):
    """An environment, and what deploys a model to it that takes as many seconds as is said."""
    wanted = environments.Stack("test").settings()
    artifacts = training.trained(wanted.data, wanted.seed)
    assert artifacts, "the models are trained before the stack tests"
    folder = tmp_path / "artifact"
    folder.mkdir()
    shutil.copy(RUNTIME, folder)
    uri = {"uri": str(artifacts["baseline"])}
    settings = {"implementation": "slow_runtime.Slow", "parameters": uri}
    (folder / "model-settings.json").write_text(json.dumps(settings))
    with conformance.started(tmp_path) as environment:
        applier = apply.MeshApplier(environment)
        server = {"serverConfig": "mlserver", "extraCapabilities": ["bellwether-predictor"]}
        applied(applier, "Server", "mlserver", server)

        def deploy(seconds):
            spec = {
                "storageUri": f"file://{folder}",
                "requirements": ["bellwether-predictor"],
                "parameters": [{"name": "delay_seconds", "value": str(seconds)}],
            }
            applied(applier, "Model", NAME, spec)

        yield environment.gateway_url, deploy


def applied(applier, kind, name, spec):
    metadata = {"name": name, "namespace": "bellwether"}
    manifest = {"apiVersion": seldon.API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}
    outcome = applier.apply(manifest)
    assert outcome.accepted, outcome.message


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_a_slow_runtime_fails_its_threshold_and_the_baseline_finds_it(served, protocol):
    gateway, deploy = served
    load = (*LOAD, "--against", gateway, "--protocol", protocol)
    shutil.rmtree(conftest.HOME / "baselines", ignore_errors=True)
    deploy(0)
    before = json.loads(conftest.bellwether(*load, "--save-baseline", "before").stdout)
    assert before["parts"][0]["requests"]
    assert not before["parts"][0]["failed"]

    deploy(0.4)
    after = conftest.bellwether(*load, "--baseline", "before")
    assert after.returncode == 1
    said = " ".join(after.stderr.split())
    assert re.search(r"thresholds of 'test' do not hold: - model: p50, ms is \d{3}", said)
    assert "slower than the baseline 'before': - model: p" in said
    found = json.loads(after.stdout)
    assert not found["parts"][0]["failed"]
    row = next(row for row in found["comparison"]["rows"] if row["measure"] == "p50")
    assert row["verdict"] == "slower"
    assert row["now"] > 400
    assert "model: p50" in found["comment"]
