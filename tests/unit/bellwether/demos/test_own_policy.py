"""A demo's own experiment and policy at the real mesh, which runs for these tests alone."""

import os
import subprocess
import sys

import pytest

from bellwether import demos
from bellwether.demos import bandit, own_policy
from infra.catalogue import bandits
from loadtests import bandit_parts, endpoints
from runtimes.bandit import declaration

WEIGHTS = {"one": 3, "two": 1}


@pytest.fixture(scope="module")
def where(tmp_path_factory):
    parts = bandit_parts.Parts(tmp_path_factory.mktemp("mesh"))
    parts.mesh.start()
    try:
        bandit_parts.until(parts.mesh_answers, "the mesh answers")
        yield endpoints.Endpoints("", parts.api, "", bandit_parts.NAMESPACE)
    finally:
        parts.mesh.stop()


@pytest.fixture
def mesh(where):
    with own_policy.Mesh(where) as mesh:
        yield mesh


def left(mesh):
    return [
        each["metadata"]["name"]
        for kind in (declaration.KIND, "Experiment")
        for each in mesh.items(kind)
    ]


def test_both_are_there_while_the_demo_runs_and_gone_afterwards(mesh):
    with own_policy.own(mesh, WEIGHTS, bandit.spec(30)) as mine:
        assert mine.weights() == WEIGHTS
        found = mesh.get(declaration.KIND, mine.policy)
        declared = declaration.parse({**found, "status": None}).spec
        assert declared.experiment == mine.experiment
        assert declared.algorithm == bandits.FINANCIAL_MAB.spec.algorithm
        assert left(mesh) == [mine.policy, mine.experiment]
        assert mine.status() == {}
    assert left(mesh) == []


def test_an_interrupt_leaves_nothing(mesh):
    with pytest.raises(KeyboardInterrupt), own_policy.own(mesh, WEIGHTS, bandit.spec(30)):
        raise KeyboardInterrupt
    assert left(mesh) == []


def test_what_a_killed_run_left_is_removed_and_what_a_living_one_has_is_not(mesh, monkeypatch):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with own_policy.own(mesh, WEIGHTS, bandit.spec(30)) as living:
        dead = {
            "apiVersion": "mlops.seldon.io/v1alpha1",
            "kind": "Experiment",
            "metadata": {
                "name": f"{own_policy.EXPERIMENT}-dead",
                "annotations": {own_policy.PROCESS: str(gone.pid)},
            },
            "spec": {"candidates": [{"name": "one", "weight": 1}]},
        }
        mesh.put(dead)
        mesh.put({**dead, "metadata": {"name": "someone-elses"}})
        monkeypatch.setattr(own_policy.time, "time", lambda: 1.0)
        with own_policy.own(mesh, WEIGHTS, bandit.spec(30)) as second:
            assert sorted(left(mesh)) == sorted(
                [
                    living.policy, second.policy,
                    living.experiment, second.experiment, "someone-elses",
                ]
            )  # fmt: skip
    mesh.delete("Experiment", "someone-elses")
    assert left(mesh) == []


def test_names_are_new_in_every_run(mesh, monkeypatch):
    with own_policy.own(mesh, WEIGHTS, bandit.spec(30)) as one:
        pass
    monkeypatch.setattr(os, "getpid", lambda: 1)
    with own_policy.own(mesh, WEIGHTS, bandit.spec(30)) as other:
        assert other.policy != one.policy
        assert other.experiment != one.experiment


def test_without_a_controller_the_message_says_what_to_do(mesh):
    with (
        pytest.raises(demos.DemoError, match=r"no controller follows mab-demo-.*make up"),
        own_policy.own(mesh, WEIGHTS, bandit.spec(30)) as mine,
    ):
        own_policy.wait_until_followed(mine, seconds=0.2)


def test_what_keeps_the_controller_from_following_is_passed_on(mesh, where):
    ready = {"type": "Ready", "status": "False", "reason": "KafkaAway", "message": "kafka: away"}
    with own_policy.own(mesh, WEIGHTS, bandit.spec(30)) as mine:
        path = f"/apis/{declaration.API_VERSION}/namespaces/{where.namespace}/banditpolicies"
        mesh._call(
            "PUT",
            f"{path}/{mine.policy}/status",
            {"metadata": {"name": mine.policy}, "status": {"conditions": [ready]}},
        )
        with pytest.raises(demos.DemoError, match="KafkaAway: kafka: away"):
            own_policy.wait_until_followed(mine, seconds=0.2)
        ready["status"] = "True"
        mesh._call(
            "PUT",
            f"{path}/{mine.policy}/status",
            {"metadata": {"name": mine.policy}, "status": {"conditions": [ready]}},
        )
        own_policy.wait_until_followed(mine, seconds=0.2)


def test_a_mesh_that_is_away_is_named_with_what_to_do():
    port = bandit_parts.free_ports(1)[0]
    where = endpoints.Endpoints("", f"http://127.0.0.1:{port}", "", "desk")
    with (
        own_policy.Mesh(where) as mesh,
        pytest.raises(demos.DemoError, match=rf"{port} does not answer.*make up"),
        own_policy.own(mesh, WEIGHTS, bandit.spec(30)),
    ):
        pass
