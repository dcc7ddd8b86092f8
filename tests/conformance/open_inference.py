"""The Open Inference Protocol over gRPC, as far as the suite speaks it."""

from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import grpc
from google.protobuf import json_format  # type: ignore[import-untyped] # no stubs

from loadtests import open_inference

_SERVICE = open_inference.SERVICE
messages = open_inference.messages
message = open_inference.message


def fields(message: Any) -> dict[str, Any]:
    """Read the fields of a message, named as JSON names them."""
    read: dict[str, Any] = json_format.MessageToDict(message)
    return read


@dataclass(frozen=True)
class Answer:
    """How a call ended; metadata as pairs, since a name may come several times."""

    code: str
    message: str
    response: Any
    initial: tuple[tuple[str, str], ...]
    trailing: tuple[tuple[str, str], ...]


class Client:
    """Calls a gateway."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(
            address, options=[("grpc.max_send_message_length", -1)]
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._channel.close()

    def call(
        self, method: str, request: Any, metadata: tuple[tuple[str, str], ...] = ()
    ) -> tuple[Any, dict[str, str], dict[str, str]]:
        """Call a method; gives back the answer, and what came before and after it as metadata.

        Raises `grpc.RpcError`.
        """
        rpc = self._channel.unary_unary(
            f"{_SERVICE}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=messages[f"{method}Response"].FromString,
        )
        response, call = rpc.with_call(request, metadata=metadata, timeout=30)
        return response, dict(call.initial_metadata()), dict(call.trailing_metadata())

    def answer(self, request: Any, metadata: tuple[tuple[str, str], ...]) -> Answer:
        """Ask for an inference, and tell how it ended, whichever way that was."""
        rpc = self._channel.unary_unary(
            f"{_SERVICE}/ModelInfer",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=messages["ModelInferResponse"].FromString,
        )
        response, call = None, None
        try:
            response, call = rpc.with_call(request, metadata=metadata, timeout=30)
        except grpc.RpcError as error:
            call = error
        return Answer(
            call.code().name,
            call.details() or "",
            response,
            tuple((each.key, each.value) for each in call.initial_metadata() or ()),
            tuple((each.key, each.value) for each in call.trailing_metadata() or ()),
        )

    def stream(
        self, batches: Iterable[tuple[float, ...]], metadata: tuple[tuple[str, str], ...]
    ) -> list[list[float]]:
        """Send a stream of requests, and give back the values of every answer.

        Raises `grpc.RpcError`.
        """
        rpc = self._channel.stream_stream(
            f"{_SERVICE}/ModelStreamInfer",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=messages["ModelInferResponse"].FromString,
        )
        requests = (self._request(batch) for batch in batches)
        answers = rpc(requests, metadata=metadata, timeout=30)
        return [list(answer.outputs[0].contents.fp32_contents) for answer in answers]

    def _request(self, values: tuple[float, ...], tensor: str = "INPUT") -> Any:
        request = messages["ModelInferRequest"](model_name="x", id="g1")
        tensor_in = request.inputs.add(name=tensor, datatype="FP32", shape=[len(values)])
        tensor_in.contents.fp32_contents.extend(values)
        return request

    def infer(
        self,
        *values: float,
        tensor: str = "INPUT",
        raw: bytes | None = None,
        metadata: tuple[tuple[str, str], ...] = (),
    ) -> tuple[Any, dict[str, str], dict[str, str]]:
        """Ask for an inference over one FP32 tensor, written out or raw."""
        request = self._request(values, tensor)
        if raw is not None:
            request.inputs[0].shape[:] = [len(raw) // 4]
            request.inputs[0].ClearField("contents")
            request.raw_input_contents.append(raw)
        return self.call("ModelInfer", request, metadata)
