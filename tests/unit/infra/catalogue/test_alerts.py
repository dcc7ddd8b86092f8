"""The rules themselves: each alert fires when it should, resolves, and has a page that helps."""

import dataclasses
import re
import subprocess

import alert_scenarios
import jsonschema
import pytest
import yaml

from infra import paths
from infra.catalogue import alerts, models
from infra.catalogue.alerts import features, objectives, rule
from infra.local import prometheus, toolchain
from runtimes.features import definitions

LOCAL = alerts.rules("local")
SCHEMA = paths.ROOT.parent / "shared" / "crds" / "prometheus" / "prometheusrules.yaml"


def promtool(*arguments):
    program = toolchain.promtool()
    assert program is not None, "`uv run bellwether setup` installs promtool"
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)


def written(tmp_path, groups):
    """The rules as a file, each group evaluated as often as a test says."""
    rules = tmp_path / "rules.yml"
    plain = tuple(dataclasses.replace(group, interval=None) for group in groups)
    rules.write_text(yaml.safe_dump(alerts.document(plain)))
    return rules


def course(tmp_path, groups, scenarios, every="1m"):
    severities = {each.name: each.severity for each in alerts.alerts(groups)}
    tests = [s.test(severities[s.alert], alert_scenarios.UNCHANGED) for s in scenarios]
    document = {
        "rule_files": [str(written(tmp_path, groups))],
        "evaluation_interval": every,
        "tests": tests,
    }
    file = tmp_path / "tests.yml"
    file.write_text(yaml.safe_dump(document))
    return promtool("test", "rules", str(file))


def test_every_alert_has_a_scenario():
    names = {each.name for each in alerts.alerts(LOCAL)}
    assert {each.alert for each in alert_scenarios.SCENARIOS} == names


def test_objectives_alert_on_a_fast_burn_and_resolve(tmp_path):
    fast = [each for each in alert_scenarios.OBJECTIVES if each.alert.endswith("Fast")]
    answer = course(tmp_path, LOCAL[:1], fast, "5m")
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_objectives_alert_on_a_slow_burn_alone_and_resolve(tmp_path):
    slow = [each for each in alert_scenarios.OBJECTIVES if each.alert.endswith("Slowly")]
    answer = course(tmp_path, LOCAL[:1], slow, "30m")
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_every_other_alert_fires_alone_and_resolves(tmp_path):
    there = {each.name for each in alerts.alerts(LOCAL[1:])}
    scenarios = [each for each in alert_scenarios.SCENARIOS if each.alert in there]
    answer = course(tmp_path, LOCAL[1:], scenarios)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_a_cluster_has_the_same_alerts_but_those_on_the_mesh_and_on_prometheus_itself():
    here = {each.name: each for each in alerts.alerts(LOCAL)}
    there = {each.name: each for each in alerts.alerts(alerts.rules("cluster"))}
    assert here.keys() - there.keys() == {"ModelNotReady", "PipelineNotReady", "RulesFail"}
    assert all(here[name] == each for name, each in there.items())


def test_a_scenario_in_which_nothing_happens_is_told_from_one_that_fires(tmp_path):
    """What judges the alerts can fail."""
    calm = dataclasses.replace(
        next(each for each in alert_scenarios.SCENARIOS if each.alert == "ValkeyDown"),
        series={"redis_up": alert_scenarios.level(1, 1)},
    )
    answer = course(tmp_path, LOCAL[1:], [calm])
    assert answer.returncode == 1
    assert "ValkeyDown" in answer.stdout + answer.stderr


def test_a_part_of_a_cluster_counts_as_the_same_part(tmp_path):
    gone = {'up{job="bellwether/feature-stream",instance="a"}': alert_scenarios.level(1, 0)}
    scenario = alert_scenarios.Scenario("FeatureStreamDead", gone, also=("TargetDown",))
    severity = "critical"
    test = scenario.test(severity, {'bellwether_bandit_leading{policy="p"}': "1x3000"})
    rules = written(tmp_path, alerts.rules("cluster")[1:])
    file = tmp_path / "tests.yml"
    file.write_text(
        yaml.safe_dump({"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": [test]})
    )
    answer = promtool("test", "rules", str(file))
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize("pace", [1.0, 0.02])
def test_prometheus_takes_the_rules_at_every_pace(tmp_path, pace):
    file = tmp_path / "rules.yml"
    file.write_text(prometheus.rules(pace))
    answer = promtool("check", "rules", "--lint=all", "--lint-fatal", str(file))
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_a_quick_pace_shortens_waits_and_keeps_windows_of_three_scrapes():
    pace = rule.Pace(0.02)
    assert pace.hold("10m") == "12s"
    assert pace.window("3d") == "5184s"
    assert pace.window("5m") == "15s"
    assert rule.Pace().window("5m") == "5m"


def test_a_duration_that_prometheus_would_not_take_is_refused():
    with pytest.raises(ValueError, match="such as 5m"):
        rule.Pace().hold("5 minutes")


@pytest.mark.skipif(not SCHEMA.exists(), reason="../shared/crds is not there")
@pytest.mark.parametrize("target", rule.BOTH)
def test_the_rules_are_the_spec_of_a_prometheus_rule(target):
    (version,) = yaml.safe_load(SCHEMA.read_text())["spec"]["versions"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    jsonschema.Draft202012Validator(spec).validate(alerts.document(alerts.rules(target)))


def test_names_are_given_once_and_say_what_they_are():
    names = [each.name for each in alerts.alerts(LOCAL)]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"([A-Z][a-z]+)+", name) for name in names)
    for each in alerts.alerts(LOCAL):
        assert each.summary
        assert each.description.endswith((".", "{{ end }}")), each.name


def test_an_age_counts_as_stale_where_the_enrichment_step_counts_it():
    views = definitions.declare(("SPX",)).views
    assert {view.max_age for view in views if view.name == "market_data"} == {features.STALE}


def test_a_request_is_in_time_where_the_bandits_guardrail_lets_it_be():
    from infra.catalogue import bandits  # noqa: PLC0415  its name is that of a test's fixture

    assert bandits.FINANCIAL_MAB.spec.guardrails.max_p99_ms == objectives.LATENCY_MS
    assert dict(models.GUARD.parameters)["drift_threshold"] == str(features.DRIFT)
