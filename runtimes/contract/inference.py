"""Steps' inputs and outputs as they are in Kafka: the inference protocol's messages, version 2.

A request and an answer have their tensors in the same field, so one message reads both.
The messages are declared here, because MLServer's are installed in the serving environment alone.
"""

import dataclasses
import math
from typing import Any

from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message,
    message_factory,
)

_Field = descriptor_pb2.FieldDescriptorProto
_PACKAGE = "bellwether"
_CONTENTS = (
    ("bool_contents", _Field.TYPE_BOOL),
    ("int_contents", _Field.TYPE_INT32),
    ("int64_contents", _Field.TYPE_INT64),
    ("uint_contents", _Field.TYPE_UINT32),
    ("uint64_contents", _Field.TYPE_UINT64),
    ("fp32_contents", _Field.TYPE_FLOAT),
    ("fp64_contents", _Field.TYPE_DOUBLE),
    ("bytes_contents", _Field.TYPE_BYTES),
)
"""Fields 1 to 8 of `InferTensorContents`."""


class InvalidMessage(ValueError):  # noqa: N818  named after the message, as readers count it
    """A record's value that is no message of the protocol."""


@dataclasses.dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor; `data` is flat, texts are decoded."""

    datatype: str
    shape: tuple[int, ...]
    data: list[Any]


def topic(namespace: str, kind: str, name: str, side: str) -> str:
    """Name Seldon's topic of a `model` or `pipeline`; `side` is `inputs` or `outputs`."""
    return f"seldon.{namespace}.{kind}.{name}.{side}"


def errors(namespace: str) -> str:
    """Name Seldon's topic of the errors of all models."""
    return f"seldon.{namespace}.errors.errors"


def tensors(value: bytes | None) -> dict[str, Tensor]:
    """Read the tensors of a request or an answer, by name; raise `InvalidMessage`."""
    read = _MESSAGE()
    try:
        read.ParseFromString(value or b"")
    except message.DecodeError as error:
        raise InvalidMessage(f"no message of the inference protocol: {error}") from error
    return {each.name: _tensor(each) for each in read.tensors}


def _tensor(given: Any) -> Tensor:
    for field, _ in _CONTENTS:
        data = list(getattr(given.contents, field))
        if data:
            break
    else:
        data = []
    if given.datatype == "BYTES":
        data = [each.decode(errors="replace") for each in data]
    shape = tuple(given.shape)
    if given.datatype != "BYTES" and len(data) != math.prod(shape):
        raise InvalidMessage(f"tensor {given.name!r}: shape {shape}, but {len(data)} values")
    return Tensor(given.datatype, shape, data)


def _declared() -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name="inference.proto", package=_PACKAGE, syntax="proto3"
    )
    contents = file.message_type.add(name="Contents")
    for number, (name, kind) in enumerate(_CONTENTS, start=1):
        contents.field.add(name=name, number=number, type=kind, label=_Field.LABEL_REPEATED)
    tensor = file.message_type.add(name="Tensor")
    for name, number, kind in (
        ("name", 1, _Field.TYPE_STRING),
        ("datatype", 2, _Field.TYPE_STRING),
    ):
        tensor.field.add(name=name, number=number, type=kind, label=_Field.LABEL_OPTIONAL)
    tensor.field.add(name="shape", number=3, type=_Field.TYPE_INT64, label=_Field.LABEL_REPEATED)
    _message(tensor, "contents", 5, "Contents", _Field.LABEL_OPTIONAL)
    _message(file.message_type.add(name="Message"), "tensors", 5, "Tensor", _Field.LABEL_REPEATED)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Message"))


def _message(into: Any, name: str, number: int, kind: str, label: int) -> None:
    into.field.add(
        name=name,
        number=number,
        type=_Field.TYPE_MESSAGE,
        type_name=f".{_PACKAGE}.{kind}",
        label=label,
    )


_MESSAGE = _declared()
