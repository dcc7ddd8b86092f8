"""The pack under the real CLI: `--policy-pack` on an update, `policy analyze` on a state."""

import os
import pathlib
import re
import subprocess

import pulumi
import pulumi.automation
import pytest

from bellwether import policies
from infra import paths
from infra.cluster import recording
from infra.local import toolchain

PACK = paths.ROOT / "policies" / "bellwether-policies"
CANARY = "canary-of-a-secret-4711"


class Registered(pulumi.ComponentResource):
    """Something of a cluster's, registered without the Kubernetes provider."""

    def __init__(self, kind, name, inputs, protect=None, ignored=()):
        options = pulumi.ResourceOptions(protect=protect, ignore_changes=list(ignored) or None)
        super().__init__(kind, name, inputs, options)
        self.register_outputs(inputs)


def _revealed(value):
    """Give what was recorded, with a secret that has a value in each secret's place."""
    if isinstance(value, dict):
        return {key: _revealed(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_revealed(each) for each in value]
    return (
        pulumi.Output.secret(CANARY) if value == recording.cluster_settings.PLACEHOLDER else value
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("policies")
    (made / "state").mkdir()
    (made / "Pulumi.yaml").write_text("name: bellwether\nruntime: python\n")
    return made


@pytest.fixture(scope="module")
def variables(folder):
    command = toolchain.pulumi()
    if command is None:
        pytest.skip("the Pulumi CLI is not installed: `make up` installs it")
    return {
        "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": "of a test",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_HOME": str(folder / "home"),
        "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}",
    }


def _bad():
    """A Secret in plain text, and a pod with all that a pod shall not have."""
    meta = {"name": "a", "namespace": "bellwether"}
    inputs = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": {"a": CANARY}}
    Registered("kubernetes:core/v1:Secret", "plain", inputs)
    hidden = {**inputs, "stringData": {"a": pulumi.Output.secret(CANARY)}}
    Registered("kubernetes:core/v1:Secret", "hidden", hidden)
    spec = {"containers": [{"name": "a", "image": "docker.io/valkey/valkey:latest"}]}
    inputs = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}
    Registered("kubernetes:core/v1:Pod", "loose", inputs)


def _is_stopped_with_its_reasons(said):
    found = re.findall(r"\[mandatory\]\s+plaintext-secret\s+\((.*?)\)", said)
    assert found == ["kubernetes:core/v1:Secret: plain"]
    assert "stringData.a: it is no secret to Pulumi" in said
    assert "has the tag `latest`" in said
    assert "nothing denies ingress by default" in said
    assert CANARY not in said


def test_everything_that_production_registers_passes_the_clis_policy_pack(folder, variables):
    found = [r for r in recording.record("production") if r.type.startswith("kubernetes:")]
    assert any(each.secret_paths for each in found)

    def program():
        for each in found:
            inputs = _revealed(each.inputs)
            Registered(each.type, each.name, inputs, each.protect, each.ignore_changes)

    made = _stack(folder, variables, "production", program).preview(policy_packs=[str(PACK)])
    assert made.change_summary["create"] == len(found) + 1
    assert "bellwether@v0.1.0" in made.stdout
    excused = policies.audit("production").found
    advice = re.findall(r"\[(mandatory|advisory)\]\s+(\S+)", made.stdout)
    assert sorted(advice) == sorted(("advisory", f"{each.rule}-advice") for each in excused)
    assert CANARY not in made.stdout + made.stderr


def test_a_bad_resource_is_stopped_with_its_reason_and_no_secret_is_shown(folder, variables):
    stack = _stack(folder, variables, "judged-as-production-is", _bad)
    with pytest.raises(pulumi.automation.CommandError) as stopped:
        stack.preview(policy_packs=[str(PACK)])
    _is_stopped_with_its_reasons(str(stopped.value))


def test_a_state_that_exists_is_analysed(folder, variables):
    _stack(folder, variables, "exists-already", _bad).up()
    state = folder / "state.json"
    exported = _pulumi(
        folder, variables, "stack", "export", "--stack", "exists-already", "--file", str(state)
    )
    assert exported.returncode == 0, exported.stderr
    stopped = _analyze(state, variables)
    assert stopped.returncode != 0
    _is_stopped_with_its_reasons(stopped.stdout + stopped.stderr)


def _analyze(state: pathlib.Path, variables):
    command = ("policy", "analyze", "--policy-pack", str(PACK), "--file", str(state))
    return _pulumi(state.parent, variables, *command, "--color", "never")


def _pulumi(folder, variables, *command):
    return subprocess.run(
        ["pulumi", *command],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def _stack(folder, variables, name, program):
    options = pulumi.automation.LocalWorkspaceOptions(
        work_dir=str(folder), pulumi_home=str(folder / "home"), env_vars=variables
    )
    os.environ["PATH"] = variables["PATH"]
    return pulumi.automation.create_or_select_stack(
        name, work_dir=str(folder), program=program, project_name="bellwether", opts=options
    )
