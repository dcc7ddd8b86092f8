"""A gateway over a real socket that answers as Envoy with Seldon's manners does.

What it answers is given by name: a function from the request's tensors to the answer's.
"""

import dataclasses
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

Tensors = dict[str, Any]


class Refusal(Exception):  # noqa: N818
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclasses.dataclass
class Gateway:
    targets: dict[str, Callable[[Tensors], tuple[Tensors, list[str]]]]
    """By `seldon-model`: from tensors to tensors and the lines of `x-seldon-route`."""
    metadata: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    asked: list[str] = dataclasses.field(default_factory=list)
    paths: set[str] = dataclasses.field(default_factory=set)
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)


def _read(tensor: dict[str, Any]) -> Any:
    if tensor["datatype"] == "BYTES":
        return tensor["data"]
    return np.array(tensor["data"]).reshape(tensor["shape"])


def _written(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, list):
        return {"name": name, "shape": [len(value)], "datatype": "BYTES", "data": value}
    array = np.asarray(value, dtype=np.float64)
    return {
        "name": name,
        "shape": list(array.shape),
        "datatype": "FP64",
        "data": array.ravel().tolist(),
    }


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "_Server"
    _id = "request-0"

    def do_GET(self) -> None:
        document = self.server.gateway.metadata.get(self.path.rpartition("/")[2])
        self._send(200 if document else 404, document or {"error": "no such model"}, [])

    def do_POST(self) -> None:
        gateway = self.server.gateway
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        target = self.headers["seldon-model"]
        with gateway.lock:
            gateway.asked.append(target)
            gateway.paths.add(self.path)
            self._id = f"request-{len(gateway.asked)}"
        if target not in gateway.targets:
            self._send(404, {"error": f"{target} not found"}, [])
            return
        try:
            inputs = {tensor["name"]: _read(tensor) for tensor in body["inputs"]}
            outputs, route = gateway.targets[target](inputs)
        except Refusal as refusal:
            self._send(refusal.status, {"error": str(refusal)}, [])
            return
        self._send(
            200, {"outputs": [_written(name, value) for name, value in outputs.items()]}, route
        )

    def _send(self, status: int, document: Any, route: list[str]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        for line in route:
            self.send_header("x-seldon-route", line)
        self.send_header("x-request-id", self._id)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.gateway = gateway


@contextmanager
def running(gateway: Gateway) -> Iterator[str]:
    server = _Server(gateway)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
