"""What a run that was killed leaves in the state is undone by the next one."""

import json
import os
import subprocess

import pytest

from bellwether import environment


@pytest.fixture
def stack(tmp_path, monkeypatch):
    monkeypatch.setenv("BELLWETHER_HOME", str(tmp_path))
    return environment.Stack("local")


@pytest.fixture
def state(tmp_path):
    folder = tmp_path / "state" / ".pulumi"
    (folder / "locks" / "organization" / "bellwether" / "local").mkdir(parents=True)
    (folder / "stacks" / "bellwether").mkdir(parents=True)
    return folder


def lock(state, pid):
    path = state / "locks" / "organization" / "bellwether" / "local" / "1.json"
    path.write_text(json.dumps({"pid": pid, "username": "x", "hostname": "y"}))
    return path


def test_the_lock_of_a_process_that_is_gone_is_cleared(stack, state):
    ended = subprocess.Popen(["/bin/true"])
    ended.wait()
    path = lock(state, ended.pid)
    environment._heal(stack)
    assert not path.exists()


def test_the_lock_of_a_process_that_is_no_pulumi_is_cleared(stack, state):
    path = lock(state, os.getpid())
    environment._heal(stack)
    assert not path.exists()


def test_the_lock_of_a_running_pulumi_is_respected(stack, state, tmp_path):
    program = tmp_path / "pulumi"
    program.symlink_to("/bin/sleep")
    running = subprocess.Popen([program, "60"])
    try:
        path = lock(state, running.pid)
        with pytest.raises(environment.EnvironmentFailedError, match=str(running.pid)):
            environment._heal(stack)
        assert path.exists()
    finally:
        running.kill()
        running.wait()


def test_unfinished_operations_are_forgotten_and_resources_kept(stack, state):
    checkpoint = state / "stacks" / "bellwether" / "local.json"
    latest = {"resources": [{"urn": "a"}], "pending_operations": [{"type": "creating"}]}
    checkpoint.write_text(json.dumps({"version": 3, "checkpoint": {"latest": latest}}))
    environment._heal(stack)
    healed = json.loads(checkpoint.read_text())["checkpoint"]["latest"]
    assert healed == {"resources": [{"urn": "a"}], "pending_operations": []}


def test_an_empty_state_needs_no_healing(stack):
    environment._heal(stack)
    assert not (stack.home / "state").exists()
