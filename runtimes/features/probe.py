"""`/ready` and `/metrics` of the feature stream, over HTTP."""

import contextlib
import socketserver
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref import simple_server

import prometheus_client


class _Server(socketserver.ThreadingMixIn, simple_server.WSGIServer):
    daemon_threads = True


class _Silent(simple_server.WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  as the library calls it
        """Log nothing: a probe comes every few seconds."""


@contextlib.contextmanager
def serving(port: int, ready: Callable[[], bool], host: str = "127.0.0.1") -> Iterator[None]:
    """Answer at `host` and `port` while the context lasts: 200 at `/ready` if `ready()`, else 503."""
    shown = prometheus_client.make_wsgi_app()

    def app(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/ready":
            answer: Iterable[bytes] = shown(environ, start)
            return answer
        status, text = ("200 OK", b"ready\n") if ready() else ("503 Not Ready", b"not ready\n")
        start(status, [("Content-Type", "text/plain")])
        return [text]

    with simple_server.make_server(host, port, app, _Server, _Silent) as server:
        threading.Thread(target=server.serve_forever, daemon=True, name="probe").start()
        try:
            yield
        finally:
            server.shutdown()
