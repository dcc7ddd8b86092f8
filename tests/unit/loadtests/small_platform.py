"""A small platform over real sockets: a gateway that splits by weights, objects, a model server.

It keeps Seldon's manners that the load tests rely on, and can be told to misbehave.
"""

import collections
import concurrent.futures
import dataclasses
import http.server
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

import grpc

from loadtests import endpoints, open_inference

EXPERIMENT = "financial-mab-experiment"
PIPELINE = "financial-prediction-pipeline"
EXPLAINER = "explanations"
REWARD = "reward"
WEIGHTS = (("one-predictor", 50), ("two-predictor", 30), ("three-predictor", 20))
NAMESPACE = "test"
ROOT = f"/apis/mlops.seldon.io/v1alpha1/namespaces/{NAMESPACE}"


_CODES = {
    401: grpc.StatusCode.UNAUTHENTICATED,
    404: grpc.StatusCode.NOT_FOUND,
    503: grpc.StatusCode.UNAVAILABLE,
}


def forecast(model: str) -> dict[str, Any]:
    outputs = (
        ("volatility", [1], [0.2]),
        ("direction", [1], [0.5]),
        ("interval", [1, 2], [0.1, 0.3]),
    )
    return {
        "model_name": f"{model}_1",
        "outputs": [
            {"name": name, "shape": shape, "datatype": "FP64", "data": data}
            for name, shape, data in outputs
        ],
    }


def explanation() -> dict[str, Any]:
    document = {
        "base_value": -2.0,
        "output": -1.5,
        "attributions": [{"feature": "a", "contribution": 0.4}],
        "rest": 0.1,
        "model": {"name": "one-predictor"},
    }
    return {"outputs": [_output("explanation", [1], [json.dumps(document)])]}


def decision() -> dict[str, Any]:
    return {
        "outputs": [
            _output("prediction", [1], [0.2]),
            _output("confidence", [1], [0.7]),
            _output("model", [1, 3], ["one-predictor", "1", "sha256-1"]),
            *explanation()["outputs"],
        ]
    }


def _output(name: str, shape: list[int], data: list[Any]) -> dict[str, Any]:
    datatype = "BYTES" if isinstance(data[0], str) else "FP64"
    return {"name": name, "shape": shape, "datatype": datatype, "data": data}


