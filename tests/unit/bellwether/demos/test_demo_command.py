"""A demo's command line as a person meets it: errors in one message, exit codes, pictures' paths."""

import subprocess
import sys

import pytest

from bellwether import demos, environment
from bellwether.demos import command
from infra import paths


def test_what_is_wrong_is_one_message_and_exit_code_1(monkeypatch, capsys):
    def fails() -> None:
        raise demos.DemoError("nothing answers [at 9000]: `make up`")

    monkeypatch.setattr(sys, "argv", ["demo"])
    with pytest.raises(SystemExit) as ended:
        command.run(fails)
    assert ended.value.code == 1
    assert "nothing answers [at 9000]: `make up`" in capsys.readouterr().err


def test_what_nobody_expects_is_not_hidden(monkeypatch):
    def fails() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(sys, "argv", ["demo"])
    with pytest.raises(ZeroDivisionError):
        command.run(fails)


@pytest.mark.parametrize(
    ("script", "option"),
    [
        ("contextual-routing", "--market-conditions"),
        ("feature-store", "--realtime"),
        ("explainability", "--method"),
        ("mab", "--source"),
    ],
)
def test_every_script_runs_from_anywhere_and_names_its_options(script, option, tmp_path):
    path = paths.ROOT / "scripts" / f"{script}-demo.py"
    answer = subprocess.run(
        [sys.executable, path, "--help"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert option in answer.stdout
    assert path.stat().st_mode & 0o111, "it can be started by its name"


def test_a_wrong_option_is_exit_code_2_and_names_what_there_is(tmp_path):
    path = paths.ROOT / "scripts" / "contextual-routing-demo.py"
    answer = subprocess.run(
        [sys.executable, path, "--market-conditions", "crash"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert answer.returncode == 2
    assert "sideways" in answer.stderr


def test_a_picture_has_a_folder_and_is_a_png(tmp_path, monkeypatch):
    monkeypatch.setenv("BELLWETHER_HOME", str(tmp_path))
    stack = environment.Stack("local")
    path = command.picture_path(stack, None, "demo")
    assert path == tmp_path / "pictures" / "demo.png"
    assert path.parent.is_dir()
    with pytest.raises(demos.DemoError, match=r"ends in \.png"):
        command.picture_path(stack, tmp_path / "demo.jpg", "demo")
