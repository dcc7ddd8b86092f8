"""Vetoes by what a real Envoy counted of two arms that fail, dawdle and heal as they are told."""

import http.server
import json
import math
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import scipy.stats

from infra.local import toolchain
from loadtests import bandit_parts
from runtimes.bandit import declaration
from runtimes.bandit.controller import health
from runtimes.bandit.controller.guarding import Guard
from runtimes.bandit.controller.health import Counters

ARMS = ("one", "two")
ALLOWED = declaration.Guardrails(max_error_rate=0.05, max_p99_ms=100)
INPUTS = [{"name": "features", "datatype": "FP32", "shape": [-1, 3]}]


class Arm:
    """A model server that answers metadata and inferences."""

    def __init__(self) -> None:
        self.status, self.seconds = 200, 0.0
        arm = self

        class Pages(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(200, {"inputs": INPUTS})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert body["inputs"][0]["data"]
                time.sleep(arm.seconds)
                self._answer(arm.status, {})

            def _answer(self, status: int, body: Any) -> None:
                content = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None: ...

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def _socket(port: int) -> dict[str, Any]:
    return {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}


def _bootstrap(admin: int, gateway: int, arms: dict[str, Arm]) -> dict[str, Any]:
    clusters, routes = [], []
    for name, arm in arms.items():
        cluster = f"{name}_1_http"
        endpoint = {"endpoint": _socket(arm.server.server_port)}
        clusters.append(
            {
                "name": cluster,
                "type": "STATIC",
                "connect_timeout": "1s",
                "load_assignment": {
                    "cluster_name": cluster,
                    "endpoints": [{"lb_endpoints": [endpoint]}],
                },
            }
        )
        routes.append({"match": {"prefix": f"/v2/models/{name}"}, "route": {"cluster": cluster}})
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network."
        "http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "test",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
                },
            }
        ],
    }
    listener = {
        "name": "test",
        **_socket(gateway),
        "filter_chains": [{"filters": [{"name": "manager", "typed_config": manager}]}],
    }
    return {
        "admin": _socket(admin),
        "stats_flush_interval": "0.05s",  # histograms show what they have after it
        "static_resources": {"listeners": [listener], "clusters": clusters},
    }


@pytest.fixture
def world(tmp_path) -> Iterator[tuple[dict[str, Arm], str, str]]:
    admin, gateway = bandit_parts.free_ports(2)
    arms = {name: Arm() for name in ARMS}
    path = tmp_path / "envoy.json"
    path.write_text(json.dumps(_bootstrap(admin, gateway, arms)))
    program = str(toolchain.Toolchain.locate().envoy)
    with (tmp_path / "envoy.log").open("wb") as log:
        envoy = subprocess.Popen(
            [program, "-c", str(path), "--concurrency", "1", "--disable-hot-restart"],
            stdout=log,
            stderr=log,
        )

    def ready() -> bool | None:
        try:
            return httpx.get(f"http://127.0.0.1:{admin}/ready").is_success or None
        except httpx.TransportError:
            return None

    try:
        bandit_parts.until(ready, "Envoy is there", 20)
        yield arms, f"http://127.0.0.1:{admin}", f"http://127.0.0.1:{gateway}"
    finally:
        envoy.terminate()
        envoy.wait(20)
        for arm in arms.values():
            arm.server.shutdown()


def _ask(gateway: str, count: int) -> None:
    body = {"inputs": [{**INPUTS[0], "shape": [1, 3], "data": [1, 2, 3]}]}
    with httpx.Client(base_url=gateway) as client:
        for _ in range(count):
            for name in ARMS:
                client.post(f"/v2/models/{name}/infer", json=body)


def test_a_failing_arm_loses_its_traffic_within_an_epoch_and_has_it_back_when_it_heals(world):
    arms, admin, gateway = world
    guard = Guard(admin, None, gateway)
    assert guard.judge(ARMS, ALLOWED, {}) == {}
    _ask(gateway, 20)
    assert guard.judge(ARMS, ALLOWED, {}) == {}
    arms["two"].status = 500
    _ask(gateway, 20)
    vetoes = guard.judge(ARMS, ALLOWED, {})
    assert vetoes == {"two": "20 of 20 requests failed, 5.0% may"}
    vetoes = guard.judge(ARMS, ALLOWED, vetoes)  # no traffic: it is asked
    assert vetoes == {"two": "still fails: 5 of 5 requests that asked it"}
    arms["two"].status = 200
    assert guard.judge(ARMS, ALLOWED, vetoes) == {}
    assert guard.judge(ARMS, ALLOWED, {}) == {}, "what asked it counts against nobody"
    guard.close()


def test_a_slow_arm_loses_its_traffic_and_has_it_back_when_it_heals(world):
    arms, admin, gateway = world
    guard = Guard(admin, None, gateway)
    guard.judge(ARMS, ALLOWED, {})
    arms["one"].seconds = 0.15
    _ask(gateway, 5)
    counters = health.EnvoyCounters(admin)
    bandit_parts.until(
        lambda: True if counters.read(ARMS)["one"].slower_than(100) == (5, 5) else None, "flushed"
    )
    counters.close()
    vetoes = guard.judge(ARMS, ALLOWED, {})
    assert vetoes == {"one": "5 of 5 requests took longer than 100 ms, 1% may"}
    assert guard.judge(ARMS, ALLOWED, vetoes)["one"].startswith("still slow")
    arms["one"].seconds = 0.0
    assert guard.judge(ARMS, ALLOWED, vetoes) == {}
    guard.close()


def test_without_envoy_vetoes_stay_as_they_are():
    (port,) = bandit_parts.free_ports(1)
    guard = Guard(f"http://127.0.0.1:{port}", None)
    assert guard.judge(ARMS, ALLOWED, {"two": "bad"}) == {"two": "bad"}
    assert guard.judge(ARMS, declaration.Guardrails(), {"two": "bad"}) == {}
    guard.close()


@pytest.mark.parametrize(
    ("successes", "trials", "chance"),
    [(2, 2, 0.05), (5, 100, 0.01), (60, 1000, 0.05), (1, 40, 0.01), (700, 10_000, 0.06)],
)
def test_the_binomial_tail_is_scipys(successes, trials, chance):
    exact = scipy.stats.binom.sf(successes - 1, trials, chance)
    assert health.at_least(successes, trials, chance) == pytest.approx(exact, rel=1e-9)


def test_one_failure_is_no_verdict_and_two_of_two_are():
    assert health.why_vetoed(Counters(1, 1), ALLOWED) is None
    assert health.why_vetoed(Counters(2, 2), ALLOWED) is not None
    assert health.why_vetoed(Counters(1000, 55), ALLOWED) is None
    assert health.why_vetoed(Counters(1000, 75), ALLOWED) is not None
    strict = declaration.Guardrails(max_error_rate=0.0)
    assert health.why_vetoed(Counters(500, 1), strict) is not None


def test_a_server_that_began_anew_begins_at_zero():
    before, now = Counters(100, 10, {1.0: 50, math.inf: 100}), Counters(4, 1, {1.0: 3, math.inf: 4})
    assert now.since(before) == now
    assert Counters(104, 11).since(before).requests == 4
