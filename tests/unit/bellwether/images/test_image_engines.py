"""What engines are told."""

import json
import pathlib

import pytest

from bellwether.images import building, bundle, catalogue, docker, engine
from infra import versions

SAID = engine.Configuration.read(
    {
        "User": "10001:10001",
        "Cmd": ["serve"],
        "Env": ["PATH=/bin"],
        "WorkingDir": "/tmp",  # noqa: S108  inside
        "Healthcheck": {"Test": ["CMD", "python", "-c", "pass"]},
    }
)


def _run(tmp_path, **more):
    return engine.Run(name="trial", user=10001, log=tmp_path / "log", **more)


def test_a_base_that_can_be_moved_is_refused():
    with pytest.raises(catalogue.ImageError, match="'debian:bookworm-slim' is not pinned"):
        building.base_of(docker.Docker("docker"), "debian:bookworm-slim")


def test_an_engine_that_pulls_builds_on_the_public_base_by_its_digest():
    base = building.base_of(docker.Docker("docker"), None)
    assert base == versions.BASE_IMAGE
    assert building.base_of(docker.Docker("docker"), base) == base


def test_a_bundle_is_as_a_restricted_pod(tmp_path):
    models = pathlib.Path("/models")
    made = bundle.document(
        tmp_path, SAID, _run(tmp_path, environment={"A": "1"}, mounts={models: "/mnt/models"})
    )
    process = made["process"]
    assert made["root"] == {"path": str(tmp_path), "readonly": True}
    assert process["user"] == {"uid": 10001, "gid": 10001}
    assert process["args"] == ["serve"]
    assert process["env"] == ["PATH=/bin", "A=1"]
    assert process["noNewPrivileges"] is True
    assert not any(process["capabilities"].values())
    (mounted,) = [each for each in made["mounts"] if each["source"] == "/models"]
    assert "ro" in mounted["options"]
    json.dumps(made)


def test_docker_runs_as_a_restricted_pod(tmp_path):
    command = docker.Docker("docker").run_command("image", "id", _run(tmp_path, command=("a", "b")))
    assert command[-3:] == ["image", "a", "b"]
    for words in (["--read-only"], ["--cap-drop", "ALL"], ["--user", "10001:10001"]):
        at = command.index(words[0])
        assert command[at : at + len(words)] == words
    assert "no-new-privileges" in command


def test_a_build_gives_base_labels_and_trusted_certificates(tmp_path, monkeypatch):
    trusted = tmp_path / "ca.crt"
    trusted.write_text("x")
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    wanted = engine.Build(
        dockerfile=tmp_path / "Dockerfile", context=tmp_path, tag="t", arguments={"BASE": "b@x"},
        labels={"l": "1"}, fresh=True, log=tmp_path / "log",
    )  # fmt: skip
    command = docker.Docker("podman").build_command(wanted)
    assert command[:2] == ["podman", "build"]
    for words in (["--build-arg", "BASE=b@x"], ["--label", "l=1"], ["--tag", "t"]):
        at = command.index(words[0])
        assert command[at : at + 2] == words
    assert f"id=certificates,src={trusted}" in command
    assert "--no-cache" in command


def test_a_healthcheck_that_is_a_shells_line_does_not_count():
    assert SAID.health == ("python", "-c", "pass")
    assert engine.Configuration.read({"Healthcheck": {"Test": ["CMD-SHELL", "x"]}}).health == ()


def test_where_nothing_builds_the_reason_is_said(monkeypatch):
    monkeypatch.setattr(engine, "answering", lambda: None)
    monkeypatch.setattr(engine.os, "geteuid", lambda: 1000)
    with pytest.raises(catalogue.ImageError, match="buildah in their stead needs root"):
        building.allowed()
