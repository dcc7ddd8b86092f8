"""Alerts of the real environment: what goes wrong there fires, and resolves once it is mended.

The stack `test` has a quick `alert_pace`: minutes of the rules are seconds here.
"""

import json
import time
from collections.abc import Callable

import confluent_kafka
import httpx
import pytest

from bellwether import environment as environments
from infra.catalogue import alerts as catalogue
from infra.catalogue import dashboards
from infra.catalogue.alerts import rule
from tests import promql
from tests.stack import conftest, forecasts

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

SECONDS = 90
CALLERS_ONLY = {"RewardsMissing"}
"""Other tests decide, and send no rewards."""


class Prometheus:
    """Asks the stack's Prometheus."""

    def __init__(self, stack: environments.Stack) -> None:
        port = stack.settings().ports.prometheus
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1")

    def get(self, path: str, **parameters: str):
        answer = self._client.get(path, params=parameters).raise_for_status()
        return answer.json()["data"]

    def firing(self) -> set[str]:
        """Names of the alerts that fire; none may have a text that could not be written."""
        found = self.get("alerts")["alerts"]
        assert not [each for each in found if "<error" in json.dumps(each["annotations"])]
        return {each["labels"]["alertname"] for each in found if each["state"] == "firing"}

    def wait(self, met: Callable[[set[str]], bool], what: str) -> None:
        deadline = time.monotonic() + SECONDS
        while not met(firing := self.firing()):
            assert time.monotonic() < deadline, f"not within {SECONDS} s: {what}; fires: {firing}"
            time.sleep(0.2)  # between two looks

    def wait_for(self, *names: str) -> None:
        """Wait until all of these fire."""
        self.wait(lambda firing: set(names) <= firing, f"{', '.join(names)} fire")

    def wait_until_well(self) -> None:
        """Wait until nothing fires that a test is to blame for."""
        self.wait(lambda firing: firing <= CALLERS_ONLY, "nothing fires")


@pytest.fixture
def prometheus(up: environments.Stack) -> Prometheus:
    return Prometheus(up)


def malformed(up: environments.Stack, value: bytes) -> None:
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": f"127.0.0.1:{up.settings().ports.kafka}"}
    )
    producer.produce("market-data", value)
    assert producer.flush(10) == 0


def test_nothing_fires_in_an_environment_that_is_well(prometheus: Prometheus) -> None:
    prometheus.wait_until_well()
    rules = prometheus.get("rules")["groups"]
    assert [each for group in rules for each in group["rules"] if each["health"] == "err"] == []
    assert {group["name"] for group in rules} == {each.name for each in catalogue.rules("local")}


def test_a_malformed_record_fires_and_resolves(
    up: environments.Stack, prometheus: Prometheus
) -> None:
    prometheus.wait_until_well()
    malformed(up, b"{no bar")
    prometheus.wait_for("DeadLettersGrow")
    prometheus.wait_until_well()


def test_frozen_weights_fire_with_their_runbook_until_the_policy_is_active(
    prometheus: Prometheus,
) -> None:
    prometheus.wait_until_well()
    assert conftest.bellwether("bandit", "freeze").returncode == 0
    try:
        prometheus.wait_for("WeightsFrozen")
        answer = conftest.bellwether("alerts", "--json")
        assert answer.returncode == 1
        (found,) = (
            each for each in json.loads(answer.stdout)["alerts"] if each["name"] == "WeightsFrozen"
        )
        assert found["labels"] == {"policy": "financial-mab"}
        assert found["runbook"] == "docs/runbooks/weights-frozen.md"
        assert found["summary"] == "weights of financial-mab are frozen"
        assert "docs/runbooks" in conftest.bellwether("alerts").stderr
    finally:
        answer = conftest.bellwether("up")
    assert answer.returncode == 0, answer.stderr
    prometheus.wait_until_well()
    assert conftest.bellwether("alerts", "--json").returncode in {0, 1}


def test_a_stopped_feature_stream_fires_as_dead_and_as_a_target_and_resolves(
    up: environments.Stack, prometheus: Prometheus
) -> None:
    prometheus.wait_until_well()
    with forecasts.Part(up, "feature-stream").down():
        prometheus.wait_for("FeatureStreamDead", "TargetDown")
    prometheus.wait_until_well()


def test_every_metric_and_label_of_rules_and_dashboards_is_exported(
    up: environments.Stack, prometheus: Prometheus
) -> None:
    """Once everything was used: some series begin with their first event."""
    for command in ("predict", "decide", "explain"):
        answer = conftest.bellwether(command, "--symbol", "SPX")
        assert answer.returncode == 0, answer.stderr
    rules = [each for group in catalogue.rules("local") for each in group.rules]
    expressions = [each.expression for each in rules]
    expressions += [
        expression
        for dashboard in dashboards.DASHBOARDS
        for row in dashboard.rows
        for panel in row.panels
        for expression in panel.queries.values()
    ]
    asked = set().union(*(promql.asked(each) for each in expressions))
    recorded = {each.name for each in rules if isinstance(each, rule.Record)} | {"ALERTS"}
    deadline = time.monotonic() + SECONDS
    while missing := unknown(prometheus, asked, recorded):
        assert time.monotonic() < deadline, f"not exported: {missing}"
        time.sleep(1)  # between two scrapes


def unknown(prometheus: Prometheus, asked: set[promql.Asked], recorded: set[str]) -> set[str]:
    """What is asked for and not there: metrics, or labels of metrics that have series."""
    there = set(prometheus.get("label/__name__/values"))
    declared = {each["metric"] for each in prometheus.get("targets/metadata")}
    missing = set()
    for each in asked:
        if each.metric in there:
            series = prometheus.get("series", **{"match[]": each.metric})
            labels = {label for one in series for label in one}
            missing |= {f"{each.metric}{{{label}}}" for label in each.labels - labels}
        elif not {each.metric, promql.family(each.metric)} & (declared | recorded):
            missing.add(each.metric)
    return missing
