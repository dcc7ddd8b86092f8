"""Runs what needs torch and LightGBM where they are: in the training environment.

`checks_*.py` beside this file are ordinary tests under a name that is not collected here.
"""

import os
import pathlib
import subprocess

import pytest

from models import code

HERE = pathlib.Path(__file__).parent
CHECKS = sorted(HERE.glob("training_environment/checks_*.py"))


@pytest.mark.parametrize("checks", CHECKS, ids=lambda path: path.stem)
def test_checks_pass_in_the_training_environment(checks: pathlib.Path) -> None:
    python = os.environ.get("BELLWETHER_TRAINING_PYTHON")
    if not python or not pathlib.Path(python).exists():
        pytest.fail(
            f"BELLWETHER_TRAINING_PYTHON is {python!r}: it has to name the Python of the training "
            "environment; `make test` sets it",
            pytrace=False,
        )
    program = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    # The project's own settings name plugins that only the default environment has.
    program += ["-c", os.devnull, "--rootdir", str(code.REPOSITORY)]
    program += ["-o", "python_files=checks_*.py"]
    done = subprocess.run(
        [*program, str(checks)],
        cwd=code.REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(code.REPOSITORY)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
