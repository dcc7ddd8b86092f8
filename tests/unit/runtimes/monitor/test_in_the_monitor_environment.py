"""Runs what needs DuckDB, Arrow and alibi-detect where they are: in the monitor's environment.

`monitor_environment/checks_*.py` are ordinary tests under a name that is not collected here.
"""

import os
import pathlib
import subprocess

import pytest

from infra import paths
from infra.local import toolchain

HERE = pathlib.Path(__file__).parent
CHECKS = sorted(HERE.glob("monitor_environment/checks_*.py"))


def python():
    given = os.environ.get("BELLWETHER_MONITOR_PYTHON")
    return given or str(toolchain.python_of("monitor"))


@pytest.mark.parametrize("checks", CHECKS, ids=lambda path: path.stem)
def test_checks_pass_in_the_monitor_environment(checks):
    program = [python(), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull]
    program += ["--rootdir", str(paths.ROOT), "--confcutdir", str(checks.parent)]
    done = subprocess.run(
        [*program, "-o", "python_files=checks_*.py", str(checks)],
        cwd=paths.ROOT,
        env={**os.environ, "PYTHONPATH": str(paths.ROOT)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
