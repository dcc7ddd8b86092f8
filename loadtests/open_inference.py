"""The Open Inference Protocol over gRPC: its messages, and tensors in and out of them.

The messages are declared here, because MLServer's are installed in another environment.
"""

import dataclasses
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    json_format,
    message_factory,
)

SERVICE = "/inference.GRPCInferenceService"

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
        ("bytes_contents", "*bytes", 8),
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
    package = "bellwether"  # names on the wire are those of the service; messages have none
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


@dataclasses.dataclass(frozen=True, slots=True)
class Output:
    """A tensor of an answer: FP64 as floats, BYTES as texts, in row-major order."""

    shape: list[int]
    data: list[Any]


def request(model: str, inputs: Sequence[Mapping[str, Any]]) -> bytes:
    """Write an inference request of tensors as REST has them, FP64 and BYTES."""
    written = messages["ModelInferRequest"](model_name=model)
    for each in inputs:
        tensor = written.inputs.add(
            name=each["name"], datatype=each["datatype"], shape=each["shape"]
        )
        if each["datatype"] == "BYTES":
            tensor.contents.bytes_contents.extend(text.encode() for text in each["data"])
        else:
            tensor.contents.fp64_contents.extend(each["data"])
    found: bytes = written.SerializeToString()
    return found


def outputs(response: Any) -> dict[str, Output]:
    """Read the tensors of an answer, written out or raw; raises ValueError for what is neither."""
    raw = list(response.raw_output_contents)
    read = {}
    for place, tensor in enumerate(response.outputs):
        texts = tensor.datatype == "BYTES"
        data: list[Any]
        if raw:
            data = _texts(raw[place]) if texts else _numbers(raw[place], tensor.datatype)
        elif texts:
            data = [each.decode() for each in tensor.contents.bytes_contents]
        else:
            data = list(tensor.contents.fp64_contents or tensor.contents.fp32_contents)
        read[tensor.name] = Output(list(tensor.shape), data)
    return read


def _numbers(content: bytes, datatype: str) -> list[float]:
    size, letter = {"FP32": (4, "f"), "FP64": (8, "d")}[datatype]
    return list(struct.unpack(f"<{len(content) // size}{letter}", content))


def _texts(content: bytes) -> list[str]:
    found, place = [], 0
    while place < len(content):
        (length,) = struct.unpack_from("<I", content, place)
        place += 4
        found.append(content[place : place + length].decode())
        place += length
    return found
