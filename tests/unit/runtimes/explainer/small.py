"""Makes the small bundles once for the tests of this folder."""

import os
import pathlib
import subprocess

import mlserver_process

HERE = pathlib.Path(__file__).parent
ROOT = mlserver_process.ROOT


def make(folder: pathlib.Path) -> None:
    """Train and build in the training environment, see `small_bundle.py`."""
    subprocess.run(
        [
            mlserver_process.environment_python("training"),
            str(HERE / "small_bundle.py"),
            str(folder),
        ],
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "BELLWETHER_CACHE": str(folder)},
    )
