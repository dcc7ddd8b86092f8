"""The Open Inference Protocol over gRPC, as far as the suite speaks it.

The messages are declared here, because MLServer's are installed in another environment.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import grpc
from google.protobuf import (  # type: ignore[import-untyped] # no stubs
    descriptor_pb2,
    descriptor_pool,
    json_format,
    message_factory,
)

_SERVICE = "/inference.GRPCInferenceService"
_Field = descriptor_pb2.FieldDescriptorProto
# Marks: * for a list, % for a map from text.
_SCALARS = {
    "string": _Field.TYPE_STRING,
    "bytes": _Field.TYPE_BYTES,
    "bool": _Field.TYPE_BOOL,
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
    "float": _Field.TYPE_FLOAT,
    "double": _Field.TYPE_DOUBLE,
}
_MESSAGES: dict[str, tuple[tuple[str, str, int], ...]] = {
    "InferParameter": (
        ("bool_param", "bool", 1),
        ("int64_param", "int64", 2),
        ("string_param", "string", 3),
    ),
    "InferTensorContents": (
        ("int_contents", "*int32", 2),
        ("fp32_contents", "*float", 6),
        ("fp64_contents", "*double", 7),
    ),
    "InferInputTensor": (
        ("name", "string", 1),
        ("datatype", "string", 2),
        ("shape", "*int64", 3),
        ("parameters", "%InferParameter", 4),
        ("contents", "InferTensorContents", 5),
    ),
    "InferOutputTensor": (
        ("name", "string", 1),
        ("datatype", "string", 2),
        ("shape", "*int64", 3),
        ("parameters", "%InferParameter", 4),
        ("contents", "InferTensorContents", 5),
    ),
    "ModelInferRequest": (
        ("model_name", "string", 1),
        ("model_version", "string", 2),
        ("id", "string", 3),
        ("inputs", "*InferInputTensor", 5),
        ("raw_input_contents", "*bytes", 7),
    ),
    "ModelInferResponse": (
        ("model_name", "string", 1),
        ("model_version", "string", 2),
        ("id", "string", 3),
        ("outputs", "*InferOutputTensor", 5),
        ("raw_output_contents", "*bytes", 6),
    ),
    "ModelMetadataRequest": (("name", "string", 1), ("version", "string", 2)),
    "ModelMetadataResponse": (("name", "string", 1), ("platform", "string", 3)),
    "ModelReadyRequest": (("name", "string", 1), ("version", "string", 2)),
    "ModelReadyResponse": (("ready", "bool", 1),),
    "RepositoryModelUnloadRequest": (("repository_name", "string", 1), ("model_name", "string", 2)),
    "RepositoryModelUnloadResponse": (),
}


def _declared() -> dict[str, Any]:
    package = "conformance"  # names on the wire are those of the service; messages have none
    file = descriptor_pb2.FileDescriptorProto(
        name="open_inference.proto", package=package, syntax="proto3"
    )
    for name, declared in _MESSAGES.items():
        written = file.message_type.add(name=name)
        for field, kind, number in declared:
            if kind.startswith("%"):  # a map from text: repeated entries on the wire
                entry = written.nested_type.add(name=f"{field.title()}Entry")
                entry.options.map_entry = True
                _field(entry, package, "key", "string", 1)
                _field(entry, package, "value", kind.removeprefix("%"), 2)
                kind = f"*{name}.{entry.name}"  # noqa: PLW2901 - what the mark stands for
            _field(written, package, field, kind, number)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))
        for name in _MESSAGES
    }


def _field(message: Any, package: str, name: str, kind: str, number: int) -> None:
    repeated = kind.startswith("*")
    kind = kind.removeprefix("*")
    added = message.field.add(
        name=name,
        number=number,
        label=_Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL,
    )
    if kind in _SCALARS:
        added.type = _SCALARS[kind]
    else:
        added.type = _Field.TYPE_MESSAGE
        added.type_name = f".{package}.{kind}"


messages = _declared()


def message(kind: str, fields: dict[str, Any]) -> Any:
    """Write a message from its fields, named as JSON names them: `modelName`."""
    return json_format.ParseDict(fields, messages[kind]())


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
