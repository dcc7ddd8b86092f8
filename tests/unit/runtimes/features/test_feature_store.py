"""Runs what needs Feast where it is, in the serving environment, beside a real Valkey.

`serving_environment/checks_*.py` are ordinary tests under a name that is not collected here.
"""

import os
import pathlib
import subprocess

import feature_servers
import pytest

HERE = pathlib.Path(__file__).parent
CHECKS = sorted(HERE.glob("serving_environment/checks_*.py"))


@pytest.mark.parametrize("checks", CHECKS, ids=lambda path: path.stem)
def test_checks_pass_in_the_serving_environment(checks, feature_folder, tmp_path):
    python = feature_servers.environment_python("serving")
    program = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    # The project's own settings name plugins that only the default environment has.
    program += ["-c", os.devnull, "--rootdir", str(feature_servers.ROOT)]
    program += ["-o", "python_files=checks_*.py", "--confcutdir", str(checks.parent)]
    with feature_servers.valkey(tmp_path / "valkey") as valkey:
        done = subprocess.run(
            [*program, str(checks)],
            cwd=feature_servers.ROOT,
            env={
                **os.environ,
                "PYTHONPATH": str(feature_servers.ROOT),
                "BELLWETHER_TEST_FOLDER": str(feature_folder),
                "BELLWETHER_TEST_VALKEY": valkey.address,
            },
            check=False,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
