"""Exchanges beyond the recorded ones: what follows from how Seldon writes its routes."""

import gzip
import json
from collections.abc import Iterator

import pytest

from tests.conformance import apply
from tests.conformance.environment import eventually
from tests.conformance.worlds import World, body, values

pytestmark = pytest.mark.stack

LIMIT = 16 * 2**20


def test_two_experiments_share_candidates_and_split_by_their_own_weights(world: World) -> None:
    world.serve("mul10", "add10", "mul2")
    world.experiment("left", [("mul10", 0), ("add10", 1)])
    world.experiment("right", [("add10", 0), ("mul10", 1), ("mul2", 0)])
    assert world.split("left.experiment", 30) == {"add10": 30}
    assert world.split("right.experiment", 30) == {"mul10": 30}


def test_a_default_that_moves_leaves_the_old_model_whole(world: World) -> None:
    world.serve("mul10", "add10")
    world.experiment("e", [("mul10", 0), ("add10", 1)], default="mul10")
    assert world.split("mul10", 10) == {"add10": 10}
    world.experiment("e", [("mul10", 1), ("add10", 0)], default="add10")
    assert world.split("mul10", 10) == {"mul10": 10}
    assert world.split("add10", 10) == {"mul10": 10}


def test_a_baseline_that_is_given_up_can_be_taken_by_another(world: World) -> None:
    world.serve("mul10", "add10")
    world.experiment("one", [("mul10", 1), ("add10", 1)], default="mul10")
    refused = world.experiment("two", [("mul10", 1), ("add10", 1)], default="mul10")
    assert refused == apply.Outcome(
        accepted=False,
        message="Resource mul10 already in experiment two as a baseline. "
        "A model or pipeline can only appear in one experiment as a baseline",
    )
    assert world.experiment("one", [("mul10", 1), ("add10", 1)]).accepted
    assert world.experiment("two", [("mul10", 0), ("add10", 1)], default="mul10").accepted
    assert world.split("mul10", 10) == {"add10": 10}


def test_an_experiment_of_one_candidate_sticks_to_nothing(world: World) -> None:
    world.serve("mul10")
    world.experiment("solo", [("mul10", 1)])
    route = world.route("solo.experiment")
    assert world.infer("solo.experiment", 1, x_seldon_route=route).status_code == 404


def test_a_single_candidate_with_a_large_weight_answers(world: World) -> None:
    world.serve("mul10")
    world.experiment("solo", [("mul10", 2**31 - 1)])
    assert world.split("solo.experiment", 5) == {"mul10": 5}


def test_weights_that_envoy_could_not_add_up_are_refused(world: World) -> None:
    world.serve("mul10", "add10", "mul2")
    largest = 2**31 - 1
    candidates = [("mul10", largest), ("add10", largest), ("mul2", largest)]
    refused = world.experiment("heavy", candidates)
    assert not refused.accepted
    assert "4294967295" in refused.message


def test_stickiness_needs_a_candidate_but_no_weight(world: World) -> None:
    world.serve("mul10", "add10", "mul2")
    world.experiment("e", [("mul10", 1), ("add10", 0)])
    for name, status in (("add10", 200), ("mul2", 404)):
        route = world.route(name)
        response = world.infer("e.experiment", 1, x_seldon_route=route)
        assert response.status_code == status
        if status == 200:
            assert response.headers["x-seldon-route"] == route


def test_a_new_version_of_a_candidate_takes_its_place(world: World) -> None:
    world.serve("mul10", "add10")
    world.experiment("e", [("mul10", 1), ("add10", 0)], default="add10")
    before = world.route("e.experiment")
    assert world.model("mul10", parameters=[{"name": "factor", "value": "7"}]).accepted
    after = world.route("e.experiment")
    assert after != before
    assert values(world.infer("add10", 1)) == [7]
    assert world.infer("e.experiment", 1, x_seldon_route=before).status_code == 404
    assert values(world.infer("e.experiment", 1, x_seldon_route=after)) == [7]