@dataclasses.dataclass
class Platform:
    weights: list[tuple[str, int]] = dataclasses.field(default_factory=lambda: list(WEIGHTS))
    gateway_delay: float = 0.0
    """Seconds that the gateway adds to a request."""
    acts_after: float = 0.0
    """Seconds from a PATCH to its split."""
    spoil: Callable[[int, dict[str, Any]], tuple[int, dict[str, Any]]] | None = None
    """What becomes of the n-th answer of the gateway: its status and its document."""
    refuse_patch: int | None = None
    """The number of the PATCH that is refused."""
    patches: int = 0
    asked: int = 0
    headers: list[dict[str, str]] = dataclasses.field(default_factory=list)
    credit: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)
    acting: list[tuple[float, list[tuple[str, int]]]] = dataclasses.field(default_factory=list)
    delays: dict[str, float] = dataclasses.field(default_factory=dict)
    """Seconds that a model takes, by what the caller asks for."""
    given: list[str] = dataclasses.field(default_factory=list)
    """The request ids of experiments' answers."""
    rewarded: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    """Prediction id and metric of each reward."""
    token: str | None = None
    """What has to come with each request; others are a 401."""

    def answer(
        self, headers: dict[str, str], inputs: list[dict[str, Any]]
    ) -> tuple[int, dict[str, Any], dict[str, str]]:
        """Answer a request at the gateway: status, document, headers."""
        asked = headers["seldon-model"]
        time.sleep(self.gateway_delay + self.delays.get(asked, 0.0))  # what is to be measured
        if self.token and headers.get("authorization") != f"Bearer {self.token}":
            return 401, {}, {}
        model = self.choose() if asked == f"{EXPERIMENT}.experiment" else asked
        document = self.document(model, inputs)
        if document is None:
            return 404, {}, {}
        with self.lock:
            self.asked += 1
            number = self.asked
            self.headers.append(headers)
            if asked == f"{EXPERIMENT}.experiment":
                self.given.append(f"request-{number}")
        status = 200
        if self.spoil:
            status, document = self.spoil(number, document)
        route = {"x-seldon-route": f":{model}_1:", "x-request-id": f"request-{number}"}
        return status, document, route

    def document(self, model: str, inputs: list[dict[str, Any]]) -> dict[str, Any] | None:
        """Make an answer; None for what is not served."""
        if model in dict(WEIGHTS):
            return forecast(model)
        if model == f"{PIPELINE}.pipeline":
            return decision()
        if model == EXPLAINER:
            return explanation()
        if model == REWARD:
            given = {each["name"]: each["data"] for each in inputs}
            with self.lock:
                self.rewarded.append((given["prediction_id"][0], given["metric"][0]))
            return {"outputs": [_output("acknowledged", [1], [1.0])]}
        return None

    @property
    def split(self) -> list[tuple[str, int]]:
        """The weights that act now."""
        now = time.perf_counter()
        acting = [weights for since, weights in self.acting if since <= now]
        return acting[-1] if acting else list(WEIGHTS)

    def patch(self, candidates: list[dict[str, Any]]) -> bool:
        with self.lock:
            self.patches += 1
            if self.patches == self.refuse_patch:
                return False
            self.weights = [(each["name"], each["weight"]) for each in candidates]
            self.acting.append((time.perf_counter() + self.acts_after, self.weights))
            return True

    def choose(self) -> str:
        """Give each arm its share, in turn: smooth weighted round robin."""
        with self.lock:
            for name, weight in self.split:
                self.credit[name] += weight
            chosen = max(dict(self.split), key=lambda name: self.credit[name])
            self.credit[chosen] -= sum(weight for _, weight in self.split)
            return chosen


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers for whichever of the two servers took the connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "_Server"

    def do_GET(self) -> None:
        platform = self.server.platform
        requirements = {name: ["bellwether-predictor"] for name, _ in WEIGHTS}
        requirements |= {"reward": [], "fallback-predictor": ["bellwether-guard"]}
        if self.path == f"{ROOT}/models":
            items = [
                {"metadata": {"name": name}, "spec": {"requirements": needed}}
                for name, needed in sorted(requirements.items())
            ]
            self._send(200, {"items": items})
        elif self.path == f"{ROOT}/experiments/{EXPERIMENT}":
            candidates = [{"name": name, "weight": weight} for name, weight in platform.weights]
            self._send(200, {"spec": {"candidates": candidates}})
        else:
            self._send(404, {"message": f"{self.path} is unknown"})

    def do_PATCH(self) -> None:
        document = json.loads(self._body())
        accepted = self.server.platform.patch(document["spec"]["candidates"])
        self._send(200 if accepted else 400, {} if accepted else {"message": "refused"})

    def do_POST(self) -> None:
        document = json.loads(self._body())
        if self.server.is_gateway:
            self._split(document["inputs"])
        else:
            self._send(200, forecast(self.path.split("/")[3].rpartition("_")[0]))

    def _split(self, inputs: list[dict[str, Any]]) -> None:
        platform = self.server.platform
        asked = {name.lower(): value for name, value in self.headers.items()}
        status, document, headers = platform.answer(asked, inputs)
        self._send(status, document, headers)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers["content-length"]))

    def _send(self, status: int, document: Any, headers: dict[str, str] | None = None) -> None:
        # As MLServer writes it: without spaces.
        body = json.dumps(document, separators=(",", ":")).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64  # eight callers connect at once

    def __init__(
        self, platform: Platform, *, is_gateway: bool, tls: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.platform = platform
        self.is_gateway = is_gateway


@contextmanager
def running(platform: Platform, tls: ssl.SSLContext | None = None) -> Iterator[endpoints.Endpoints]:
    servers = [_Server(platform, is_gateway=is_gateway, tls=tls) for is_gateway in (True, False)]
    threads = [threading.Thread(target=server.serve_forever) for server in servers]
    for thread in threads:
        thread.start()
    scheme = "http" if tls is None else "https"
    gateway, model_server = (f"{scheme}://127.0.0.1:{server.server_port}" for server in servers)
    try:
        yield endpoints.Endpoints(gateway, gateway, model_server, NAMESPACE)
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()


@contextmanager
def running_grpc(
    platform: Platform, certificate: tuple[bytes, bytes] | None = None
) -> Iterator[endpoints.Endpoints]:
    """Serve gRPC; `certificate` are key and certificate in PEM."""

    def infer(request: Any, context: grpc.ServicerContext) -> Any:
        metadata = {key: str(value) for key, value in context.invocation_metadata()}
        inputs = [
            {"name": each.name, "data": [text.decode() for text in each.contents.bytes_contents]}
            for each in request.inputs
        ]
        status, document, headers = platform.answer(metadata, inputs)
        context.send_initial_metadata(tuple(headers.items()))
        if status != HTTPStatus.OK:
            context.abort(_CODES[status], "refused")
        answer = open_inference.messages["ModelInferResponse"]()
        for each in document["outputs"]:
            kept = {key: each[key] for key in ("name", "shape", "datatype")}
            output = answer.outputs.add(**kept)
            if each["datatype"] == "BYTES":
                output.contents.bytes_contents.extend(text.encode() for text in each["data"])
            else:
                output.contents.fp64_contents.extend(each["data"])
        return answer

    handler = grpc.unary_unary_rpc_method_handler(
        infer,
        request_deserializer=open_inference.messages["ModelInferRequest"].FromString,
        response_serializer=lambda message: message.SerializeToString(),
    )
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(16))
    service = open_inference.SERVICE.strip("/")
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(service, {"ModelInfer": handler}),)
    )
    if certificate is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([certificate]))
    server.start()
    scheme = "http" if certificate is None else "https"
    try:
        yield endpoints.Endpoints(f"{scheme}://127.0.0.1:{port}", "", "", NAMESPACE)
    finally:
        server.stop(None).wait()
