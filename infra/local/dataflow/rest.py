"""A pipeline's requests over REST, as the gateway sends them."""

import json
import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from infra.local.dataflow import metrics, topics, wire
from infra.local.dataflow.call import Call
from infra.local.dataflow.errors import CallError, UnknownPipeline
from infra.local.dataflow.serving import REQUEST_ID, SUFFIX, Pipelines, own_headers
from infra.local.dataflow.tensors import Request

logger = logging.getLogger(__name__)

Send = Callable[[dict[str, Any]], Awaitable[None]]
_RawHeaders = Sequence[tuple[bytes, bytes]]

JSON = b"application/json"
TEXT = b"text/plain; charset=utf-8"

_PATH = re.compile(
    r"^/v2/(?:models|pipelines)/[\w.-]+(?:/versions/[\w.-]+)?(?P<what>/infer|/ready|)$"
)
_METHODS = {"/infer": "POST", "/ready": "GET", "": "GET"}


class RestPipelines:
    """Answers requests that the gateway has for a pipeline."""

    def __init__(self, pipelines: Pipelines) -> None:
        self._pipelines = pipelines

    async def answer(self, internal: str, scope: dict[str, Any], body: bytes, send: Send) -> None:
        """Answer one request; `internal` is what the gateway names, `<pipeline>.pipeline`."""
        name = internal.removesuffix(SUFFIX)
        match = _PATH.match(scope["path"])
        what = match["what"] if match is not None else None
        if what is None:
            await _error(send, 404, f"{scope['path']} is not reachable through the gateway")
        elif scope["method"] != _METHODS[what]:
            await _error(send, 405, f"{scope['path']} takes {_METHODS[what]}")
        elif what == "/infer":
            await self._infer(name, scope["headers"], body, send)
        elif what == "/ready":
            reason = await self._pipelines.why_not_ready(name)
            if reason is None:
                await _respond(send, 200, [(b"content-type", JSON)], b'{"ready":true}')
            else:
                await _error(send, 503, reason)
        else:
            described = await self._pipelines.metadata(name)
            if described is None:
                await _error(send, 503, str(UnknownPipeline(name)))
            else:
                content = json.dumps(described).encode()
                await _respond(send, 200, [(b"content-type", JSON)], content)

    async def _infer(self, name: str, headers: _RawHeaders, body: bytes, send: Send) -> None:
        began = time.perf_counter()
        status = await self._inferred(name, headers, body, send)
        if name in self._pipelines.executor.pipelines:
            metrics.call_took(name, "rest", str(status), time.perf_counter() - began)

    async def _inferred(self, name: str, headers: _RawHeaders, body: bytes, send: Send) -> int:
        decoded = [(key.decode("latin-1"), value.decode("latin-1")) for key, value in headers]
        own = own_headers(decoded)
        request_id = next((value for key, value in decoded if key == REQUEST_ID), None)
        try:
            tensors, parameters = wire.read_rest(body)
        except wire.MalformedError as error:
            await _error(send, 400, str(error))
            return 400
        request = Request(request_id or str(uuid.uuid4()), tensors, parameters, own)
        call: Call | None = None
        try:
            call = self._pipelines.executor.call(name, request)
            answer = await call.answer()
            content = wire.write_rest(answer.message)
        except CallError as error:
            status, kind, content = error.status, TEXT, str(error).encode()
        except Exception as error:
            logger.exception("pipeline %s failed", name)
            status, kind = 500, TEXT
            content = f"pipeline {name} failed: {type(error).__name__}: {error}".encode()
        else:
            status, kind = 200, JSON
        told = [(b"content-type", kind)]
        if call is not None:
            told.append((topics.VERSION_HEADER.encode(), call.version.encode()))
            told.extend((key.encode("latin-1"), value.encode("latin-1")) for key, value in own)
            told.extend(
                (key.encode(), value.encode("latin-1", "replace")) for key, value in call.routes
            )
        await _respond(send, status, told, content)
        return status


async def _error(send: Send, status: int, text: str) -> None:
    await _respond(send, status, [(b"content-type", JSON)], json.dumps({"error": text}).encode())


async def _respond(
    send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
