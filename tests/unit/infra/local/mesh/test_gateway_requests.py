import asyncio
import gzip
import json
from typing import Any

import pytest

from infra.local.mesh import gateway_requests
from infra.local.mesh.gateway_requests import GatewayRequests

LIMIT = 1000
Message = dict[str, Any]


class Server:
    """Answers 200 with the path and the body that reached it."""

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        body = b""
        more = scope["type"] == "http"
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope.get("headers", [])}
        seen = {"path": scope.get("path"), "body": body.decode(), "headers": headers}
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(seen).encode()})


def ask(
    path: str = "/v2/models/x/infer",
    *chunks: bytes,
    kind: str = "http",
    pipelines: gateway_requests.Pipelines | None = None,
    **headers: str,
) -> tuple[int, dict[str, Any]]:
    """Send a request through the middleware; gives back status and body of the answer."""
    sent: list[Message] = []
    parts = list(chunks) or [b""]
    listed = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]

    async def receive() -> Message:
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": kind, "path": path, "raw_path": path.encode(), "headers": listed}
    asyncio.run(GatewayRequests(Server(), LIMIT, pipelines)(scope, receive, send))
    body: dict[str, Any] = json.loads(sent[1]["body"])
    return sent[0]["status"], body


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/v2/models/x/infer", "/v2/models/m_1/infer"),
        ("/v2/models/x", "/v2/models/m_1"),
        ("/v2/models/x/versions/7/infer", "/v2/models/m_1/infer"),
        ("/v2/models/e1.experiment/infer", "/v2/models/m_1.experiment/infer"),
        ("/v2/models/x/ready", "/v2/models/m_1/ready"),
        ("/v2/health/ready", "/v2/health/ready"),
        ("/v2", "/v2"),
    ],
)
def test_the_gateways_model_takes_the_place_of_the_paths(path: str, wanted: str) -> None:
    status, seen = ask(path, seldon_internal_model="m_1")
    assert (status, seen["path"]) == (200, wanted)


@pytest.mark.parametrize(
    "path",
    [
        "/v2/repository/index",
        "/v2/repository/models/m_1/unload",
        "/v2/health/ready/../../repository/index",
        "/metrics",
        "/v2/models",
        "/",
    ],
)
def test_nothing_else_is_reachable_through_the_gateway(path: str) -> None:
    status, said = ask(path, seldon_internal_model="m_1")
    assert (status, said["error"]) == (404, f"{path} is not reachable through the gateway")


def test_a_request_that_did_not_come_through_the_gateway_is_left_alone() -> None:
    status, seen = ask("/v2/repository/index", b"{}")
    assert (status, seen["path"], seen["body"]) == (200, "/v2/repository/index", "{}")


def test_an_announced_length_over_the_limit_is_refused_unread() -> None:
    status, said = ask("/v2/models/x/infer", content_length=str(LIMIT + 1))
    assert (status, said["limit_bytes"]) == (413, LIMIT)
    assert "1001 bytes" in said["error"]


def test_a_body_in_chunks_is_counted() -> None:
    for size, status in ((LIMIT // 2, 200), (LIMIT // 2 + 1, 413)):
        chunk = b" " * size
        assert ask("/v2/models/x/infer", chunk, chunk, transfer_encoding="chunked")[0] == status


def test_a_compressed_body_is_opened_and_its_new_length_told() -> None:
    packed = gzip.compress(b'{"a": 1}')
    status, seen = ask(
        "/v2/models/x/infer", packed, content_encoding="gzip", content_length=str(len(packed))
    )
    assert (status, seen["body"]) == (200, '{"a": 1}')
    assert seen["headers"] == {"content-length": "8"}


def test_a_body_that_would_explode_is_refused() -> None:
    packed = gzip.compress(b" " * 10_000_000)
    assert len(packed) > LIMIT
    status, said = ask("/v2/models/x/infer", packed, content_encoding="gzip")
    assert (status, said["limit_bytes"]) == (413, LIMIT)
    packed = gzip.compress(b" " * (LIMIT + 1))
    assert len(packed) < LIMIT
    status, said = ask("/v2/models/x/infer", packed, content_encoding="gzip")
    assert status == 413
    assert "when decompressed" in said["error"]


@pytest.mark.parametrize(
    ("encoding", "content", "status", "said"),
    [
        ("gzip", b"plain", 400, "not valid gzip"),
        ("gzip", gzip.compress(b"cut off here")[:-4], 400, "ends too early"),
        ("br", b"x", 415, "content-encoding br"),
        ("identity", b"x", 200, None),
    ],
)
def test_an_encoding_that_cannot_be_read_is_named(
    encoding: str, content: bytes, status: int, said: str | None
) -> None:
    answered, body = ask("/v2/models/x/infer", content, content_encoding=encoding)
    assert answered == status
    if said is not None:
        assert said in body["error"]


def test_what_is_not_http_passes() -> None:
    assert ask("/", kind="lifespan")[0] == 200


def test_a_caller_that_goes_away_gets_no_answer() -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "path": "/v2", "headers": [(b"transfer-encoding", b"chunked")]}
    asyncio.run(GatewayRequests(Server(), LIMIT)(scope, receive, send))
    assert sent == []


def test_a_path_keeps_what_follows_the_model() -> None:
    assert gateway_requests.path_for("m_1", "/v2/models/a-b_c/x/y") == "/v2/models/m_1/x/y"


class Pipelines:
    """Answers 200 with what reached it."""

    async def answer(self, internal: str, scope: Message, body: bytes, send: Any) -> None:
        seen = {"pipeline": internal, "path": scope["path"], "body": body.decode()}
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(seen).encode()})


NAMED = {"seldon_internal_model": "p.pipeline"}


def test_a_pipelines_request_is_read_whole_and_handed_over() -> None:
    packed = gzip.compress(b"{}")
    for body, headers in ((b"{}", {}), (packed, {"content_encoding": "gzip"})):
        status, seen = ask("/v2/pipelines/p/infer", body, pipelines=Pipelines(), **NAMED, **headers)
        assert status == 200
        assert seen == {
            "pipeline": "p.pipeline",
            "path": "/v2/pipelines/p/infer",
            "body": "{}",
        }


def test_a_pipelines_body_has_the_same_limit() -> None:
    for chunk, length in ((b"", {"content_length": str(LIMIT + 1)}), (b" " * (LIMIT + 1), {})):
        path = "/v2/models/p/infer"
        assert ask(path, chunk, pipelines=Pipelines(), **NAMED, **length)[0] == 413


def test_what_is_not_a_pipelines_goes_on_to_the_models() -> None:
    model = ask("/v2/models/x/infer", pipelines=Pipelines(), seldon_internal_model="m_1")[1]
    assert model["path"] == "/v2/models/m_1/infer"
    health = ask("/v2/health/ready", pipelines=Pipelines(), **NAMED)[1]
    assert (health["path"], "pipeline" in health) == ("/v2/health/ready", False)


def test_a_server_without_pipelines_says_so() -> None:
    status, said = ask("/v2/models/x/infer", seldon_internal_model="p.pipeline")
    assert (status, said["error"]) == (404, "no pipelines are served here")
