"""The environment as a whole: what a person at the command line sees."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import httpx
import numpy as np
import psutil
import pytest
from scipy import stats

from bellwether import predict
from infra import paths
from infra.local import supervision
from models import requests, sources
from tests.stack import conftest

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

COMPONENTS = {
    "supervisord", "bandit", "console", "drift", "feature-stream", "gateway", "kafka", "mesh", "model-server",
    "monitor",
    "prometheus",
    "valkey",
    "valkey-exporter",
}  # fmt: skip
ARMS = {
    "baseline-predictor": 40,
    "enhanced-predictor": 30,
    "transformer-predictor": 20,
    "ensemble-predictor": 10,
}


def status():
    answer = conftest.bellwether("status", "--json")
    return json.loads(answer.stdout)


def until(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)
    return found


def forecast(up):
    """One request to the experiment, as a client makes it."""
    answer = conftest.bellwether("predict", "--symbol", "SPX", "--json")
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def test_status_shows_every_part_serving_with_its_address_and_log(up):
    answer = conftest.bellwether("status", "--json")
    assert answer.returncode == 0
    found = json.loads(answer.stdout)
    assert {c["component"] for c in found["components"]} == COMPONENTS
    assert all(c["state"] == "serving" for c in found["components"])
    assert all(o["ready"] for o in found["objects"])
    assert {o["name"] for o in found["objects"] if o["kind"] == "Experiment"} == {
        "financial-mab-experiment"
    }


def test_up_again_changes_nothing(up):
    answer = conftest.bellwether("up", "--json")
    assert answer.returncode == 0, answer.stderr
    assert set(json.loads(answer.stdout)["changes"]) == {"same"}


def test_preview_of_what_runs_is_empty(up):
    answer = conftest.bellwether("preview", "--json")
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["steps"] == []


def test_a_forecast_of_real_data_comes_back_with_its_arm(up):
    found = forecast(up)
    assert found["model"] in ARMS
    assert found["route"].startswith(f":{found['model']}_")
    assert 0.01 < found["volatility"] < 3
    assert found["interval"][0] < found["volatility"] < found["interval"][1]
    assert 0 < found["direction"] < 1


def test_an_unknown_symbol_is_refused_with_the_known_ones(up):
    answer = conftest.bellwether("predict", "--symbol", "NOSUCH")
    assert answer.returncode == 1
    assert "SPX" in answer.stderr


def test_ten_thousand_requests_split_by_the_weights(up):
    ports = up.settings().ports
    body = real_body()
    headers = {"seldon-model": "financial-mab-experiment.experiment"}
    counts = dict.fromkeys(ARMS, 0)
    with httpx.Client(base_url=f"http://127.0.0.1:{ports.gateway}") as client:
        for _ in range(10_000):
            answer = client.post(
                "/v2/models/financial-mab-experiment/infer",
                content=body,
                headers={**headers, "content-type": "application/json"},
            )
            assert answer.status_code == 200
            counts[answer.headers["x-seldon-route"].strip(":").rpartition("_")[0]] += 1
    expected = np.array(list(ARMS.values())) * 100
    assert stats.chisquare(list(counts.values()), expected).pvalue > 0.001, counts


def real_body():
    day = requests.latest("SPX", sources.Source(None))
    return json.dumps(predict.inference_request(day)).encode()


def test_a_load_test_holds_its_thresholds_and_leaves_its_reports(up):
    answer = conftest.bellwether("load", "--users", "10", "--duration", "6s", "--json")
    assert answer.returncode == 0, answer.stderr
    parts = json.loads(answer.stdout)["parts"]
    assert {part["journey"] for part in parts if part["requests"] and not part["failed"]} == {
        *("model", "experiment", "pipeline", "explanation", "reward")
    }
    folder = pathlib.Path(json.loads(answer.stdout)["folder"])
    assert folder.parent == conftest.HOME / "reports"
    left = {file.name for file in folder.iterdir()}
    assert {"report.html", "summary.md", "load.png", "locust_stats.csv"} <= left


def test_prometheus_scrapes_every_part(up):
    url = f"http://127.0.0.1:{up.settings().ports.prometheus}/api/v1/query"
    wanted = {
        "bandit",
        "drift",
        "envoy",
        "feature-stream",
        "kafka",
        "mesh",
        "mlserver",
        "monitor",
        "prometheus",
        "valkey",
    }

    def all_up():
        result = httpx.get(url, params={"query": "up == 1"}).json()["data"]["result"]
        return {r["metric"]["job"] for r in result} == wanted

    until(all_up, 30, "every target is up")


@pytest.mark.parametrize(
    ("component", "seconds"),
    [
        ("valkey", 5),
        ("valkey-exporter", 5),
        ("prometheus", 5),
        ("mesh", 5),
        ("model-server", 5),
        ("gateway", 5),
        ("kafka", 15),
        ("guardian", 5),
    ],
)
def test_a_killed_process_is_back_and_serves(up, component, seconds):
    specification = supervision.Supervision(up.home).specification(component)
    pid = specification.pid()
    os.kill(pid, signal.SIGKILL)

    def back():
        found = specification.pid()
        ready = component == "guardian" or specification.readiness.failure() is None
        return found not in {None, pid} and ready

    # One machine of two cores runs the test beside it: twice the time that an idle one takes.
    until(back, seconds * 2, f"{component} serves again")
    until(lambda: status()["serving"], 10, "all of it serves again")
    assert forecast(up)["model"] in ARMS


def test_status_tells_when_a_part_is_away(up):
    specification = supervision.Supervision(up.home).specification("prometheus")
    pid = specification.pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        answer = conftest.bellwether("status", "--json")
        states = {c["component"]: c["state"] for c in json.loads(answer.stdout)["components"]}
        assert answer.returncode == 1
        assert states["prometheus"] == "starting"
        assert states["gateway"] == "serving"
    finally:
        os.kill(pid, signal.SIGCONT)


def test_supervisord_itself_comes_back_and_nobody_stops_serving_meanwhile(up):
    supervision_ = supervision.Supervision(up.home)
    before = {s.name: s.pid() for s in supervision_.specifications()}
    (old,) = supervision_.leftovers("supervisord")
    os.kill(old.pid, signal.SIGKILL)
    until(
        lambda: (
            supervision_.alive()
            and [p.pid for p in supervision_.leftovers("supervisord")] != [old.pid]
        ),
        10,
        "a new supervisord answers",
    )
    assert {s.name: s.pid() for s in supervision_.specifications()} == before
    assert forecast(up)["model"] in ARMS
    # What it took over is still kept alive.
    valkey = supervision_.specification("valkey")
    os.kill(valkey.pid(), signal.SIGKILL)
    until(
        lambda: valkey.readiness.failure() is None and valkey.pid() != before["valkey"],
        10,
        "valkey",
    )


def test_a_taken_port_is_named_with_its_owner_and_its_setting(up, tmp_path):
    """A second environment on the first one's ports."""
    environment = {**os.environ, "BELLWETHER_HOME": str(tmp_path), "BELLWETHER_STACK": "test"}
    command = [sys.executable, "-m", "bellwether"]
    try:
        answer = subprocess.run(
            [*command, "up"],
            cwd=paths.ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    finally:
        subprocess.run([*command, "down"], cwd=paths.ROOT, env=environment, check=True, timeout=120)
    said = " ".join(answer.stderr.split())
    kafka = supervision.Supervision(up.home).specification("kafka")
    assert answer.returncode == 1
    assert f"port 19092 of kafka is taken by process {kafka.pid()}" in said
    assert "`bellwether:ports.kafka`" in said
    assert supervision.Supervision(tmp_path).leftovers() == []
    assert status()["serving"], "the first environment must not notice"


def test_a_deleted_home_and_a_killed_up_are_healed_by_the_next_up(up):
    shutil.rmtree(conftest.HOME)
    process = subprocess.Popen(
        [sys.executable, "-m", "bellwether", "up"],
        cwd=paths.ROOT,
        env={**os.environ, "BELLWETHER_HOME": str(conftest.HOME), "BELLWETHER_STACK": "test"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    begun = conftest.HOME / "supervisor" / "conf.d" / "kafka.json"
    try:
        until(begun.exists, 60, "kafka starts")
    finally:
        command = psutil.Process(process.pid)
        provider = kill(command, *command.children(recursive=True))
        process.wait()
        answer = conftest.bellwether("up")
    assert answer.returncode == 0, answer.stderr
    assert provider, "the provider was running"
    assert status()["serving"]
    assert set(json.loads(conftest.bellwether("up", "--json").stdout)["changes"]) == {"same"}


def test_a_provider_ends_with_the_engine_that_started_it(up):
    process = subprocess.Popen(
        [sys.executable, "-m", "bellwether", "up"],
        cwd=paths.ROOT,
        env={**os.environ, "BELLWETHER_HOME": str(conftest.HOME), "BELLWETHER_STACK": "test"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    command = psutil.Process(process.pid)
    try:
        (provider,) = until(lambda: providers(command), 60, "the provider starts")
        engine = provider.parent()
        assert engine.name() == "pulumi"
        engine.kill()
        psutil.wait_procs([provider], timeout=10)
        assert not provider.is_running() or provider.status() == psutil.STATUS_ZOMBIE
    finally:
        process.kill()
        process.wait()
        answer = conftest.bellwether("up")
    assert answer.returncode == 0, answer.stderr


def words(process):
    """A process's command line; nothing for one that ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def providers(command):
    return [p for p in command.children(recursive=True) if "infra.local.provider" in words(p)]


def kill(*processes):
    """Kill the command, the CLI and the provider, not what supervisord runs; give the providers."""
    found = [p for p in processes if "infra.local.provider" in words(p)]
    for process in processes:
        if words(process) and not any(w in words(process) for w in ("supervisord", "launch.py")):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
    return found
