"""Rules and dashboards on a cluster: registered where its Prometheus and its Grafana look."""

import json

import pytest

from infra.catalogue import alerts, dashboards
from infra.cluster import monitoring, recording


@pytest.fixture(scope="module")
def registered():
    return {each.name: each for each in recording.record("staging") if each.is_object}


def test_the_rules_are_those_that_the_clusters_prometheus_selects(registered):
    rule = registered["PrometheusRule/bellwether"].inputs
    selector = registered["Prometheus/bellwether"].inputs["spec"]["ruleSelector"]["matchLabels"]
    assert selector.items() <= rule["metadata"]["labels"].items()
    # The recording engine gives whole numbers back as they are in YAML.
    assert json.loads(json.dumps(rule["spec"])) == alerts.document(alerts.rules("cluster"))


def test_every_dashboard_is_in_a_config_map_that_grafanas_side_car_finds(registered):
    found = {
        file: text
        for each in registered.values()
        if each.inputs["kind"] == "ConfigMap"
        and each.inputs["metadata"]["labels"].get(monitoring.DASHBOARD_LABEL) == "1"
        for file, text in each.inputs["data"].items()
    }
    assert found == dashboards.files()
