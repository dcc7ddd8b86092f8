"""Messages as Seldon has them in Kafka: protobuf, version 2 of the inference protocol.

A tensor is encoded once, without its name: as a step's output it is published, as another's input
once more, perhaps by another name, and with the pipeline's answer a third time.
Put behind each other, the encodings of parts are the encoding of the whole, as protobuf's
"Encoding" page lays down; so a message is a few cheap bytes and its tensors' own.
Tensors have the same fields in requests and in responses, and are field 5 of both.
"""

import math
from collections.abc import Mapping
from typing import Any

from infra.local.dataflow.batches import flat
from infra.local.dataflow.protocol import messages as pb
from infra.local.dataflow.tensors import Content, Message

_TENSOR_TAG = b"\x2a"  # field 5, length-delimited
_NAME_TAG = b"\x0a"  # field 1, length-delimited
_ONE_BYTE = 0x80

_FIELDS = {
    "BOOL": "bool_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    # protobuf has no half floats; Seldon's gateway does the same.
    "FP16": "fp32_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
_FLOATS = frozenset({"FP16", "FP32", "FP64"})


def request(message: Message, request_id: str) -> bytes:
    """Encode a `ModelInferRequest`."""
    head = pb.ModelInferRequest(id=request_id)
    put_parameters(head.parameters, message.parameters)
    return _with_tensors(head.SerializeToString(), message)


def response(message: Message, request_id: str, *, model_name: str, model_version: str) -> bytes:
    """Encode a `ModelInferResponse`."""
    head = pb.ModelInferResponse(id=request_id, model_name=model_name, model_version=model_version)
    put_parameters(head.parameters, message.parameters)
    return _with_tensors(head.SerializeToString(), message)


def put_parameters(into: Any, given: Mapping[str, Any] | None) -> None:
    """Put parameters into a message; a kind of value that protobuf has no field for is text."""
    for key, value in (given or {}).items():
        if isinstance(value, bool):
            into[key].bool_param = value
        elif isinstance(value, int):
            into[key].int64_param = value
        else:
            into[key].string_param = str(value)


def plain(content: Content) -> list[Any]:
    """Give a tensor's data as protobuf takes it: flat, texts as bytes, what is missing as NaN."""
    data = flat(content.data)
    if content.datatype == "BYTES":
        return [each.encode() if isinstance(each, str) else each for each in data]
    if content.datatype in _FLOATS and None in data:
        return [math.nan if each is None else each for each in data]
    return data


def _with_tensors(head: bytes, message: Message) -> bytes:
    parts = [head]
    for name, content in message.tensors:
        encoded = content.encoded
        if encoded is None:
            encoded = content.encoded = _encoded(content)
        named = name.encode()
        named = _NAME_TAG + _varint(len(named)) + named
        parts += (_TENSOR_TAG, _varint(len(named) + len(encoded)), named, encoded)
    return b"".join(parts)


def _encoded(content: Content) -> bytes:
    field = _FIELDS[content.datatype]
    tensor = pb.ModelInferResponse.InferOutputTensor(
        datatype=content.datatype,
        shape=content.shape,
        contents=pb.InferTensorContents(**{field: plain(content)}),
    )
    put_parameters(tensor.parameters, content.parameters)
    encoded: bytes = tensor.SerializeToString()
    return encoded


def _varint(number: int) -> bytes:
    if number < _ONE_BYTE:
        return bytes((number,))
    parts = bytearray()
    while number >= _ONE_BYTE:
        parts.append(number & 0x7F | _ONE_BYTE)
        number >>= 7
    parts.append(number)
    return bytes(parts)
