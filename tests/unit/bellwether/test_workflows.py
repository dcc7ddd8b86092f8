"""What the workflows may, what they call, and that it is there."""

import pathlib
import re
import shlex

import pytest
import typer.main
import yaml

from bellwether import __main__, checks
from infra import paths

GITHUB = paths.ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
ACTIONS = sorted((GITHUB / "actions").glob("*/action.yml"))
PINNED = re.compile(r"^[\w./-]+@[0-9a-f]{40}$")
CALL = re.compile(r"uv run --no-sync bellwether (.*?)(?=$|\||>|\buv run)", re.MULTILINE)


def read(path):
    return yaml.safe_load(path.read_text())


def jobs():
    return [
        (path.name, name, job) for path in WORKFLOWS for name, job in read(path)["jobs"].items()
    ]


def steps():
    found = [
        (path, step) for path in WORKFLOWS for job in read(path)["jobs"].values()
        for step in job.get("steps", ())
    ]  # fmt: skip
    return found + [(path, step) for path in ACTIONS for step in read(path)["runs"]["steps"]]


def calls():
    """Every `bellwether` command line of every step, with what GitHub fills in filled in."""
    found = set()
    for path, step in steps():
        for line in CALL.findall(step.get("run", "")):
            found.add((path.name, re.sub(r"\$\{?\w+\}?", "x", line).strip()))
    return sorted(found)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_has_no_rights_but_those_that_a_job_names(path):
    assert read(path)["permissions"] == {}


def test_every_job_names_its_rights():
    assert [name for _, name, job in jobs() if "permissions" not in job] == []


def test_only_the_comment_may_write_to_a_pull_request_and_nobody_to_the_code():
    writers = {
        (name, right) for _, name, job in jobs() for right, level in job["permissions"].items()
        if level == "write"
    }  # fmt: skip
    assert {right for _, right in writers} <= {"pull-requests", "id-token", "packages"}
    assert {name for name, right in writers if right == "pull-requests"} == {"comment"}
    assert {name for name, right in writers if right == "packages"} == {"images"}


def test_every_foreign_action_is_pinned_by_its_commit():
    used = {step["uses"] for _, step in steps() if "uses" in step}
    assert {each for each in used if not each.startswith("./") and not PINNED.match(each)} == set()


def test_no_workflow_gives_a_fork_the_rights_of_the_repository():
    triggers = {trigger for path in WORKFLOWS for trigger in read(path)[True]}
    assert not triggers & {"pull_request_target", "workflow_run"}


def test_no_workflow_uses_a_stored_secret():
    assert [path.name for path in (*WORKFLOWS, *ACTIONS) if "secrets." in path.read_text()] == []


def test_no_deployment_is_ever_cancelled():
    for path, name, job in jobs():
        if path in {"deploy.yml", "stage.yml"} and "concurrency" in job:
            assert job["concurrency"]["cancel-in-progress"] is False, name
    assert read(GITHUB / "workflows" / "deploy.yml")["concurrency"]["cancel-in-progress"] is False


def test_what_deploys_a_stack_holds_its_lock_and_its_environment():
    job = read(GITHUB / "workflows" / "stage.yml")["jobs"]["deploy"]
    assert job["concurrency"]["group"] == "stack-${{ inputs.stack }}"
    assert job["environment"] == "${{ inputs.stack }}"


def test_a_failed_smoke_or_load_test_goes_back_and_only_a_whole_one_is_good():
    steps_ = read(GITHUB / "workflows" / "stage.yml")["jobs"]["deploy"]["steps"]
    order = [step.get("run", "") for step in steps_]

    def place(text):
        (found,) = [i for i, run in enumerate(order) if text in run]
        return found

    assert place("bellwether up") < place("bellwether smoke") < place("bellwether load")
    assert place("bellwether load") < place("mark-good") < place("bellwether rollback")
    assert "failure()" in steps_[place("bellwether rollback")]["if"]
    assert "--plan plan.json" in order[place("bellwether up")]


def test_production_comes_after_staging_and_staging_after_dev():
    found = read(GITHUB / "workflows" / "deploy.yml")["jobs"]
    assert "dev" in found["staging"]["needs"]
    assert "staging" in found["production"]["needs"]


@pytest.mark.parametrize(("where", "line"), calls())
def test_every_command_that_is_called_exists_with_its_options(where, line):
    words = shlex.split(line)
    if "--" in words:
        words = words[: words.index("--") + 1]
    command = typer.main.get_command(__main__.app)
    while hasattr(command, "commands"):
        assert words, f"{where}: {line}"
        assert words[0] in command.commands, f"{where}: there is no command {words[0]!r}"
        command = command.commands[words.pop(0)]
    options = {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
    asked = {word.partition("=")[0] for word in words if word.startswith("-") and word != "--"}
    assert asked <= options, f"{where}: {line}"


def test_the_linters_of_workflows_are_in_the_lint_tier():
    assert {command[0] for command in checks._COMMANDS["lint"]} >= {"actionlint", "zizmor"}


def test_what_the_documents_call_exists():
    texts = [path.read_text() for path in sorted((paths.ROOT / "docs").glob("*.md"))] + [
        pathlib.Path(paths.ROOT / "README.md").read_text()
    ]
    known = typer.main.get_command(__main__.app).commands
    called = {name for text in texts for name in re.findall(r"uv run bellwether ([a-z-]+)", text)}
    assert called - set(known) == set()
