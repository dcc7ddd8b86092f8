"""A cluster's stack: everything that is missing is said at once, before anything is touched."""

import json
import os
import socket
import subprocess

import pytest
import yaml

from bellwether import deployment, environment, rollback
from infra import paths
from infra.local import toolchain

CONTEXT = "bellwether-dev"


@pytest.fixture
def stack(tmp_path, monkeypatch):
    """Stack dev of a checkout of its own, with nothing of a cluster around it."""
    for name in ("Pulumi.yaml", "Pulumi.dev.yaml"):
        (tmp_path / name).write_text((paths.ROOT / name).read_text())
    (tmp_path / "tools").symlink_to(paths.ROOT / "tools")
    monkeypatch.setenv("BELLWETHER_CACHE", str(paths.cache()))
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "pulumi"))
    for name in ("KUBECONFIG", "PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE"):
        monkeypatch.delenv(name, raising=False)
    return environment.Stack("dev")


@pytest.fixture
def ours(stack):
    """The same stack, with a registry and secrets of its own."""
    document = yaml.safe_load(stack.file.read_text())
    config = document["config"]
    config["bellwether:images"]["registry"] = "ghcr.io/ours/bellwether"
    for name in ("valkey_password", "artifacts_access_key", "artifacts_secret_key"):
        config[f"bellwether:{name}"] = {"secure": "v1:AAAA:BBBB"}
    stack.file.write_text(yaml.safe_dump(document))
    return stack


@pytest.fixture
def provider(tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / deployment.PROVIDER).write_text("#!/bin/sh\nexit 1\n")
    (folder / deployment.PROVIDER).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def cluster(tmp_path):
    """A kubeconfig, and somebody who listens where it points."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        write_kubeconfig(tmp_path, server.getsockname()[1])
        yield server


def write_kubeconfig(folder, port, context=CONTEXT):
    (folder / ".kube").mkdir(exist_ok=True)
    document = {
        "contexts": [{"name": context, "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": f"https://127.0.0.1:{port}"}}],
        "current-context": "another",
    }
    (folder / ".kube" / "config").write_text(yaml.safe_dump(document))


def refusal(stack, act=deployment.up):
    with pytest.raises(deployment.NotReadyError) as caught:
        act(stack)
    return str(caught.value)


@pytest.mark.parametrize("act", [deployment.up, deployment.preview, deployment.drift])
def test_of_a_fresh_clone_everything_that_is_missing_is_named_with_its_remedy(stack, act):
    said = refusal(stack, act)
    assert "`pulumi config set --secret bellwether:valkey_password`" in said
    assert "`bellwether:images.registry` is the example" in said
    assert "pulumi plugin install resource kubernetes" in said
    assert "a kubeconfig with the context `bellwether-dev`" in said


def test_what_is_there_is_not_named(ours, provider, cluster, pulumi):
    said = refusal(ours)
    assert "kubeconfig" not in said
    assert "provider" not in said
    assert "config set" not in said


def test_the_current_context_is_never_taken_for_the_stacks(ours, provider, cluster, tmp_path):
    write_kubeconfig(tmp_path, cluster.getsockname()[1], context="another")
    assert "there are: another" in refusal(ours)


def test_a_cluster_that_does_not_answer_is_named_with_its_address(ours, provider, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    write_kubeconfig(tmp_path, port)
    assert f"https://127.0.0.1:{port} does not answer" in refusal(ours)


def test_a_stack_of_passphrases_asks_for_its_own(ours, provider, cluster):
    document = yaml.safe_load(ours.file.read_text())
    ours.file.write_text(yaml.safe_dump(document | {"encryptionsalt": "v1:x"}))
    assert "PULUMI_CONFIG_PASSPHRASE_FILE" in refusal(ours)


def test_down_of_a_cluster_names_the_command_that_does_it(stack):
    with pytest.raises(Exception, match="pulumi destroy -s dev"):
        environment.down(stack)


@pytest.fixture
def pulumi(monkeypatch, tmp_path):
    """The real engine, with its state in a folder."""
    found = toolchain.pulumi()
    if found is None:
        pytest.skip("the Pulumi CLI is not there: `bellwether setup` builds it")
    (tmp_path / "state").mkdir()
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path / 'state'}")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "of the tests")
    return found


def initialise(pulumi, folder):
    for command in (
        ["stack", "init", "dev"],
        *(
            ["config", "set", "--secret", f"bellwether:{name}", "canary-4711", "-s", "dev"]
            for name in ("valkey_password", "artifacts_access_key", "artifacts_secret_key")
        ),
    ):
        subprocess.run([pulumi, *command], cwd=folder, check=True, capture_output=True)


def test_a_stack_without_state_is_not_begun_by_accident(ours, provider, cluster, pulumi, tmp_path):
    said = refusal(ours)
    assert "has no state in file://" in said
    assert "`pulumi stack init dev`" in said
    assert not list((tmp_path / "state").rglob("dev.json"))


@pytest.mark.usefixtures("provider", "cluster")
def test_what_was_good_is_remembered_beside_the_state_and_no_secret_with_it(
    ours, pulumi, tmp_path, monkeypatch
):
    initialise(pulumi, tmp_path)
    with pytest.raises(rollback.RollbackError, match="nothing of `dev` was good yet"):
        rollback.last_good(ours)
    monkeypatch.setattr(rollback.revision, "commit", lambda: "c" * 40)
    marked = rollback.mark_good(ours)
    assert rollback.last_good(ours) == marked
    assert marked.commit == "c" * 40
    assert marked.digests["router"].startswith("sha256:")
    kept = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if b"canary-4711" in path.read_bytes()]
    assert "canary-4711" not in json.dumps(marked.tags())
