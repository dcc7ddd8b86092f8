"""The mesh keeps serving: through restarts, new versions, changing weights and bad requests."""

import concurrent.futures
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra import seldon
from tests.conformance import apply
from tests.conformance.callers import Callers
from tests.conformance.environment import Environment, eventually, write_artifact
from tests.conformance.worlds import World, body, values

pytestmark = pytest.mark.stack

MERGE_PATCH = {"content-type": "application/merge-patch+json"}


@pytest.fixture
def world(environment: Environment, tmp_path: Path) -> Iterator[World]:
    """What a test declares, and takes away again when the test ends."""
    artifacts = {
        folder.name: str(folder)
        for folder in (
            write_artifact(tmp_path / "mul10", factor=10),
            write_artifact(tmp_path / "add10", term=10),
            write_artifact(tmp_path / "mul2", factor=2),
            write_artifact(tmp_path / "slow", factor=3, delay=0.3),
            write_artifact(tmp_path / "unloadable", "Unloadable"),
            write_artifact(tmp_path / "deadly", "Deadly"),
        )
    }
    with World(environment, apply.MeshApplier(environment), artifacts) as own:
        yield own


@pytest.fixture
def objects(environment: Environment) -> Iterator[httpx.Client]:
    """The mesh's API, from the namespace on."""
    base = f"{environment.mesh_url}/apis/{seldon.API_VERSION}/namespaces/{environment.namespace}"
    with httpx.Client(base_url=base, timeout=30) as client:
        yield client


def _ready(world: World, plural: str, name: str) -> dict[str, Any]:
    return apply.condition(world.applier.status(plural, name), "Ready")


def _wait_for_more(callers: Callers) -> None:
    enough = callers.asked + 50
    eventually(lambda: callers.asked > enough, "callers ask")


@pytest.mark.parametrize("part", ["mesh", "gateway", "model server"])
def test_a_killed_process_comes_back_with_everything(world: World, part: str) -> None:
    world.serve("mul10", "add10")
    world.experiment("e", [("mul10", 0), ("add10", 1)], default="mul10")
    environment = world.environment
    before = world.applier.status("models", "mul10")
    assert apply.condition(before, "Ready")["status"] == "True"
    urls = {
        "mesh": environment.mesh_url,
        "gateway": environment.gateway_url,
        "model server": environment.model_server_url,
    }
    killed = environment.kill(urls[part])

    def back() -> bool:
        ready = httpx.get(f"{environment.mesh_url}/readyz", timeout=5).status_code == 200
        return (
            ready
            and environment.listener(urls[part]) not in {None, killed}
            and world.infer("e.experiment", 1).status_code == 200
        )

    eventually(back, f"{part} is back", 10)
    assert world.split("mul10", 10) == {"add10": 10}
    assert values(world.infer("add10", 1)) == [11]
    assert _ready(world, "models", "add10")["status"] == "True"
    assert _ready(world, "experiments", "e")["status"] == "True"


def test_a_model_server_that_is_gone_shows_in_every_status(world: World) -> None:
    world.serve("mul10")
    world.experiment("e", [("mul10", 1)])
    world.environment.kill(world.environment.model_server_url)

    def told() -> bool:
        reasons = {
            _ready(world, plural, name)["reason"]
            for plural, name in (("models", "mul10"), ("experiments", "e"))
        }
        return reasons == {"ModelServerDown"}

    eventually(told, "both statuses tell that MLServer is gone", 5, pause=0.002)
    eventually(lambda: _ready(world, "models", "mul10")["status"] == "True", "the model is back")


def test_a_new_version_goes_live_without_a_failed_request(world: World) -> None:
    world.serve("mul10", "add10")
    world.experiment("e", [("mul10", 1), ("add10", 1)])
    with Callers(world.environment, "e.experiment") as callers:
        for factor in (3, 4, 5):
            _wait_for_more(callers)
            parameters = [{"name": "factor", "value": str(factor)}]
            assert world.model("mul10", parameters=parameters).message.endswith("serves")
        _wait_for_more(callers)
    assert not callers.failures
    assert len([route for route in callers.answered if route.startswith(":mul10_")]) == 4
    assert values(world.infer("mul10", 1)) == [5]


