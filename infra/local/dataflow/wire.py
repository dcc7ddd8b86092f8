"""Requests and answers as callers send and get them: JSON, and gRPC's messages.

What Seldon's gateway would panic at or fill with zeros is refused here with what, where and how to
mend it.
"""

import base64
import math
from collections.abc import Mapping
from typing import Any

import orjson
import pydantic
from mlserver import raw, types
from mlserver.errors import MLServerError
from mlserver.grpc import converters
from mlserver.grpc import dataplane_pb2 as pb

from infra.local.dataflow import encoding
from infra.local.dataflow.batches import flat
from infra.local.dataflow.tensors import Content, Message, Tensor

_Tensors = tuple[Tensor, ...]
_Parameters = Mapping[str, Any] | None

_ECHO_LIMIT = 100
_COMPLAINTS = 3

_FLOATS = frozenset({"FP16", "FP32", "FP64"})
_TYPES = {
    **dict.fromkeys(_FLOATS, frozenset({float, int, type(None)})),
    "BOOL": frozenset({bool}),
    "BYTES": frozenset({str, bytes}),
}
_RANGES = {
    f"{kind}{bits}": (0, 2**bits - 1)
    if kind == "UINT"
    else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    for kind in ("INT", "UINT")
    for bits in (8, 16, 32, 64)
}
_INTEGERS = frozenset({int})


class MalformedError(Exception):
    """A request that the caller has to mend: 400, with the text."""


def read_rest(body: bytes) -> tuple[_Tensors, _Parameters]:
    """Read an inference request's JSON. Raises `MalformedError`."""
    try:
        request = types.InferenceRequest.model_validate(orjson.loads(body))
    except orjson.JSONDecodeError as error:
        raise MalformedError(f"the body is not valid JSON: {error}") from error
    except pydantic.ValidationError as error:
        raise MalformedError(f"the body is no inference request: {_complaints(error)}") from error
    return _tensors(request), parameters(request.parameters)


def read_grpc(request: Any) -> tuple[_Tensors, _Parameters]:
    """Read a `ModelInferRequest`. Raises `MalformedError`."""
    try:
        read = converters.ModelInferRequestConverter.to_types(request)
    except MLServerError as error:
        raise MalformedError(str(error)) from error
    return _tensors(read), parameters(read.parameters)


def write_rest(message: Message) -> bytes:
    """Write an answer's JSON, as Seldon's gateway does: without an id or a model's name."""
    document: dict[str, Any] = {
        "model_name": "",
        "outputs": [_described(each) for each in message.tensors],
    }
    if message.parameters:
        document["parameters"] = dict(message.parameters)
    try:
        return _json(document)
    except orjson.JSONEncodeError:
        document["outputs"] = [_described_as_base64(each) for each in message.tensors]
        return _json(document)


def write_grpc(message: Message, request_id: str, *, use_raw: bool) -> Any:
    """Write a `ModelInferResponse`; raw contents answer raw contents, as in MLServer."""
    if not use_raw:
        return pb.ModelInferResponse.FromString(
            encoding.response(message, request_id, model_name="", model_version="")
        )
    answer = pb.ModelInferResponse(id=request_id)
    encoding.put_parameters(answer.parameters, message.parameters)
    for name, content in message.tensors:
        output = answer.outputs.add(name=name, datatype=content.datatype, shape=content.shape)
        encoding.put_parameters(output.parameters, content.parameters)
        data = types.TensorData(root=encoding.plain(content))
        packed = types.ResponseOutput(
            name=name, datatype=content.datatype, shape=[len(data)], data=data
        )
        answer.raw_output_contents.append(raw.pack(packed))
    return answer


def parameters(given: types.Parameters | None) -> _Parameters:
    """Read parameters without what MLServer keeps in them."""
    if given is None:
        return None
    found = {
        key: value
        for key, value in (given.model_extra or {}).items()
        if isinstance(value, bool | str | int | float)
    }
    if given.content_type is not None:
        found["content_type"] = given.content_type
    return found or None


