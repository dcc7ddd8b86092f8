"""What Seldon's agent does to a request between Envoy and MLServer, as ASGI middleware."""

import json
import re
import zlib
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from infra.local.mesh import envoy

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = dict[bytes, bytes]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_PIPELINE = b".pipeline"
_INTERNAL_HEADER = envoy.INTERNAL_HEADER.encode()
# Seldon's agent puts the model in place of the first word of the name, and drops the version.
_MODEL_PATH = re.compile(r"^/v2/models/[\w-]+(?:/versions/\w+)?(.*)$", re.DOTALL)
_OPEN_PATHS = re.compile(r"^/v2(/health/(live|ready))?/?$")
_BODY_HEADERS = {b"content-length", b"content-encoding", b"transfer-encoding"}
_GZIP = 31  # zlib's wbits for a gzip header


class Pipelines(Protocol):
    """Answers what the gateway has for a pipeline."""

    async def answer(self, internal: str, scope: Scope, body: bytes, send: Send) -> None:
        """Answer one request; `internal` is `<pipeline>.pipeline`."""


class _RefusedError(Exception):
    """A request that is answered here."""

    def __init__(self, status: int, error: str, **more: object) -> None:
        super().__init__(error)
        self.status = status
        self.body = {"error": error, **more}


class _DisconnectedError(Exception):
    """The caller is gone."""


class GatewayRequests:
    """Answers for the model that the gateway names in a header, whatever the path says.

    Through the gateway nothing but models, pipelines and health can be reached.
    Bodies of more than `limit` bytes are refused, decompressed ones too.
    """

    def __init__(self, app: App, limit: int, pipelines: Pipelines | None = None) -> None:
        self._app = app
        self._limit = limit
        self._pipelines = pipelines

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            try:
                pipeline = self._pipeline_of(headers, scope["path"])
                if pipeline is not None:
                    await self._to_pipeline(pipeline, headers, scope, receive, send)
                    return
                scope, receive = await self._prepared(headers, scope, receive)
            except _RefusedError as refused:
                await _answer(send, refused)
                return
            except _DisconnectedError:
                return
        await self._app(scope, receive, send)

    def _pipeline_of(self, headers: Headers, path: str) -> str | None:
        internal = headers.get(_INTERNAL_HEADER, b"")
        if not internal.endswith(_PIPELINE) or _OPEN_PATHS.match(path):
            return None
        return internal.decode("latin-1")

    async def _to_pipeline(
        self, internal: str, headers: Headers, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if self._pipelines is None:
            raise _RefusedError(404, "no pipelines are served here")
        self._check_length(headers)
        encoding = headers.get(b"content-encoding", b"").strip().lower()
        body = self._plain(await self._read(receive), encoding)
        await self._pipelines.answer(internal, scope, body, send)

    async def _prepared(
        self, headers: Headers, scope: Scope, receive: Receive
    ) -> tuple[Scope, Receive]:
        internal = headers.get(_INTERNAL_HEADER)
        if internal:
            path = path_for(internal.decode("latin-1"), scope["path"])
            scope = {**scope, "path": path, "raw_path": path.encode()}
        self._check_length(headers)
        encoding = headers.get(b"content-encoding", b"").strip().lower()
        if b"transfer-encoding" not in headers and not encoding:
            return scope, receive
        body = self._plain(await self._read(receive), encoding)
        kept = [pair for pair in scope["headers"] if pair[0] not in _BODY_HEADERS]
        kept.append((b"content-length", str(len(body)).encode()))
        return {**scope, "headers": kept}, _replay(body, receive)

    def _check_length(self, headers: Headers) -> None:
        length = headers.get(b"content-length")
        if length is not None and int(length) > self._limit:
            raise self._too_large(f"{int(length)} bytes")

    async def _read(self, receive: Receive) -> bytes:
        chunks, size = [], 0
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _DisconnectedError
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > self._limit:
                raise self._too_large(f"more than {self._limit} bytes")
            chunks.append(chunk)
            more = message.get("more_body", False)
        return b"".join(chunks)

    def _plain(self, body: bytes, encoding: bytes) -> bytes:
        if encoding in {b"", b"identity"}:
            return body
        if encoding != b"gzip":
            name = encoding.decode("latin-1")
            raise _RefusedError(415, f"content-encoding {name} is not known: send gzip or none")
        decompressor = zlib.decompressobj(wbits=_GZIP)
        try:
            plain = decompressor.decompress(body, self._limit + 1)
        except zlib.error as error:
            raise _RefusedError(400, f"the body is not valid gzip: {error}") from error
        if len(plain) > self._limit:
            raise self._too_large(f"more than {self._limit} bytes when decompressed")
        if not decompressor.eof:
            raise _RefusedError(400, "the body is not valid gzip: it ends too early")
        return plain

    def _too_large(self, size: str) -> _RefusedError:
        return _RefusedError(
            413,
            f"the body has {size}, the limit is {self._limit}: "
            "send fewer rows at once, or gRPC with raw contents, or raise max_request_bytes",
            limit_bytes=self._limit,
        )


def path_for(internal: str, path: str) -> str:
    """Put the model that the gateway names into a path.

    Raises an error that becomes a 404 for a path that is not for callers.
    """
    match = _MODEL_PATH.match(path)
    if match is not None:
        return f"/v2/models/{internal}{match[1]}"
    if _OPEN_PATHS.match(path):
        return path
    raise _RefusedError(404, f"{path} is not reachable through the gateway")


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def again() -> dict[str, Any]:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def _answer(send: Send, refused: _RefusedError) -> None:
    body = json.dumps(refused.body).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
