"""Run the controller: `python -m runtimes.bandit.controller CONFIG.json`, see `settings.Settings`."""

import http.server
import logging
import pathlib
import signal
import sys
import threading
from collections.abc import Sequence

import prometheus_client

from runtimes.contract import configuration

from . import settings as controller_settings
from .operator import Operator


class _Pages(http.server.BaseHTTPRequestHandler):
    """GET /metrics, and GET /ready: 200, or 503 with what is missing."""

    operator: Operator

    def do_GET(self) -> None:
        if self.path == "/metrics":
            self._answer(200, prometheus_client.generate_latest())
        elif self.path == "/ready":
            reason = self.operator.unready()
            self._answer(503 if reason else 200, f"{reason or 'ready'}\n".encode())
        else:
            self._answer(404, b"there are /metrics and /ready\n")

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Log no scrape."""


def main(arguments: Sequence[str]) -> int:
    """Run the controller; give its exit status."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m runtimes.bandit.controller CONFIG.json\n")
        return 2
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("bellwether").setLevel(logging.INFO)
    try:
        given = controller_settings.read(pathlib.Path(arguments[0]))
    except configuration.ConfigurationError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    operator = Operator(given)
    pages = type("Pages", (_Pages,), {"operator": operator})
    server = http.server.ThreadingHTTPServer((given.host, given.port), pages)
    threading.Thread(target=server.serve_forever, daemon=True, name="pages").start()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    # In a thread of its own: kopf leaves the process's signals alone there.
    # And a daemon: what waits for a server that is gone keeps no process from ending.
    watching = threading.Thread(target=operator.run, args=(stop,), daemon=True, name="kopf")
    watching.start()
    try:
        while watching.is_alive() and not stop.is_set():
            watching.join(0.5)
    finally:
        stop.set()
        operator.close()
        watching.join(5)
        server.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
