"""The small bundles, made once."""

import pathlib
import sys

import pytest

# What starts servers and finds the environments is shared with the predictor's tests.
sys.path.append(str(pathlib.Path(__file__).parents[1] / "predictor"))

import small


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    made: pathlib.Path = tmp_path_factory.mktemp("small")
    small.make(made)
    return made
