"""The mesh's API over HTTP: Kubernetes' paths, bodies and errors."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import prometheus_client
import pydantic_core
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from infra import seldon
from infra.local.mesh import metrics, refusal
from infra.local.mesh.gateway import Gateway
from infra.local.mesh.objects import PLURALS, JsonObject, Objects
from infra.local.mesh.reconciler import Reconciler
from infra.local.mesh.refusal import Refusal

logger = logging.getLogger(__name__)

BASE = f"/apis/{seldon.GROUP}/{seldon.VERSION}"
_JSON = "application/json"
_MERGE_PATCH = "application/merge-patch+json"

Lifespan = Callable[[Any], AbstractAsyncContextManager[None]]


class Api:
    """Answers requests about objects."""

    def __init__(
        self,
        objects: Objects,
        reconciler: Reconciler,
        gateway: Gateway,
        *,
        namespace: str,
        max_object_bytes: int,
    ) -> None:
        self._objects = objects
        self._reconciler = reconciler
        self._gateway = gateway
        self._namespace = namespace
        self._limit = max_object_bytes

    def app(self, lifespan: Lifespan) -> Starlette:
        """Build the ASGI application."""
        collection, single = "/{namespace}/{plural}", "/{namespace}/{plural}/{name}"
        return Starlette(
            lifespan=lifespan,
            routes=[
                Mount(
                    f"{BASE}/namespaces",
                    routes=[
                        Route(collection, _Endpoint(self._collection)),
                        Route(single, _Endpoint(self._single)),
                        Route(single + "/status", _Endpoint(self._status)),
                    ],
                ),
                Route(BASE, _Endpoint(self._discovery)),
                Route("/healthz", self._healthz, methods=["GET"]),
                Route("/readyz", self._readyz, methods=["GET"]),
                Route("/metrics", self._metrics, methods=["GET"]),
                Route("/{path:path}", _Endpoint(_nothing_here)),
            ],
        )

    async def _collection(self, request: Request) -> tuple[int, JsonObject]:
        plural = self._plural(request)
        if request.method == "GET":
            _refuse_selection(request)
            return 200, self._objects.list(plural)
        if request.method == "POST":
            body = await self._body(request, _JSON)
            dry_run = _dry_run(request)
            shown = self._objects.create(plural, body, dry_run=dry_run)
            return 201, await self._routed(shown, dry_run=dry_run)
        raise _not_allowed(request, "GET, POST")

    async def _single(self, request: Request) -> tuple[int, JsonObject]:
        plural, name = self._plural(request), request.path_params["name"]
        dry_run = _dry_run(request)
        if request.method == "GET":
            return 200, self._objects.get(plural, name)
        if request.method == "PUT":
            body = await self._body(request, _JSON)
            shown, created = self._objects.replace(plural, name, body, dry_run=dry_run)
            return (201 if created else 200), await self._routed(shown, dry_run=dry_run)
        if request.method == "PATCH":
            body = await self._body(request, _MERGE_PATCH)
            shown = self._objects.patch(plural, name, body, dry_run=dry_run)
            return 200, await self._routed(shown, dry_run=dry_run)
        if request.method == "DELETE":
            options = await self._body(request, _JSON, optional=True)
            shown = self._objects.delete(plural, name, options, dry_run=dry_run)
            return 200, await self._routed(shown, dry_run=dry_run)
        raise _not_allowed(request, "DELETE, GET, PATCH, PUT")

    async def _routed(self, shown: JsonObject, *, dry_run: bool) -> JsonObject:
        """Answer when requests are routed by what was asked for: who writes reads it at once."""
        if dry_run:
            return shown
        await self._reconciler.routed()
        return self._objects.refreshed(shown)

    async def _status(self, request: Request) -> tuple[int, JsonObject]:
        if request.method != "GET":
            raise _not_allowed(request, "GET")
        return 200, self._objects.get(self._plural(request), request.path_params["name"])

    async def _discovery(self, request: Request) -> tuple[int, JsonObject]:
        if request.method != "GET":
            raise _not_allowed(request, "GET")
        verbs = ["create", "delete", "get", "list", "patch", "update"]
        return 200, {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": seldon.API_VERSION,
            "resources": [
                {
                    "name": plural,
                    "singularName": kind.__name__.lower(),
                    "namespaced": True,
                    "kind": kind.__name__,
                    "verbs": verbs,
                }
                for plural, kind in PLURALS.items()
            ],
        }

    async def _healthz(self, request: Request) -> Response:
        del request
        return Response("ok\n", media_type="text/plain")

    async def _readyz(self, request: Request) -> Response:
        del request
        missing = []
        if not self._reconciler.server_up:
            missing.append("MLServer does not answer")
        if not await self._gateway.answers():
            missing.append("Envoy does not answer with the newest routes")
        text = "; ".join(missing) or "ok"
        return Response(f"{text}\n", 503 if missing else 200, media_type="text/plain")

    async def _metrics(self, request: Request) -> Response:
        del request
        objects = self._objects
        for plural in PLURALS:
            metrics.OBJECTS.labels(plural).set(len(objects.list(plural)["items"]))
        metrics.MODEL_READY.clear()
        for model, ready in self._reconciler.ready_by_model().items():
            metrics.MODEL_READY.labels(model).set(ready)
        metrics.PIPELINE_READY.clear()
        for pipeline, ready in self._reconciler.ready_by_pipeline().items():
            metrics.PIPELINE_READY.labels(pipeline).set(ready)
        metrics.CANDIDATE_WEIGHT.clear()
        for name, experiment in objects.experiments.items():
            for candidate in experiment.spec.candidates:
                metrics.CANDIDATE_WEIGHT.labels(name, candidate.name).set(candidate.weight)
        metrics.MODEL_SERVER_UP.set(self._reconciler.server_up)
        return Response(
            prometheus_client.generate_latest(),
            headers={"content-type": prometheus_client.CONTENT_TYPE_LATEST},
        )

    def _plural(self, request: Request) -> str:
        namespace, plural = request.path_params["namespace"], request.path_params["plural"]
        if namespace != self._namespace:
            message = f'namespaces "{namespace}" not found, the only one is "{self._namespace}"'
            raise Refusal(404, "NotFound", message, kind="namespaces", name=namespace)
        if plural not in PLURALS:
            message = (
                f"the server could not find the requested resource ({plural}), "
                f"there are: {', '.join(PLURALS)}"
            )
            raise Refusal(404, "NotFound", message)
        return str(plural)

    async def _body(
        self, request: Request, media_type: str, *, optional: bool = False
    ) -> JsonObject:
        chunks, size = [], 0
        if int(request.headers.get("content-length") or 0) > self._limit:
            raise self._too_large()
        async for chunk in request.stream():
            size += len(chunk)
            if size > self._limit:
                raise self._too_large()
            chunks.append(chunk)
        if optional and not size:
            return {}
        given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if given != media_type:
            message = (
                "the body of the request was in an unknown format - "
                f"accepted media types include: {media_type} (got {given or 'none'})"
            )
            raise Refusal(415, "UnsupportedMediaType", message)
        try:
            body = pydantic_core.from_json(b"".join(chunks), allow_inf_nan=False)
        except ValueError as error:
            raise refusal.bad_request(f"the body is not valid JSON: {error}") from error
        if not isinstance(body, dict):
            raise refusal.bad_request(f"the body has to be a JSON object, got {_json_type(body)}")
        return body

    def _too_large(self) -> Refusal:
        message = f"Request entity too large: limit is {self._limit} bytes"
        return Refusal(413, "RequestEntityTooLarge", message)


class _Endpoint:
    """An ASGI endpoint for all methods, which turns refusals into `Status` bodies."""

    def __init__(self, answer: Callable[[Request], Awaitable[tuple[int, JsonObject]]]) -> None:
        self._answer = answer

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        started = time.perf_counter()
        request = Request(scope, receive)
        try:
            code, body = await self._answer(request)
        except Refusal as refused:
            code, body = refused.code, refused.body()
        except asyncio.CancelledError:
            raise
        except Exception:
            logger.exception("%s %s", request.method, request.url.path)
            failed = Refusal(500, "InternalError", "an unexpected failure, see the mesh's log")
            code, body = failed.code, failed.body()
        plural = request.path_params.get("plural", "")
        metrics.REQUESTS.labels(
            request.method, plural if plural in PLURALS else "", str(code)
        ).observe(time.perf_counter() - started)
        response = Response(pydantic_core.to_json(body), code, media_type=_JSON)
        await response(scope, receive, send)


async def _nothing_here(request: Request) -> tuple[int, JsonObject]:
    raise Refusal(
        404,
        "NotFound",
        f"the server could not find the requested resource {request.url.path}, "
        f"objects are below {BASE}/namespaces",
    )


def _not_allowed(request: Request, allowed: str) -> Refusal:
    message = f"the server does not allow {request.method} on this resource, only {allowed}"
    return Refusal(405, "MethodNotAllowed", message)


def _dry_run(request: Request) -> bool:
    value = request.query_params.get("dryRun", "")
    if value not in {"", "All"}:
        raise refusal.bad_request(f'Invalid value: "{value}": dryRun may be "All"')
    return bool(value)


def _refuse_selection(request: Request) -> None:
    """Refuse what would change the answer and is not there, rather than ignore it."""
    if request.query_params.get("watch", "false") not in {"false", "0", ""}:
        raise refusal.bad_request("watch is not supported here: list again")
    for selector in ("labelSelector", "fieldSelector"):
        if request.query_params.get(selector):
            raise refusal.bad_request(f"{selector} is not supported here: list all and select")


def _json_type(value: object) -> str:
    names = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
