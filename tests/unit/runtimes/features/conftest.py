"""One artifact of real data, up to the end of 2018, for the tests of this folder."""

import os
import pathlib
import subprocess

import feature_servers
import pytest

HERE = pathlib.Path(__file__).parent


@pytest.fixture(scope="session")
def feature_folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with `artifact/`, as `bellwether train` builds it, and the models' `dataset.npz`."""
    folder: pathlib.Path = tmp_path_factory.mktemp("features")
    subprocess.run(
        [
            feature_servers.environment_python("training"),
            str(HERE / "feature_artifact.py"),
            str(folder),
        ],
        check=True,
        env=os.environ
        | {"PYTHONPATH": f"{feature_servers.ROOT}{os.pathsep}{HERE / 'serving_environment'}"},
    )
    return folder
