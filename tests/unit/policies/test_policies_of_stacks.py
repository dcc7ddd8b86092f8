"""The repository's own stacks pass, and an audit of them says what it would stop."""

import dataclasses
import json

import pytest

from bellwether import __main__ as cli
from bellwether import policies
from infra import settings
from infra.cluster import recording
from policies import document, judge, stacks

STACKS = ("dev", "staging", "production")


@pytest.fixture(scope="module")
def recorded():
    return {name: [policies.resource(r) for r in recording.record(name)] for name in STACKS}


@pytest.mark.parametrize("name", STACKS)
def test_nothing_mandatory_is_found_in_what_a_stack_registers(recorded, name):
    found = judge.judge(recorded[name], stacks.read(name))
    assert [each for each in found if each.severity == "mandatory"] == []


@pytest.mark.parametrize(
    ("taken", "rule"),
    [
        ("NetworkPolicy/deny-by-default", "deny-by-default"),
        ("PodDisruptionBudget/valkey", "disruption-budget"),
        ("PodDisruptionBudget/mlserver-router", "disruption-budget"),
        ("CronJob/valkey-backup", "backed-up"),
        ("RoleBinding/bandit", "idle-token"),
        ("Experiment/financial-mab-experiment", "bandit-owns-weights"),
    ],
)
def test_what_a_stack_needs_is_missed_when_it_is_taken_away(recorded, taken, rule):
    rest = [each for each in recorded["production"] if each.name != taken]
    assert len(rest) == len(recorded["production"]) - 1
    assert rule in {each.rule for each in judge.judge(rest, stacks.read("production"))}


def test_a_production_stack_without_protection_is_stopped(recorded):
    bare = [dataclasses.replace(each, protect=False) for each in recorded["production"]]
    found = {j.object for j in judge.judge(bare, stacks.read("production"))}
    assert {"StatefulSet bellwether/valkey", "Kafka bellwether/bellwether"} <= found


def test_images_of_another_registry_than_the_stacks_are_stopped(recorded):
    elsewhere = stacks.Stack("production", "production", "registry.example.com/other")
    found = judge.judge(recorded["production"], elsewhere)
    assert {j.rule for j in found if j.severity == "mandatory"} == {"image-registry"}


def test_the_command_prints_json_and_fails_only_on_what_is_mandatory(monkeypatch, capsys, tmp_path):
    found = judge.Judgement("labels", "mandatory", "Pod a/b", "metadata", "why.", "mend it")
    audits = {
        "dev": policies.Audit("dev", "dev", 1, (dataclasses.replace(found, severity="advisory"),)),
        "production": policies.Audit("production", "production", 1, (found,)),
    }
    monkeypatch.setattr(policies, "audit", audits.__getitem__)
    assert _run(monkeypatch, "-s", "dev", "--json") == 0
    (printed,) = json.loads(capsys.readouterr().out)
    assert printed == {
        "rule": "labels",
        "severity": "advisory",
        "object": "Pod a/b",
        "path": "metadata",
        "message": "why.",
        "remedy": "mend it",
    }
    assert _run(monkeypatch, "-s", "production", "--markdown", str(tmp_path / "a.md")) == 1
    assert (tmp_path / "a.md").read_text() == audits["production"].markdown()
    assert "1 mandatory, 0 advisory, 0 excused" in capsys.readouterr().out


def test_markdown_puts_the_counts_first_and_keeps_a_tables_rows_whole():
    found = judge.Judgement("labels", "mandatory", "Pod a|b", "metadata", "one\ntwo", "mend it")
    lines = policies.Audit("dev", "dev", 3, (found,)).markdown().splitlines()
    assert lines[2] == "3 resources, 1 mandatory, 0 advisory, 0 excused"
    assert lines[-1] == "| labels | Pod a\\|b | `metadata` | one two | mend it |"


def test_a_local_stack_is_no_clusters():
    with pytest.raises(settings.SettingsError, match="local stack"):
        policies.audit("local")


def test_the_page_says_what_the_table_says():
    page = policies.paths.ROOT / "docs" / "policies.md"
    assert page.read_text() == document.text(), (
        "uv run python -m policies.document > docs/policies.md"
    )


def _run(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["bellwether", "policies", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code
