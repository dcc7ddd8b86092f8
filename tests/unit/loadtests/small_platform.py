"""A small platform over real sockets: a gateway that splits by weights, objects, a model server.

It keeps Seldon's manners that the load tests rely on, and can be told to misbehave.
"""

import collections
import dataclasses
import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from loadtests import endpoints

EXPERIMENT = "financial-mab-experiment"
WEIGHTS = (("one-predictor", 50), ("two-predictor", 30), ("three-predictor", 20))
NAMESPACE = "test"
ROOT = f"/apis/mlops.seldon.io/v1alpha1/namespaces/{NAMESPACE}"


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
        json.loads(self._body())
        if self.server.is_gateway:
            self._split()
        else:
            self._send(200, forecast(self.path.split("/")[3].rpartition("_")[0]))

    def _split(self) -> None:
        platform = self.server.platform
        time.sleep(platform.gateway_delay)  # what is to be measured
        asked = self.headers["seldon-model"]
        model = platform.choose() if asked == f"{EXPERIMENT}.experiment" else asked
        if model not in dict(WEIGHTS):
            self._send(404, {})
            return
        with platform.lock:
            platform.asked += 1
            number = platform.asked
            platform.headers.append({name.lower(): value for name, value in self.headers.items()})
        status, document = 200, forecast(model)
        if platform.spoil:
            status, document = platform.spoil(number, document)
        self._send(status, document, {"x-seldon-route": f":{model}_1:"})

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

    def __init__(self, platform: Platform, *, is_gateway: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.platform = platform
        self.is_gateway = is_gateway


@contextmanager
def running(platform: Platform) -> Iterator[endpoints.Endpoints]:
    servers = [_Server(platform, is_gateway=is_gateway) for is_gateway in (True, False)]
    threads = [threading.Thread(target=server.serve_forever) for server in servers]
    for thread in threads:
        thread.start()
    gateway, model_server = (f"http://127.0.0.1:{server.server_port}" for server in servers)
    try:
        yield endpoints.Endpoints(gateway, gateway, model_server, NAMESPACE)
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()
