"""The mesh's API over HTTP: Kubernetes' paths, bodies and errors."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias

import prometheus_client
import pydantic_core
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Mount, Route

from infra import seldon
from infra.local.mesh import discovery, metrics, policies, refusal
from infra.local.mesh.changes import Changes
from infra.local.mesh.gateway import Gateway
from infra.local.mesh.objects import PLURALS, JsonObject, Objects
from infra.local.mesh.policies import Policies
from infra.local.mesh.reconciler import Reconciler
from infra.local.mesh.refusal import Refusal

logger = logging.getLogger(__name__)

BASE = f"/apis/{seldon.API_VERSION}"
POLICIES_BASE = f"/apis/{policies.API_VERSION}"
_JSON = "application/json"
_MERGE_PATCH = "application/merge-patch+json"

Lifespan = Callable[[Any], AbstractAsyncContextManager[None]]
_Answer: TypeAlias = "tuple[int, JsonObject] | Response"


class Api:
    """Answers requests about objects."""

    def __init__(  # noqa: PLR0913 - the parts that it answers for
        self,
        objects: Objects,
        reconciler: Reconciler,
        gateway: Gateway,
        bandits: Policies,
        changes: Changes,
        *,
        namespace: str,
        max_object_bytes: int,
    ) -> None:
        self._objects = objects
        self._policies = bandits
        self._changes = changes
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
                Mount(
                    f"{POLICIES_BASE}/namespaces",
                    routes=[
                        Route(collection, _Endpoint(self._policy_collection)),
                        Route(single, _Endpoint(self._policy)),
                        Route(single + "/status", _Endpoint(self._policy_status)),
                    ],
                ),
                Route(BASE, _Endpoint(_discovery(discovery.seldon_resources()))),
                Route(POLICIES_BASE, _Endpoint(_discovery(discovery.policy_resources()))),
                *(
                    Route(path, _Endpoint(_discovery(body)))
                    for path, body in discovery.documents(self._namespace).items()
                ),
                Route("/healthz", self._healthz, methods=["GET"]),
                Route("/readyz", self._readyz, methods=["GET"]),
                Route("/metrics", self._metrics, methods=["GET"]),
                Route("/{path:path}", _Endpoint(_nothing_here)),
            ],
        )

    async def _collection(self, request: Request) -> _Answer:
        plural = self._plural(request)
        if request.method == "GET":
            return self._listed(request, plural, self._objects.list(plural))
        if request.method == "POST":
            body = await self._body(request, _JSON)
            dry_run = _dry_run(request)
            shown = self._objects.create(plural, body, dry_run=dry_run)
            return 201, await self._routed(shown, dry_run=dry_run)
        raise _not_allowed(request, "GET, POST")

    async def _single(self, request: Request) -> _Answer:
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

    async def _status(self, request: Request) -> _Answer:
        if request.method != "GET":
            raise _not_allowed(request, "GET")
        return 200, self._objects.get(self._plural(request), request.path_params["name"])

    async def _policy_collection(self, request: Request) -> _Answer:
        self._check_policies(request)
        if request.method == "GET":
            return self._listed(request, policies.PLURAL, self._policies.list())
        if request.method == "POST":
            body = await self._body(request, _JSON)
            return 201, self._policies.create(body, dry_run=_dry_run(request))
        raise _not_allowed(request, "GET, POST")

    async def _policy(self, request: Request) -> _Answer:
        self._check_policies(request)
        name, dry_run = request.path_params["name"], _dry_run(request)
        if request.method == "GET":
            return 200, self._policies.get(name)
        if request.method == "PUT":
            body = await self._body(request, _JSON)
            shown, created = self._policies.replace(name, body, dry_run=dry_run)
            return (201 if created else 200), shown
        if request.method == "PATCH":
            body = await self._body(request, _MERGE_PATCH)
            return 200, self._policies.patch(name, body, dry_run=dry_run)
        if request.method == "DELETE":
            options = await self._body(request, _JSON, optional=True)
            return 200, self._policies.delete(name, options, dry_run=dry_run)
        raise _not_allowed(request, "DELETE, GET, PATCH, PUT")

    async def _policy_status(self, request: Request) -> _Answer:
        self._check_policies(request)
        name = request.path_params["name"]
        if request.method == "GET":
            return 200, self._policies.get(name)
        if request.method == "PATCH":
            body = await self._body(request, _MERGE_PATCH)
            return 200, self._policies.write_status(name, body, patch=True)
        if request.method == "PUT":
            body = await self._body(request, _JSON)
            return 200, self._policies.write_status(name, body, patch=False)
        raise _not_allowed(request, "GET, PATCH, PUT")

    def _listed(self, request: Request, plural: str, listed: JsonObject) -> _Answer:
        """Answer a list, or stream what changes from a version on."""
        _refuse_selection(request)
        if request.query_params.get("watch", "false") in {"false", "0", ""}:
            return 200, listed
        version = _number(request, "resourceVersion")
        seconds = _number(request, "timeoutSeconds")

        async def events() -> AsyncIterator[bytes]:
            since = version
            if not since:  # no version: what is there now comes first
                since = int(listed["metadata"]["resourceVersion"])
                for each in listed["items"]:
                    yield _line({"type": "ADDED", "object": each})
            async for event in self._changes.watch(plural, since, seconds or None):
                yield _line(event)

        return StreamingResponse(events(), media_type=_JSON)

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
        metrics.OBJECTS.labels(policies.PLURAL).set(len(self._policies.list()["items"]))
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
        return self._checked_plural(request, tuple(PLURALS))

    def _check_policies(self, request: Request) -> None:
        self._checked_plural(request, (policies.PLURAL,))

    def _checked_plural(self, request: Request, known: tuple[str, ...]) -> str:
        namespace, plural = request.path_params["namespace"], request.path_params["plural"]
        if namespace != self._namespace:
            message = f'namespaces "{namespace}" not found, the only one is "{self._namespace}"'
            raise Refusal(404, "NotFound", message, kind="namespaces", name=namespace)
        if plural not in known:
            message = (
                f"the server could not find the requested resource ({plural}), "
                f"there are: {', '.join(known)}"
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

    def __init__(self, answer: Callable[[Request], Awaitable[_Answer]]) -> None:
        self._answer = answer

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        started = time.perf_counter()
        request = Request(scope, receive)
        try:
            answer = await self._answer(request)
        except Refusal as refused:
            answer = refused.code, refused.body()
        except asyncio.CancelledError:
            raise
        except Exception:
            logger.exception("%s %s", request.method, request.url.path)
            failed = Refusal(500, "InternalError", "an unexpected failure, see the mesh's log")
            answer = failed.code, failed.body()
        response: Any = answer
        if isinstance(answer, tuple):
            code, body = answer
            response = Response(pydantic_core.to_json(body), code, media_type=_JSON)
        plural = request.path_params.get("plural", "")
        metrics.REQUESTS.labels(
            request.method,
            plural if plural in PLURALS or plural == policies.PLURAL else "",
            str(response.status_code),
        ).observe(time.perf_counter() - started)
        await response(scope, receive, send)


async def _nothing_here(request: Request) -> _Answer:
    raise Refusal(
        404,
        "NotFound",
        f"the server could not find the requested resource {request.url.path}, "
        f"objects are below {BASE}/namespaces and {POLICIES_BASE}/namespaces",
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
    for selector in ("labelSelector", "fieldSelector"):
        if request.query_params.get(selector):
            raise refusal.bad_request(f"{selector} is not supported here: list all and select")


def _discovery(body: JsonObject) -> Callable[[Request], Awaitable[_Answer]]:
    async def answer(request: Request) -> _Answer:
        if request.method != "GET":
            raise _not_allowed(request, "GET")
        return 200, body

    return answer


def _number(request: Request, parameter: str) -> int:
    value = request.query_params.get(parameter) or "0"
    if not value.isdecimal():
        raise refusal.bad_request(f'Invalid value: "{value}": {parameter} is a whole number')
    return int(value)


def _line(event: JsonObject) -> bytes:
    return pydantic_core.to_json(event) + b"\n"


def _json_type(value: object) -> str:
    names = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
