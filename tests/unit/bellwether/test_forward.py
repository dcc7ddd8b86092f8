"""A cluster's gateway on this machine: kubectl is a script here, and does what it is asked to."""

import os
import sys

import pytest

from bellwether import deployment, forward
from infra import paths
from infra.cluster import settings as cluster_settings


@pytest.fixture
def dev():
    return cluster_settings.read(paths.ROOT / "Pulumi.dev.yaml")


@pytest.fixture
def kubectl(tmp_path, monkeypatch):
    """Give a function that puts a kubectl of this script on PATH."""

    def put(script):
        program = tmp_path / "kubectl"
        program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\n{script}\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        return tmp_path

    return put


LISTENING = "echo 'Forwarding from 127.0.0.1:45678 -> 9000'; exec sleep 60"


def test_the_command_gets_the_address_and_its_status_is_given(dev, kubectl):
    folder = kubectl(LISTENING)
    script = "import sys; sys.exit(3 if sys.argv[1] == 'http://127.0.0.1:45678' else 1)"
    assert forward.run(dev, [sys.executable, "-c", script, "{gateway}"]) == 3
    asked = (folder / "asked").read_text().split()
    assert asked[:4] == ["--context", "bellwether-dev", "--namespace", "bellwether"]
    assert asked[-3:] == ["127.0.0.1", "service/seldon-mesh", ":80"]


def test_what_kubectl_says_is_passed_on_when_it_cannot(dev, kubectl):
    kubectl("echo 'error: services \"seldon-mesh\" not found' >&2; exit 1")
    with pytest.raises(deployment.NotReadyError, match=r"seldon-mesh.* not found"):
        forward.run(dev, ["true"])


def test_without_kubectl_it_is_said_what_else_there_is(dev, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(deployment.NotReadyError, match="--against URL"):
        forward.run(dev, ["true"])
