"""Limits that a stack may set, in an environment of its own with small ones."""

import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import pytest

from tests.conformance import apply
from tests.conformance.environment import started, write_artifact
from tests.conformance.open_inference import Client
from tests.conformance.worlds import World, values

pytestmark = pytest.mark.stack

LIMIT = 64 * 1024


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("limits")
    artifacts = {
        each.name: str(each)
        for each in (
            write_artifact(folder / "artifacts" / "mul10", factor=10),
            write_artifact(folder / "artifacts" / "slow", factor=3, delay=5),
        )
    }
    limits = {"request_timeout": 1.5, "max_request_bytes": LIMIT, "namespace": "desk"}
    with (
        started(folder, **limits) as environment,
        World(environment, apply.MeshApplier(environment), artifacts) as own,
    ):
        own.serve("mul10", "slow")
        own.pipeline("behind", ["mul10", "slow"], "mul10", "slow")
        yield own


def test_an_inference_that_takes_too_long_ends_in_a_504_that_names_the_limit(world: World) -> None:
    before = time.monotonic()
    response = world.infer("slow", 1)
    assert response.status_code == 504
    assert time.monotonic() - before < 3, "not asked again"
    assert "request_timeout" in response.json()["error"]
    assert "1.5 s" in response.json()["error"]
    assert values(world.infer("mul10", 1)) == [10]


def test_a_pipeline_that_takes_too_long_ends_in_a_504_that_names_the_limit(world: World) -> None:
    before = time.monotonic()
    response = world.infer("behind.pipeline", 1)
    assert response.status_code == 504
    assert time.monotonic() - before < 3
    assert "1.5 s" in response.json()["error"]
    with Client(world.environment.gateway_address) as client:
        with pytest.raises(grpc.RpcError) as refused:
            client.infer(1, metadata=(("seldon-model", "behind.pipeline"),))
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


def test_a_pipelines_body_above_the_limit_is_refused(world: World) -> None:
    content = b" " * (LIMIT + 1)
    headers = {"content-type": "application/json"}
    for sent in (content, iter([content])):
        response = world.client.post("/v2/pipelines/behind/infer", content=sent, headers=headers)
        assert response.status_code == 413
        assert response.json()["limit_bytes"] == LIMIT


def test_a_body_at_the_limit_is_read_and_one_above_it_refused(world: World) -> None:
    content = b'{"inputs":[{"name":"INPUT","shape":[1],"datatype":"FP32","data":[1]}]}'
    headers = {"content-type": "application/json"}
    for size, status in ((LIMIT, 200), (LIMIT + 1, 413)):
        padded = content.ljust(size)
        response = world.client.post("/v2/models/mul10/infer", content=padded, headers=headers)
        assert response.status_code == status, response.text
    assert response.json() == {
        "error": f"the body has {LIMIT + 1} bytes, the limit is {LIMIT}: send fewer rows at once, "
        "or gRPC with raw contents, or raise max_request_bytes",
        "limit_bytes": LIMIT,
    }


def test_a_grpc_message_above_the_limit_is_refused(world: World) -> None:
    with Client(world.environment.gateway_address) as client:
        metadata = (("seldon-model", "mul10"),)
        with pytest.raises(grpc.RpcError, match=f"larger than max.* {LIMIT}"):
            client.infer(raw=bytes(LIMIT + 4), metadata=metadata)
        assert client.infer(1, metadata=metadata)[0].id == "g1"


def test_the_namespace_is_the_one_that_was_set(world: World) -> None:
    base = f"{world.environment.mesh_url}/apis/mlops.seldon.io/v1alpha1/namespaces"
    listed = httpx.get(f"{base}/desk/models").json()["items"]
    assert {each["metadata"]["namespace"] for each in listed} == {"desk"}
    assert httpx.get(f"{base}/bellwether/models").status_code == 404
