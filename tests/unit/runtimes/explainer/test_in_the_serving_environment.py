"""Runs what needs SHAP, LIME, LightGBM and ONNX Runtime where they are: in the serving environment.

`checks_*.py` beside this file are ordinary tests under a name that is not collected here.
"""

import os
import pathlib
import subprocess

import mlserver_process
import pytest

HERE = pathlib.Path(__file__).parent
CHECKS = sorted(HERE.glob("serving_environment/checks_*.py"))


@pytest.mark.parametrize("checks", CHECKS, ids=lambda path: path.stem)
def test_checks_pass_in_the_serving_environment(checks: pathlib.Path, folder: pathlib.Path) -> None:
    program = [mlserver_process.environment_python("serving"), "-m", "pytest", "-q"]
    # The project's own settings name plugins that only the default environment has.
    program += ["-p", "no:cacheprovider", "-c", os.devnull]
    program += ["--rootdir", str(mlserver_process.ROOT), "--confcutdir", str(checks.parent)]
    program += ["-o", "python_files=checks_*.py"]
    done = subprocess.run(
        [*program, str(checks)],
        cwd=mlserver_process.ROOT,
        env={
            **os.environ,
            "PYTHONPATH": str(mlserver_process.ROOT),
            "BELLWETHER_SMALL_BUNDLE": str(folder),
        },
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