def test_an_old_version_answers_what_it_was_asked_before_it_is_unloaded(world: World) -> None:
    world.serve("slow")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(world.infer, "slow", 1) for _ in range(8)]
        eventually(lambda: any(each.running() for each in asked), "requests are under way")
        assert world.model("slow", parameters=[{"name": "term", "value": "1"}]).accepted
        answers = [each.result() for each in asked]
    assert [each.status_code for each in answers] == [200] * 8
    assert {values(each)[0] for each in answers} <= {3.0, 4.0}
    assert values(world.infer("slow", 1)) == [4]


def test_a_new_model_goes_live_and_leaves_without_a_failed_request_elsewhere(
    world: World,
) -> None:
    world.serve("mul10")
    with Callers(world.environment, "mul10") as callers:
        for _ in range(3):
            world.serve("mul2")
            assert values(world.infer("mul2", 1)) == [2]
            assert world.applier.delete("models", "mul2").accepted
            eventually(lambda: world.infer("mul2", 1).status_code == 404, "mul2 is gone")
    assert callers.answered
    assert not callers.failures


def test_a_new_version_that_cannot_be_loaded_leaves_the_old_one_serving(world: World) -> None:
    world.serve("mul10")
    route = world.route("mul10")
    outcome = world.model("mul10", "unloadable")
    assert "the weights are of another version" in outcome.message
    assert outcome.message.endswith(f"{route.strip(':')} keeps serving")
    status = world.applier.status("models", "mul10")
    assert apply.condition(status, "ModelReady")["reason"] == "ModelFailed"
    assert status["availableReplicas"] == 1
    assert world.route("mul10") == route
    assert world.model("mul10").message == f"{route.strip(':')} serves", "back without a reload"
    assert world.route("mul10") == route


def test_a_model_that_kills_the_model_server_does_not_keep_it_down(world: World) -> None:
    world.serve("mul10")
    outcome = world.model("deadly")
    assert "MLServer stopped while loading it" in outcome.message

    def serving() -> bool:
        up = httpx.get(f"{world.environment.mesh_url}/readyz", timeout=5).status_code == 200
        return up and world.infer("mul10", 1).status_code == 200

    eventually(serving, "the other model serves", 30)
    assert world.applier.delete("models", "deadly").accepted
    eventually(serving, "the other model serves after all", 30)


def test_a_thousand_changes_of_weights_fail_no_request(world: World, objects: httpx.Client) -> None:
    world.serve("mul10", "add10")
    world.experiment("e", [("mul10", 50), ("add10", 50)])
    with Callers(world.environment, "e.experiment") as callers:
        for step in range(1000):
            weights = [
                {"name": "mul10", "weight": step % 100},
                {"name": "add10", "weight": 100 - step % 100},
            ]
            patch = json.dumps({"spec": {"candidates": weights}})
            response = objects.patch("/experiments/e", content=patch, headers=MERGE_PATCH)
            assert response.status_code == 200, response.text
    assert callers.answered.total() > 100
    assert not callers.failures
    eventually(lambda: _ready(world, "experiments", "e")["status"] == "True", "ready")
    count, share = 600, 0.99
    spread = 4.5 * math.sqrt(count * share * (1 - share))
    assert abs(world.split("e.experiment", count)["mul10"] - count * share) < spread


def test_what_was_written_acts_when_the_answer_comes(world: World, objects: httpx.Client) -> None:
    world.serve("mul10", "add10")
    manifest = apply.experiment("now", [("mul10", 0), ("add10", 1)], default="mul10")
    for _ in range(20):
        created = objects.put("/experiments/now", json=manifest).json()
        assert apply.condition(created["status"], "Ready")["status"] == "True"
        assert values(world.infer("now.experiment", 1)) == [11]
        weights = [{"name": "mul10", "weight": 1}, {"name": "add10", "weight": 0}]
        patch = json.dumps({"spec": {"candidates": weights}})
        patched = objects.patch("/experiments/now", content=patch, headers=MERGE_PATCH).json()
        assert patched["status"]["observedGeneration"] == 2
        assert values(world.infer("now.experiment", 1)) == [10]
        assert objects.delete("/experiments/now").status_code == 200
        assert world.infer("now.experiment", 1).status_code == 404


def test_a_change_of_weights_keeps_the_experiment_ready(
    world: World, objects: httpx.Client
) -> None:
    world.serve("mul10", "add10")
    world.experiment("e", [("mul10", 1), ("add10", 1)])
    for weight in range(2, 60):
        candidates = [{"name": "mul10", "weight": weight}, {"name": "add10", "weight": 1}]
        patch = json.dumps({"spec": {"candidates": candidates}})
        shown = objects.patch("/experiments/e", content=patch, headers=MERGE_PATCH).json()
        assert apply.condition(shown["status"], "ExperimentReady")["status"] == "True"


