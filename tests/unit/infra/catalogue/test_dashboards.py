"""The dashboards as Grafana gets them."""

import itertools
import json
import re
import subprocess

import pytest
import yaml
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.models import dashboard

from infra.catalogue import dashboards
from infra.catalogue.dashboards import panel
from infra.local import toolchain
from tests import promql

FILES = {name: json.loads(text) for name, text in dashboards.files().items()}


def panels(document):
    return [each for each in document["panels"] if each["type"] != "row"]


def expressions(document):
    return [target["expr"] for each in panels(document) for target in each["targets"]]


def test_there_is_one_for_the_platform_the_experiment_the_models_and_the_features():
    assert set(FILES) == {
        f"bellwether-{name}.json" for name in ("platform", "experiment", "models", "features")
    }


def test_they_are_the_same_twice():
    assert dashboards.files() == dashboards.files()


@pytest.mark.parametrize("name", FILES)
def test_grafanas_own_model_reads_it_back_to_the_same(name):
    plugins.register_default_plugins()
    read = dashboard.Dashboard.from_json(FILES[name])
    assert (read.uid, read.title) == (FILES[name]["uid"], FILES[name]["title"])
    assert len(read.panels) == len(FILES[name]["panels"])


@pytest.mark.parametrize("name", FILES)
def test_ids_are_given_once(name):
    ids = [each["id"] for each in FILES[name]["panels"]]
    assert len(ids) == len(set(ids))
    assert sorted(ids) == list(range(1, len(ids) + 1))
    assert len({each["uid"] for each in FILES.values()}) == len(FILES)


@pytest.mark.parametrize("name", FILES)
def test_every_panel_asks_the_chosen_source_and_says_its_unit_and_what_it_is_about(name):
    chosen = {"type": "prometheus", "uid": f"${{{panel.SOURCE}}}"}
    variables = {each["name"]: each for each in FILES[name]["templating"]["list"]}
    assert variables[panel.SOURCE]["type"] == "datasource"
    for each in panels(FILES[name]):
        assert each["title"]
        assert each["description"].endswith(".")
        assert each["fieldConfig"]["defaults"]["unit"]
        assert each["datasource"] == chosen
        assert all(target["datasource"] == chosen for target in each["targets"])
        assert len({target["refId"] for target in each["targets"]}) == len(each["targets"])


@pytest.mark.parametrize("name", FILES)
def test_panels_do_not_lie_upon_each_other(name):
    places = [each["gridPos"] for each in FILES[name]["panels"]]
    for one, two in itertools.combinations(places, 2):
        beside = one["x"] + one["w"] <= two["x"] or two["x"] + two["w"] <= one["x"]
        below = one["y"] + one["h"] <= two["y"] or two["y"] + two["h"] <= one["y"]
        assert beside or below, (one, two)
    assert all(each["x"] + each["w"] <= 24 for each in places)


@pytest.mark.parametrize("name", FILES)
def test_variables_that_are_named_are_declared(name):
    declared = {each["name"] for each in FILES[name]["templating"]["list"]}
    named = {
        variable
        for expression in expressions(FILES[name])
        for variable in re.findall(r"\$\{?(\w+)\}?", expression)
        if not variable.startswith("__")
    }
    assert named <= declared
    assert named == declared - {panel.SOURCE}, "a variable that changes nothing"


@pytest.mark.parametrize("name", FILES)
def test_a_legends_labels_are_kept_by_its_expression(name):
    for each in panels(FILES[name]):
        for target in each["targets"]:
            kept = re.findall(r"by \(([^)]*)\)", target["expr"])
            labels = {label.strip() for group in kept for label in group.split(",")}
            for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
                assert not kept or label in labels, target


def test_prometheus_takes_every_expression(tmp_path):
    """As recordings: Prometheus' own parser and its check of types."""
    every = [promql.plain(each) for document in FILES.values() for each in expressions(document)]
    rules = [{"record": f"panel:{number}", "expr": each} for number, each in enumerate(every)]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    program = toolchain.promtool()
    assert program is not None
    answer = subprocess.run(
        [program, "check", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert f"{len(every)} rules found" in answer.stdout
