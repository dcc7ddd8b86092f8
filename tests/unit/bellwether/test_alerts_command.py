"""`bellwether alerts`: what it makes of Prometheus' answers."""

import contextlib
import datetime as dt
import http.server
import json
import threading

import pytest

from bellwether import alerts, environment, steps
from infra import settings

FIRING = {
    "labels": {"alertname": "ValkeyDown", "severity": "critical", "instance": "a"},
    "annotations": {
        "summary": "Valkey [does] not answer",
        "description": "It is away.",
        "runbook_url": "docs/runbooks/valkey-down.md",
    },
    "state": "firing",
    "activeAt": "2026-01-02T03:04:05.123456789Z",
    "value": "0e+00",
}
PENDING = {
    "labels": {"alertname": "ArmVetoed", "severity": "warning", "arm": "b"},
    "annotations": {},
    "state": "pending",
    "activeAt": "2026-01-02T03:04:05Z",
    "value": "1e+00",
}


class Stack(environment.Stack):
    """A stack whose Prometheus is the test's."""

    def __init__(self, port):
        super().__init__("test")
        object.__setattr__(self, "port", port)

    def settings(self):
        return settings.Settings(ports=settings.Ports(prometheus=self.port))


@contextlib.contextmanager
def prometheus(found, status=200):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps({"status": "success", "data": {"alerts": found}}).encode()
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Stack(server.server_address[1])
        server.shutdown()


def test_what_fires_comes_first_with_its_page():
    with prometheus([PENDING, FIRING]) as stack:
        found = alerts.read(stack)
    assert [each.name for each in found.alerts] == ["ValkeyDown", "ArmVetoed"]
    assert [each.name for each in found.firing] == ["ValkeyDown"]
    first = found.alerts[0]
    assert first.labels == {"instance": "a"}
    assert first.runbook == "docs/runbooks/valkey-down.md"
    assert first.since == dt.datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=dt.UTC)


def test_a_person_sees_the_summary_as_it_is():
    with prometheus([FIRING]) as stack:
        shown = alerts.table(alerts.read(stack))
    with steps.console.capture() as captured:
        steps.console.print(shown, width=200)
    assert "Valkey [does] not answer" in captured.get()


def test_a_prometheus_that_is_away_is_named_with_what_to_do():
    with prometheus([]) as stack:
        pass
    with pytest.raises(alerts.AlertsError, match=r"does not answer at http.*make up"):
        alerts.read(stack)


def test_a_prometheus_that_fails_is_no_empty_list():
    with prometheus([], status=500) as stack, pytest.raises(alerts.AlertsError, match="500"):
        alerts.read(stack)