def test_a_candidate_that_arrives_later_starts_the_experiment(world: World) -> None:
    world.serve("mul10")
    waiting = world.experiment("e", [("mul10", 0), ("add10", 1)], default="mul10")
    reason = "no live replica for model add10 for model route e.experiment"
    assert waiting == apply.Outcome(accepted=True, message=reason)
    assert world.infer("e.experiment", 1).status_code == 404
    assert world.split("mul10", 5) == {"mul10": 5}
    world.serve("add10")

    def ready() -> bool:
        status = world.applier.status("experiments", "e")
        return bool(apply.condition(status, "ExperimentReady")["status"] == "True")

    eventually(ready, "the experiment is ready")
    assert world.split("e.experiment", 5) == {"add10": 5}
    assert world.split("mul10", 5) == {"add10": 5}


def test_a_mirror_that_is_missing_is_told_apart_from_candidates(world: World) -> None:
    world.serve("mul10")
    world.experiment("e", [("mul10", 1)], mirror=("ghost", 10))
    status = world.applier.status("experiments", "e")
    found = {
        kind: apply.condition(status, kind)["status"] for kind in ("CandidatesReady", "MirrorReady")
    }
    assert found == {"CandidatesReady": "True", "MirrorReady": "False"}
    assert world.infer("e.experiment", 1).status_code == 404


@pytest.mark.parametrize(("percent", "least", "most"), [(100, 100, 100), (50, 25, 75), (0, 0, 0)])
def test_a_mirror_gets_its_percentage_of_the_requests(
    world: World, percent: int, least: int, most: int
) -> None:
    world.serve("mul10", "add10", "counting")
    world.experiment("e", [("mul10", 1), ("add10", 1)], mirror=("counting", percent))
    before = values(world.infer("counting", 1))[0]
    routes = world.split("e.experiment", 100)
    assert set(routes) == {"mul10", "add10"}
    seen: list[float] = []

    def copies() -> bool:
        seen.append(values(world.infer("counting", 1))[0] - before - 1 - len(seen))
        return least <= seen[-1] <= most and len(seen) > 1 and seen[-1] == seen[-2]

    eventually(copies, f"{percent} % of 100 requests reach the mirror", 5, pause=0.1)


def test_what_sticks_to_a_route_is_not_mirrored(world: World) -> None:
    world.serve("mul10", "add10", "counting")
    world.experiment("e", [("mul10", 1), ("add10", 1)], mirror=("counting", 100))
    route = world.route("mul10")
    before = values(world.infer("counting", 1))[0]
    for _ in range(20):
        assert world.infer("e.experiment", 1, x_seldon_route=route).status_code == 200
    # A copy is sent before its original is answered, and this one comes after all of them.
    assert values(world.infer("counting", 1))[0] == before + 1


def test_a_large_request_is_mirrored_whole(world: World) -> None:
    world.serve("mul2", "counting")
    world.experiment("e", [("mul2", 1)], mirror=("counting", 100))
    before = values(world.infer("counting", 1))[0]
    many = [1.5] * 1_000_000
    assert len(values(world.infer("e.experiment", *many))) == len(many)
    asked = 0

    def copied() -> bool:
        nonlocal asked
        asked += 1
        return values(world.infer("counting", 1))[0] == before + 1 + asked

    eventually(copied, "the copy arrives")


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/v2/models/mul10/versions/7/infer", {}, 200),
        ("/v2/models/mul10/infer?verbose=1", {}, 200),
        ("/v2/models/mul10/infer", {"seldon-model": ""}, 200),
        ("/v2/models/mul1/infer", {}, 404),
        ("/v2/models/mul100/infer", {}, 404),
        ("/v2/models/mul10/infer", {"x-seldon-route": ":mul10_1:"}, 404),
        ("/v2x/models/mul10/infer", {"seldon-model": "mul10"}, 404),
        ("/v2/models/mul10/nosuch", {}, 404),
        ("/v2/models/e.experiment/infer", {"seldon-model": "e.experiment"}, 404),
        ("/v2/pipelines/mul10/infer", {}, 404),
        ("/v2/models/mul10/infer", {"seldon-model": "mul10.pipeline"}, 404),
        ("/v2/models/nosuch/infer", {"seldon-model": "e.experiment"}, 200),
        ("/v2/repository/models/mul10_1/unload", {"seldon-model": "mul10"}, 404),
        ("/v2/repository/index", {}, 404),
        ("/v2/models/mul10/../../repository/index", {}, 404),
        ("/v2/models/mul10/..%2f..%2frepository/index", {}, 404),
        ("/v2/models/other/infer", {"seldon-internal-model": "mul10_1"}, 404),
    ],
)
def test_a_path_and_headers_select_what_seldon_selects(
    world: World, path: str, headers: dict[str, str], status: int
) -> None:
    world.serve("mul10")
    world.experiment("e", [("mul10", 1)])
    response = world.client.post(path, json=body(1), headers=headers)
    assert response.status_code == status, response.text
    if status == 200:
        assert values(response) == [10]
    else:
        said = response.json()
        assert said.get("error") or said.get("detail")