@pytest.mark.parametrize("role", ["candidate", "default", "mirror"])
def test_a_model_that_an_experiment_uses_is_neither_removed_nor_broken(
    world: World, objects: httpx.Client, role: str
) -> None:
    world.serve("mul10", "add10")
    if role == "mirror":
        world.experiment("e", [("mul10", 1)], mirror=("add10", 5))
    else:
        default = "add10" if role == "default" else None
        world.experiment("e", [("mul10", 1), ("add10", 1)], default=default)
    refused = objects.delete("/models/add10")
    assert refused.status_code == 409
    assert "used by experiment e" in refused.json()["message"]
    for spec in (
        {"storageUri": "/nowhere"},
        {"requirements": ["triton"]},
        {"replicas": 0},
    ):
        patch = json.dumps({"spec": spec})
        refused = objects.patch("/models/add10", content=patch, headers=MERGE_PATCH)
        assert refused.status_code == 409, refused.text
        assert "used by experiment e" in refused.json()["message"]
    assert world.infer("add10", 1).status_code == 200
    assert objects.delete("/experiments/e").status_code == 200
    assert objects.delete("/models/add10").status_code == 200


def test_an_object_is_stamped_and_counted_as_kubernetes_does(
    world: World, objects: httpx.Client
) -> None:
    world.serve("mul10", "add10")
    manifest = apply.experiment("e", [("mul10", 1), ("add10", 1)])
    world.experiment("e", [("mul10", 1), ("add10", 1)])
    first = objects.get("/experiments/e").json()
    assert first["metadata"]["generation"] == 1
    same = objects.put("/experiments/e", json=manifest).json()
    assert same["metadata"] == first["metadata"], "an unchanged object is not a change"
    manifest["metadata"]["labels"] = {"team": "desk"}
    labelled = objects.put("/experiments/e", json=manifest).json()
    assert labelled["metadata"]["generation"] == 1
    assert labelled["metadata"]["resourceVersion"] != first["metadata"]["resourceVersion"]
    manifest["spec"]["candidates"][0]["weight"] = 9
    changed = objects.put("/experiments/e", json=manifest).json()
    assert changed["metadata"]["generation"] == 2
    assert changed["metadata"]["uid"] == first["metadata"]["uid"]
    listed = objects.get("/experiments").json()
    assert listed["kind"] == "ExperimentList"
    assert "e" in [each["metadata"]["name"] for each in listed["items"]]


def test_a_stale_resource_version_is_a_conflict(world: World, objects: httpx.Client) -> None:
    world.serve("mul10", "add10")
    world.experiment("e", [("mul10", 1), ("add10", 1)])
    read = objects.get("/experiments/e").json()
    patch = json.dumps({"spec": {"candidates": [{"name": "mul10", "weight": 5}]}})
    assert objects.patch("/experiments/e", content=patch, headers=MERGE_PATCH).status_code == 200
    stale = objects.put("/experiments/e", json=read)
    assert stale.status_code == 409
    assert stale.json()["reason"] == "Conflict"
    patch = json.dumps({"metadata": {"resourceVersion": read["metadata"]["resourceVersion"]}})
    stale = objects.patch("/experiments/e", content=patch, headers=MERGE_PATCH)
    assert stale.status_code == 409
    options = {"preconditions": {"resourceVersion": read["metadata"]["resourceVersion"]}}
    stale = objects.request("DELETE", "/experiments/e", json=options)
    assert stale.status_code == 409
    assert objects.get("/experiments/e").json()["spec"]["candidates"] == [
        {"name": "mul10", "weight": 5}
    ]


def test_what_exists_is_not_created_again_and_what_does_not_is_not_found(
    world: World, objects: httpx.Client
) -> None:
    world.serve("mul10")
    again = objects.post("/models", json=apply.model("mul10", world.artifacts["mul10"]))
    assert (again.status_code, again.json()["reason"]) == (409, "AlreadyExists")
    for method in ("GET", "DELETE", "PATCH"):
        content = b"{}" if method == "PATCH" else None
        missing = objects.request(method, "/models/ghost", content=content, headers=MERGE_PATCH)
        assert missing.status_code == 404
        assert missing.json() == {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": 'models.mlops.seldon.io "ghost" not found',
            "reason": "NotFound",
            "details": {"name": "ghost", "group": "mlops.seldon.io", "kind": "models"},
            "code": 404,
        }


