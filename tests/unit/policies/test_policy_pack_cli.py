"""The pack under the real CLI: `--policy-pack` on an update, `policy analyze` on a state."""

import json
import os
import pathlib
import re
import subprocess

import pulumi
import pulumi.automation
import pytest

from infra import paths
from infra.cluster import recording
from infra.local import toolchain

PACK = paths.ROOT / "policies" / "bellwether-policies"
CANARY = "canary-of-a-secret-4711"
STACK = "production"


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
def found():
    kinds = ("kubernetes:",)
    return [each for each in recording.record(STACK) if each.type.startswith(kinds)]


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


@pytest.fixture(scope="module")
def updated(folder, variables, found):
    """Everything that production registers, under the pack."""

    def program():
        for each in found:
            Registered(
                each.type, each.name, _revealed(each.inputs), each.protect, each.ignore_changes
            )

    stack = _stack(folder, variables, STACK, program)
    stack.up(policy_packs=[str(PACK)])
    state = folder / "state.json"
    _pulumi(folder, variables, "stack", "export", "--stack", STACK, "--file", str(state))
    return state


def test_everything_that_production_registers_passes_the_clis_policy_pack(updated):
    resources = json.loads(updated.read_text())["deployment"]["resources"]
    assert len(resources) > 100
    assert CANARY not in updated.read_text()


def test_a_bad_resource_is_stopped_with_its_reason_and_no_secret_is_shown(folder, variables):
    meta = {"name": "a", "namespace": "bellwether"}

    def program():
        inputs = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": meta,
            "stringData": {"a": CANARY},
        }
        Registered("kubernetes:core/v1:Secret", "plain", inputs)
        spec = {"containers": [{"name": "a", "image": "docker.io/valkey/valkey:latest"}]}
        inputs = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}
        Registered("kubernetes:core/v1:Pod", "loose", inputs)

    stack = _stack(folder, variables, "judged-as-production-is", program)
    with pytest.raises(pulumi.automation.CommandError) as stopped:
        stack.preview(policy_packs=[str(PACK)])
    said = str(stopped.value)
    assert "[mandatory]  plaintext-secret  (kubernetes:core/v1:Secret: plain)" in said
    assert "stringData.a: it is no secret to Pulumi" in said
    assert "has the tag `latest`" in said
    assert "nothing denies ingress by default" in said
    assert CANARY not in said


def test_of_a_state_that_exists_what_is_bad_and_nothing_else_is_reported(updated, variables):
    document = json.loads(updated.read_text())
    for each in document["deployment"]["resources"]:
        if each["urn"].endswith("Deployment/bandit"):
            pod = each["inputs"]["spec"]["template"]["spec"]
            pod["containers"][0]["image"] = "docker.io/valkey/valkey:latest"
    bad = updated.with_name("bad.json")
    bad.write_text(json.dumps(document))
    stopped = _analyze(bad, variables)
    said = stopped.stdout + stopped.stderr
    assert stopped.returncode != 0
    assert re.findall(r"\[(?:mandatory|advisory)\]\s+(\S+)", said) == ["image-pinned"]
    assert "has the tag `latest`" in said
    assert CANARY not in said


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