def test_a_callers_own_internal_header_changes_nothing(world: World) -> None:
    world.serve("mul10", "add10")
    other = world.route("add10").strip(":")
    response = world.infer("mul10", 1, seldon_internal_model=other)
    assert values(response) == [10]


def test_a_model_that_cannot_be_loaded_says_why_and_is_not_routed(world: World) -> None:
    outcome = world.model("unloadable")
    assert "RuntimeError: the weights are of another version" in outcome.message
    status = world.applier.status("models", "unloadable")
    assert apply.condition(status, "ModelReady")["reason"] == "ModelFailed"
    assert world.infer("unloadable", 1).status_code == 404


@pytest.mark.parametrize(
    ("spec", "reason", "said"),
    [
        (
            {"requirements": ["triton"]},
            "ScheduleFailed",
            "Failed to schedule model as no matching servers are available",
        ),
        (
            {"server": "elsewhere"},
            "ScheduleFailed",
            "Failed to schedule model as no matching servers are available",
        ),
        ({"storageUri": "/nope/x"}, "ModelFailed", "there is no folder /nope/x"),
        ({"storageUri": "gs://bucket/model"}, "ModelFailed", "this machine only"),
        ({"storageUri": "/usr"}, "ModelFailed", "no model-settings.json"),
    ],
)
def test_a_model_that_cannot_be_placed_is_taken_and_says_why(
    world: World, spec: dict[str, object], reason: str, said: str
) -> None:
    outcome = world.model("lost", "mul10", **spec)
    assert outcome.accepted
    assert said in outcome.message
    condition = apply.condition(world.applier.status("models", "lost"), "ModelReady")
    assert (condition["status"], condition["reason"]) == ("False", reason)
    assert world.infer("lost", 1).status_code == 404


@pytest.mark.parametrize("name", ["a.b", "Abc", "a_b", "-a", "a-", "ä"])
def test_names_that_seldon_refuses_are_refused_in_its_words(world: World, name: str) -> None:
    said = f"Model {name} does not have a valid name - it must be alphanumeric and not contains dots (.)"
    assert world.model(name, "mul10") == apply.Outcome(accepted=False, message=said)


def _chunks(size: int) -> Iterator[bytes]:
    block = b" " * 2**16
    for _ in range(size // len(block)):
        yield block


@pytest.mark.parametrize("kind", ["announced", "chunked", "compressed"])
def test_a_body_that_is_too_large_is_refused_and_the_next_one_served(
    world: World, kind: str
) -> None:
    world.serve("mul10")
    headers = {"content-type": "application/json"}
    if kind == "announced":
        content: bytes | Iterator[bytes] = b" " * 100_000_000
    elif kind == "chunked":
        content = _chunks(LIMIT + 2**20)
    else:
        content = gzip.compress(b" " * (LIMIT + 2**20))
        headers["content-encoding"] = "gzip"
    response = world.client.post("/v2/models/mul10/infer", content=content, headers=headers)
    assert response.status_code == 413
    said = response.json()
    assert said["limit_bytes"] == LIMIT
    assert "max_request_bytes" in said["error"]
    assert values(world.infer("mul10", 1)) == [10]


def test_a_compressed_request_is_understood_and_a_broken_one_named(world: World) -> None:
    world.serve("mul10")
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    packed = gzip.compress(json.dumps(body(2)).encode())
    path = "/v2/models/mul10/infer"
    assert values(world.client.post(path, content=packed, headers=headers)) == [20]
    for broken in (b"not gzip", packed[:-9]):
        response = world.client.post(path, content=broken, headers=headers)
        assert response.status_code == 400
        assert "not valid gzip" in response.json()["error"]