def _tensors(request: types.InferenceRequest) -> _Tensors:
    return tuple([_tensor(each) for each in request.inputs])


def _tensor(given: types.RequestInput) -> Tensor:
    name, shape, datatype = given.name, given.shape, given.datatype
    native = given.data
    data = native.root
    if datatype == "BYTES" and isinstance(data, str | bytes):
        data, native = [data], None
    elif not isinstance(data, list):
        raise _malformed(name, f"`data` has to be a list, got {_shown(data)}")
    elif data and isinstance(data[0], list):
        try:
            data, native = flat(data), None
        except ValueError as error:
            raise _malformed(name, f"`data` nests unevenly: {error}") from error
    if shape and min(shape) < 0:
        raise _malformed(name, f"shape {shape} has a negative size")
    expected = math.prod(shape)
    # A buffer a row is MLServer's way for arrays of bytes.
    if len(data) != expected and not (datatype == "BYTES" and shape and len(data) == shape[0]):
        raise _malformed(
            name,
            f"shape {shape} takes {expected} values, got {len(data)}; make shape and data agree",
        )
    checked = _checked(name, datatype, data)
    if checked is not data:
        native = None
    return Tensor(name, Content(datatype, shape, checked, parameters(given.parameters), native))


def _checked(name: str, datatype: str, data: list[Any]) -> list[Any]:
    there = set(map(type, data))
    allowed = _TYPES.get(datatype)
    if allowed is not None:
        if not there <= allowed:
            wrong = next(each for each in data if type(each) not in allowed)
            raise _malformed(name, f"{_shown(wrong)} is no value of datatype {datatype}")
        return data
    if float in there:  # JSON has one kind of number: 1.0 is as good as 1
        data = [int(x) if type(x) is float and x.is_integer() else x for x in data]
        there = set(map(type, data))
    low, high = _RANGES[datatype]
    if not there <= _INTEGERS or (data and (min(data) < low or max(data) > high)):
        wrong = next(each for each in data if type(each) is not int or not low <= each <= high)
        raise _malformed(name, f"{_shown(wrong)} is no value of datatype {datatype}")
    return data


def _malformed(name: str, what: str) -> MalformedError:
    return MalformedError(f"tensor {name[:_ECHO_LIMIT]!r}: {what}")


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= _ECHO_LIMIT else f"{shown[:_ECHO_LIMIT]}…"


def _complaints(error: pydantic.ValidationError) -> str:
    lines = error.errors(include_url=False, include_context=False)
    told = [
        f"{'.'.join(map(str, line['loc'])) or 'the body'}: {line['msg']}, "
        f"got {_shown(line['input'])}"
        for line in lines[:_COMPLAINTS]
    ]
    if len(lines) > _COMPLAINTS:
        told.append(f"and {len(lines) - _COMPLAINTS} more")
    return "; ".join(told)


def _described(tensor: Tensor) -> dict[str, Any]:
    name, content = tensor
    described = {
        "name": name,
        "shape": content.shape,
        "datatype": content.datatype,
        "data": content.data,
    }
    if content.parameters:
        described["parameters"] = content.parameters
    return described


def _described_as_base64(tensor: Tensor) -> dict[str, Any]:
    described = _described(tensor)
    data = tensor.content.data
    if tensor.content.datatype == "BYTES" and not all(map(_is_text, data)):
        parts = [each.encode() if isinstance(each, str) else each for each in data]
        described["data"] = [base64.b64encode(each).decode() for each in parts]
        described["parameters"] = {**(tensor.content.parameters or {}), "content_type": "base64"}
    return described


def _is_text(value: str | bytes) -> bool:
    if isinstance(value, bytes):
        try:
            value.decode()
        except UnicodeDecodeError:
            return False
    return True


def _json(document: dict[str, Any]) -> bytes:
    written: bytes = orjson.dumps(document, default=_text)
    return written


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode()
    raise TypeError(f"{type(value).__name__} is not JSON")