def test_a_dry_run_checks_and_changes_nothing(world: World, objects: httpx.Client) -> None:
    world.serve("mul10")
    manifest = apply.experiment("dry", [("mul10", 1)])
    created = objects.put("/experiments/dry", params={"dryRun": "All"}, json=manifest)
    assert created.status_code == 201
    assert objects.get("/experiments/dry").status_code == 404
    world.experiment("e", [("mul10", 1)])
    patched = objects.patch(
        "/experiments/e",
        params={"dryRun": "All"},
        content=json.dumps({"spec": {"default": "mul10"}}),
        headers=MERGE_PATCH,
    )
    assert patched.json()["spec"]["default"] == "mul10"
    assert "default" not in objects.get("/experiments/e").json()["spec"]
    assert objects.delete("/experiments/e").status_code == 200
    deleted = objects.delete("/models/mul10", params={"dryRun": "All"})
    assert deleted.status_code == 200
    assert objects.get("/models/mul10").status_code == 200
    bad = apply.experiment("dry", [("mul10", 0)])
    assert objects.put("/experiments/dry", params={"dryRun": "All"}, json=bad).status_code == 422


_EXPERIMENT = apply.experiment("bad", [("a", 1)])


def _with(path: str, value: object) -> dict[str, Any]:
    """Change one field of the experiment."""
    changed: dict[str, Any] = json.loads(json.dumps(_EXPERIMENT))
    part: Any = changed
    *steps, last = path.split("/")
    for step in steps:
        part = part[int(step)] if step.isdecimal() else part[step]
    part[last] = value
    return changed


@pytest.mark.parametrize(
    ("content", "status", "said"),
    [
        (_with("spec/candidats", []), 400, 'did you mean "spec.candidates"?'),
        (_with("spec/candidates/0/wieght", 1), 400, 'unknown field "spec.candidates[0].wieght"'),
        (_with("metadata/lables", {}), 400, 'did you mean "metadata.labels"?'),
        (_with("spec/config", {}), 400, 'unknown field "spec.config"'),
        (_with("kind", "Model"), 400, "kind in the data (Model)"),
        (_with("apiVersion", "v1"), 400, "apiVersion in the data (v1)"),
        (_with("metadata/name", "other"), 400, "does not match the name on the URL"),
        (_with("metadata/namespace", "other"), 400, "does not match the namespace"),
        (_with("spec/candidates/0/weight", -1), 422, "spec.candidates[0].weight"),
        (_with("spec/candidates/0/weight", 0.5), 422, "spec.candidates[0].weight"),
        (_with("spec/candidates/0/weight", "1"), 422, "spec.candidates[0].weight"),
        (_with("spec/candidates/0/weight", True), 422, "spec.candidates[0].weight"),
        (_with("spec/candidates/0/weight", 2**31), 422, "spec.candidates[0].weight"),
        (_with("spec/candidates", None), 422, "spec.candidates"),
        (_with("spec", None), 422, "spec"),
        (_with("spec/mirror", {"name": "m", "percent": 101}), 422, "spec.mirror.percent"),
        (_with("spec/mirror", {"name": "m", "percent": -1}), 422, "spec.mirror.percent"),
        (_with("spec/resourceType", "server"), 422, "'model' or 'pipeline'"),
        ([], 400, "has to be a JSON object, got an array"),
        ("{", 400, "not valid JSON"),
        ('{"spec": NaN}', 400, "not valid JSON"),
        ("", 400, "not valid JSON"),
        ('{"spec":' + "[" * 100_000, 400, "not valid JSON"),
        (" " * 2**21, 413, "limit is 1048576 bytes"),
    ],
)
def test_a_bad_object_is_refused_with_what_and_where(
    objects: httpx.Client, content: object, status: int, said: str
) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    response = objects.put(
        "/experiments/bad", content=text, headers={"content-type": "application/json"}
    )
    assert response.status_code == status, response.text
    refused = response.json()
    assert (refused["kind"], refused["status"], refused["code"]) == ("Status", "Failure", status)
    assert said in refused["message"]
    assert objects.get("/experiments/bad").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "said"),
    [
        ("PUT", "/experiments/e", {"content-type": "text/plain"}, 415, "application/json"),
        ("PUT", "/experiments/e", {}, 415, "got none"),
        (
            "PATCH",
            "/models/m",
            {"content-type": "application/json-patch+json"},
            415,
            "application/merge-patch+json",
        ),
        ("POST", "/experiments/e", {"content-type": "application/json"}, 405, "PUT"),
        ("DELETE", "/experiments", {}, 405, "GET, POST"),
        ("GET", "/monitors", {}, 404, "models, experiments, pipelines, servers"),
        ("GET", "/experiments?watch=true&resourceVersion=x", {}, 400, "resourceVersion"),
        ("GET", "/experiments?labelSelector=a%3Db", {}, 400, "labelSelector"),
    ],
)
def test_a_request_that_makes_no_sense_says_what_would(  # noqa: PLR0913 - a table's columns
    objects: httpx.Client, method: str, path: str, headers: dict[str, str], status: int, said: str
) -> None:
    content = b"{}" if method in {"PUT", "POST", "PATCH"} else None
    response = objects.request(method, path, content=content, headers=headers)
    assert response.status_code == status, response.text
    assert said in response.json()["message"]


