"""What cannot be installed is named, with what installs it."""

import pathlib

import pytest

from bellwether import setup

PULUMI = setup.Part("Pulumi CLI", lambda: False, lambda: None)
KAFKA = setup.Part("Kafka", lambda: False, lambda: None)


def program(folder: pathlib.Path, name: str, says: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho {says}\n")
    path.chmod(0o755)


def test_missing_programs_are_named_with_what_installs_them(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(setup.SetupError) as caught:
        setup._check_base_tools([PULUMI, KAFKA])
    message = str(caught.value)
    assert "`go` for Pulumi CLI" in message
    assert "`apt-get install maven openjdk-17-jdk-headless`" in message
    assert "`java` for Kafka" in message


def test_a_go_that_is_too_old_is_named_with_its_version(tmp_path, monkeypatch):
    program(tmp_path, "go", "go1.19.8")
    program(tmp_path, "java", "")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    with pytest.raises(setup.SetupError, match=r"Go 1\.25 or newer.*go1\.19\.8"):
        setup._check_base_tools([PULUMI])


def test_nothing_is_asked_for_what_is_not_missing(tmp_path, monkeypatch):
    program(tmp_path, "java", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    setup._check_base_tools([])


def test_a_failed_command_is_told_with_its_last_words(tmp_path):
    with pytest.raises(setup.subprocess.CalledProcessError) as caught:
        setup._run(["/bin/sh", "-c", "echo first; echo the reason >&2; exit 3"])
    assert "failed with 3" in setup._explained(caught.value)
    assert "the reason" in setup._explained(caught.value)


def test_a_folder_appears_only_once_it_is_whole(tmp_path):
    target = tmp_path / "tool"

    def interrupted() -> None:
        with setup._finished_folder(target) as folder:
            (folder / "half").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not target.exists()
    with setup._finished_folder(target) as folder:
        (folder / "whole").touch()
    assert [p.name for p in target.iterdir()] == ["whole"]
    assert [p.name for p in tmp_path.iterdir()] == ["tool"]


def test_what_only_some_tests_need_may_fail_and_says_what_follows(tmp_path, monkeypatch, capsys):
    program(tmp_path, "java", "")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("BELLWETHER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(setup.toolchain, "complete", lambda _: True)
    monkeypatch.setattr(setup.toolchain, "kafka_jars", lambda: tmp_path)
    for tool in ("prometheus", "valkey_exporter", "pulumi"):
        monkeypatch.setattr(setup.toolchain, tool, lambda: tmp_path)

    def fails() -> None:
        raise setup.SetupError("go.mod requires go >= 1.26.0")

    monkeypatch.setattr(setup, "_kubernetes", fails)
    setup.install(training=True, api_server=True)
    said = "".join(capsys.readouterr())
    assert "Kubernetes API server: go.mod requires go >= 1.26.0" in said
    assert "tests against an API server will be skipped" in said
