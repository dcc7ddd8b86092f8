"""Answers 4xx where MLServer 1.7.1 answers 500 to a request that the caller has to mend.

A 5xx says that the server is at fault, and Envoy sends the request again, five times.
MLServer gives one in two places, before a runtime sees the request:

- gRPC: `raw_input_contents` are unpacked unchecked, so bytes that do not fit their tensor are
  INTERNAL; checked, they are INVALID_ARGUMENT.
- REST: a body that is neither JSON nor text breaks the message about it; here it is a 415.

Both are names that MLServer looks up at each request, so `install` may come after its start.
"""

import math
import struct
from collections.abc import Sequence
from typing import Any

import fastapi
from mlserver import errors, raw
from mlserver.grpc import converters
from mlserver.rest import app, requests

_BYTES = {
    "BOOL": 1,
    "UINT8": 1,
    "UINT16": 2,
    "UINT32": 4,
    "UINT64": 8,
    "INT8": 1,
    "INT16": 2,
    "INT32": 4,
    "INT64": 8,
    "FP16": 2,
    "FP32": 4,
    "FP64": 8,
}

_unpack = raw.inject_raw


def install() -> None:
    """Put the checks in front of MLServer's own reading; a second call changes nothing."""
    converters.inject_raw = inject_raw
    app.Request = JsonRequest


class JsonRequest(requests.Request):  # type: ignore[misc]  # MLServer carries no types
    """A REST request, whose body has to say that it is JSON, or not say what it is."""

    async def body(self) -> bytes:
        """Read the body; raises a 415 for another content type, a 400 for broken compression."""
        content_type = self.headers.get("content-type", "application/json")
        media_type = content_type.split(";")[0].strip().lower()
        if media_type != "application/json" and not media_type.endswith("+json"):
            raise fastapi.HTTPException(
                fastapi.status.HTTP_415_UNSUPPORTED_MEDIA_TYPE,
                f"content-type {content_type!r} is not served: send an inference request as JSON "
                "with `content-type: application/json`, or call over gRPC",
            )
        try:
            content: bytes = await super().body()
        except (OSError, EOFError) as error:
            raise fastapi.HTTPException(
                fastapi.status.HTTP_400_BAD_REQUEST,
                f"the body is not gzip, as `content-encoding` says ({error}): "
                "compress it, or leave the header out",
            ) from error
        return content


def inject_raw(tensors: list[Any], contents: Sequence[bytes]) -> list[Any]:
    """Unpack raw contents into the tensors that came without data, in order.

    Raises `InferenceError` (INVALID_ARGUMENT) naming the tensor that its bytes do not fit.
    """
    bare = [tensor for tensor in tensors if not tensor.data]
    if len(bare) != len(contents):
        raise errors.InferenceError(
            f"raw_input_contents: expected {len(bare)} entries, one for each tensor without "
            f"`contents` ({', '.join(tensor.name for tensor in bare) or 'none'}), "
            f"got {len(contents)}; send them in the order of `inputs`"
        )
    for tensor, content in zip(bare, contents, strict=True):
        _check(tensor, content)
    try:
        unpacked: list[Any] = _unpack(tensors, contents)
    except struct.error as error:  # a BYTES tensor whose lengths do not add up
        raise errors.InferenceError(
            f"raw_input_contents: a tensor cannot be unpacked ({error}); "
            "write each element of a BYTES tensor after its length in four bytes, little-endian"
        ) from error
    return unpacked


def _check(tensor: Any, content: bytes) -> None:
    if tensor.datatype == "BYTES":
        return
    shape = list(tensor.shape)
    if tensor.datatype not in _BYTES:
        raise errors.InferenceError(
            f"tensor {tensor.name!r}: datatype {tensor.datatype!r} is unknown; "
            f"expected one of {', '.join(_BYTES)}, BYTES"
        )
    if any(size < 0 for size in shape):
        raise errors.InferenceError(
            f"tensor {tensor.name!r}: shape {shape} has a negative size; send the sizes that it has"
        )
    expected = math.prod(shape) * _BYTES[tensor.datatype]
    if len(content) != expected:
        raise errors.InferenceError(
            f"tensor {tensor.name!r}: shape {shape} of {tensor.datatype} takes {expected} bytes, "
            f"got {len(content)} in raw_input_contents; make shape, datatype and bytes agree"
        )