def test_another_namespace_is_not_found(environment: Environment) -> None:
    base = f"{environment.mesh_url}/apis/{seldon.API_VERSION}/namespaces"
    response = httpx.get(f"{base}/elsewhere/models")
    assert response.status_code == 404
    assert f'the only one is "{environment.namespace}"' in response.json()["message"]


def test_a_server_object_widens_what_models_may_require(
    world: World, objects: httpx.Client
) -> None:
    outcome = world.model("mul2", requirements=["lightgbm"])
    assert "requirements lightgbm" in outcome.message
    manifest = {
        "apiVersion": seldon.API_VERSION,
        "kind": "Server",
        "metadata": {"name": "forecasts"},
        "spec": {"serverConfig": "mlserver", "extraCapabilities": ["lightgbm"]},
    }
    try:
        assert objects.put("/servers/forecasts", json=manifest).status_code == 201
        ready = eventually(
            lambda: _ready(world, "models", "mul2")["status"] == "True", "the model is served"
        )
        assert ready
        server = objects.get("/servers/forecasts").json()
        assert server["status"]["loadedModels"] >= 1
        refused = objects.delete("/servers/forecasts")
        assert refused.status_code == 409
        assert "mul2" in refused.json()["message"]
    finally:
        world.applier.delete("models", "mul2")
        assert objects.delete("/servers/forecasts").status_code == 200


def test_the_mesh_measures_itself(world: World) -> None:
    world.serve("mul10", "add10")
    world.experiment("e", [("mul10", 30), ("add10", 70)])
    text = httpx.get(f"{world.environment.mesh_url}/metrics").text
    assert 'mesh_candidate_weight{candidate="add10",experiment="e"} 70.0' in text
    assert 'mesh_model_ready{model="mul10"} 1.0' in text
    assert "mesh_request_seconds_bucket" in text


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b"{", "application/json", 422),
        (json.dumps(body(1)).encode(), "text/plain", 415),
        (b'{"inputs": []}', "application/json", 400),
        (b'{"inputs": [{"name": "INPUT", "shape": [2], "datatype": "FP32", "data": [1]}]}',
         "application/json", 500),
    ],
)  # fmt: skip
def test_a_bad_request_is_answered_and_the_next_one_served(
    world: World, content: bytes, content_type: str, status: int
) -> None:
    world.serve("mul10")
    response = world.client.post(
        "/v2/models/mul10/infer", content=content, headers={"content-type": content_type}
    )
    assert response.status_code == status
    assert response.json()
    assert values(world.infer("mul10", 1)) == [10]


def test_a_model_that_was_removed_begins_again_at_its_first_version(world: World) -> None:
    world.serve("mul2")
    assert world.model("mul2", parameters=[{"name": "factor", "value": "4"}]).accepted
    assert world.route("mul2") == ":mul2_2:"
    assert world.applier.delete("models", "mul2").accepted
    eventually(lambda: world.infer("mul2", 1).status_code == 404, "mul2 is gone")

    def again() -> bool:
        world.serve("mul2")
        first = world.route("mul2") == ":mul2_1:"
        if not first:  # created while the old one was still being taken down
            world.applier.delete("models", "mul2")
        return first

    eventually(again, "the model begins again")


def test_a_model_of_several_replicas_is_served_by_the_one_server(world: World) -> None:
    outcome = world.model("mul2", replicas=3)
    assert outcome.message.endswith("with 1 of 3 replicas: this machine has one model server")
    assert values(world.infer("mul2", 1)) == [2]
