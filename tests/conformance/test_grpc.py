"""gRPC through the gateway answers as Seldon does."""

import struct
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from tests.conformance import apply
from tests.conformance.environment import Environment
from tests.conformance.open_inference import Client, messages

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def client(
    environment: Environment, applier: apply.Applier, artifacts: dict[str, str]
) -> Iterator[Client]:
    names = ("mul10", "add10", "boom", "streaming")
    for name in names:
        assert applier.apply(apply.model(name, artifacts[name])).accepted
    split = apply.experiment("e1", [("mul10", 40), ("add10", 60)], default="mul10")
    assert applier.apply(split).accepted
    with Client(environment.gateway_address) as client:
        yield client
    applier.delete("experiments", "e1")
    for name in names:
        applier.delete("models", name)


def _to(model: str, *more: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    return (("seldon-model", model), *more)


def _model(route: str) -> str:
    return route.strip(":").rsplit("_", 1)[0]


def test_the_header_picks_the_model(client: Client) -> None:
    response, before, after = client.infer(1, 2, metadata=_to("add10"))
    assert list(response.outputs[0].contents.fp32_contents) == [11, 12]
    assert list(response.outputs[0].shape) == [2, 1]
    assert response.id == "g1"
    assert response.model_version == "1"
    assert before["x-seldon-route"] == f":{response.model_name}:"
    assert _model(before["x-seldon-route"]) == "add10"
    assert after["ce-modelid"] == response.model_name
    assert after["ce-requestid"] == "g1"


def test_a_request_id_is_kept_and_made_where_there_is_none(client: Client) -> None:
    _, _, after = client.infer(1, metadata=_to("add10", ("x-request-id", "mine")))
    assert after["x-request-id"] == "mine"
    _, _, after = client.infer(1, metadata=_to("add10"))
    assert len(after["x-request-id"]) > 8


def test_raw_contents_are_answered_with_raw_contents(client: Client) -> None:
    raw = struct.pack("<3f", 1, 2, 3)
    response, _, _ = client.infer(raw=raw, metadata=_to("add10"))
    assert struct.unpack("<3f", response.raw_output_contents[0]) == (11, 12, 13)


def test_a_stream_is_answered_by_the_model_that_the_header_picks(client: Client) -> None:
    answers = client.stream([(1, 2), (3,), (4,)], _to("streaming"))
    assert answers == [[10, 20], [30], [40]]


def test_an_experiment_is_split_and_sticks_to_a_route(client: Client) -> None:
    routes = {
        _model(client.infer(1, metadata=_to("e1.experiment"))[1]["x-seldon-route"])
        for _ in range(60)
    }
    assert routes == {"mul10", "add10"}
    _, before, _ = client.infer(1, metadata=_to("add10"))
    route = before["x-seldon-route"]
    for _ in range(20):
        sticky = _to("e1.experiment", ("x-seldon-route", route))
        assert client.infer(1, metadata=sticky)[1]["x-seldon-route"] == route


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ((("seldon-model", "nosuch"),), grpc.StatusCode.UNIMPLEMENTED),
        ((), grpc.StatusCode.UNIMPLEMENTED),
        (
            (("seldon-model", "e1.experiment"), ("x-seldon-route", ":mul10_999:")),
            grpc.StatusCode.UNIMPLEMENTED,
        ),
    ],
)
def test_what_is_not_served_is_unimplemented_and_says_what_was_asked(
    client: Client, metadata: tuple[tuple[str, str], ...], code: grpc.StatusCode
) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        client.infer(1, metadata=metadata)
    error: Any = refused.value
    assert error.code() == code
    name = dict(metadata).get("seldon-model", "")
    assert name in error.details()
    assert "/models" in error.details()


def test_a_model_that_refuses_a_request_is_an_invalid_argument(client: Client) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        client.infer(1, tensor="WRONG", metadata=_to("add10"))
    error: Any = refused.value
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    wanted = "mlserver.errors.InferenceError: tensor INPUT missing, got ['WRONG']"
    assert error.details() == wanted
    assert dict(error.trailing_metadata())["x-request-id"]


def test_a_model_that_breaks_is_an_internal_error_told_once(client: Client) -> None:
    calls = []
    for _ in range(2):
        with pytest.raises(grpc.RpcError) as refused:
            client.infer(1, metadata=_to("boom"))
        error: Any = refused.value
        assert error.code() == grpc.StatusCode.INTERNAL
        text, _, count = error.details().rpartition("=")
        assert text == "builtins.ValueError: boom: calls"
        calls.append(int(count))
    assert calls[1] == calls[0] + 1, "a failed request must not be sent again"


def test_metadata_and_readiness_of_a_model_can_be_asked(client: Client) -> None:
    request = messages["ModelMetadataRequest"](name="x")
    response, _, _ = client.call("ModelMetadata", request, _to("add10"))
    assert response.name.rsplit("_", 1)[0] == "add10"
    ready, _, _ = client.call("ModelReady", messages["ModelReadyRequest"](name="x"), _to("add10"))
    assert ready.ready


def test_a_caller_cannot_unload_a_model(client: Client) -> None:
    response, _, _ = client.infer(1, metadata=_to("add10"))
    request = messages["RepositoryModelUnloadRequest"](model_name=response.model_name)
    with pytest.raises(grpc.RpcError) as refused:
        client.call("RepositoryModelUnload", request, _to("add10"))
    error: Any = refused.value
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED
    assert client.infer(1, metadata=_to("add10"))[0].id == "g1"


def test_a_message_that_is_too_large_is_refused_and_the_next_one_served(client: Client) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        client.infer(raw=bytes(17 * 2**20), metadata=_to("add10"))
    error: Any = refused.value
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger than max" in error.details()
    assert client.infer(1, metadata=_to("add10"))[0].id == "g1"
