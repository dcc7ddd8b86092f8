"""An arm that fails loses its traffic, through Envoy, controller and mesh, until it has healed."""

import contextlib
import pathlib
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import httpx

from runtimes.bandit import declaration
from tests.conformance import apply
from tests.conformance.environment import Environment, eventually, write_artifact
from tests.conformance.worlds import World

EXPERIMENT = "veto-experiment"
POLICY = f"veto-{uuid.uuid4().hex[:8]}"
"""A policy goes on from its log, so a name that has none."""
FLOOR = 0.05
"""What `explorationRate` 0.1 leaves each of two arms."""
INPUT = {"inputs": [{"name": "INPUT", "shape": [1], "datatype": "FP32", "data": [1.0]}]}


class Policy:
    """The policy of the test, at the mesh."""

    def __init__(self, environment: Environment) -> None:
        self._url = (
            f"{environment.mesh_url}/apis/{declaration.API_VERSION}/namespaces/"
            f"{environment.namespace}/{declaration.PLURAL}/{POLICY}"
        )

    def apply(self) -> None:
        spec = {
            "experiment": EXPERIMENT,
            "algorithm": {"name": "thompson"},
            "rewardKind": "continuous",
            "explorationRate": 0.1,
            "updateFrequency": "2s",
            "guardrails": {"maxErrorRate": 0.05, "minimumRewards": 1000},
        }
        manifest = {
            "apiVersion": declaration.API_VERSION,
            "kind": declaration.KIND,
            "metadata": {"name": POLICY},
            "spec": spec,
        }
        answer = httpx.put(self._url, json=manifest)
        assert answer.is_success, answer.text

    def delete(self) -> None:
        httpx.delete(self._url).raise_for_status()

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = httpx.get(self._url).raise_for_status().json().get("status", {})
        return status


@contextlib.contextmanager
def traffic(environment: Environment) -> Iterator[None]:
    """Ask the experiment all the time, from one thread."""
    ended = threading.Event()

    def ask() -> None:
        named = {"seldon-model": f"{EXPERIMENT}.experiment"}
        with httpx.Client(base_url=environment.gateway_url, timeout=10) as client:
            while not ended.wait(0.01):
                client.post("/v2/models/any/infer", json=INPUT, headers=named)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(15)
    assert not thread.is_alive(), "a request hangs"


def shares(environment: Environment) -> dict[str, float]:
    url = (
        f"{environment.mesh_url}/apis/mlops.seldon.io/v1alpha1/namespaces/"
        f"{environment.namespace}/experiments/{EXPERIMENT}"
    )
    candidates = httpx.get(url).raise_for_status().json()["spec"]["candidates"]
    total = sum(each["weight"] for each in candidates)
    return {each["name"]: each["weight"] / total for each in candidates}


def test_an_arm_that_fails_loses_its_traffic_within_an_epoch_and_gets_its_floor_back(
    environment: Environment, tmp_path: pathlib.Path
) -> None:
    artifacts = {
        folder.name: str(folder)
        for folder in (
            write_artifact(tmp_path / "sound", factor=10),
            write_artifact(tmp_path / "failing", "Boom"),
        )
    }
    policy = Policy(environment)
    with World(environment, apply.MeshApplier(environment), artifacts) as world:
        world.model("steady", "sound")
        world.model("brittle", "failing")
        world.experiment(EXPERIMENT, [("steady", 50), ("brittle", 50)])
        policy.apply()
        try:
            eventually(lambda: policy.status().get("epoch", 0) >= 1, "an epoch has ended", 30)
            began = policy.status()["epoch"]
            with traffic(environment):
                eventually(lambda: shares(environment)["brittle"] == 0, "the arm is vetoed", 30)
                vetoed = [each for each in policy.status()["epochs"] if each["vetoes"]]
                first = min(each["epoch"] for each in vetoed)
                assert first <= began + 2, "in the epoch that saw it fail, or the one cut by it"
                assert vetoed[-1]["vetoes"][0]["arm"] == "brittle"
                assert "requests failed" in vetoed[-1]["vetoes"][0]["reason"]
                world.model("brittle", "sound")
                eventually(
                    lambda: shares(environment)["brittle"] >= FLOOR, "it has its floor back", 60
                )
                answer = httpx.post(
                    f"{environment.gateway_url}/v2/models/brittle/infer", json=INPUT, timeout=10
                )
                assert answer.status_code == 200
        finally:
            policy.delete()
