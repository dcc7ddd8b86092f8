"""The small bundles, made once, and one MLServer over them."""

import json
import pathlib
import sys
from collections.abc import Iterator

import httpx
import pytest

# What starts servers and finds the environments is shared with the predictor's tests.
sys.path.append(str(pathlib.Path(__file__).parents[1] / "predictor"))

import explainer_process
import small


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    made: pathlib.Path = tmp_path_factory.mktemp("small")
    small.make(made)
    return made


@pytest.fixture(scope="session")
def folders(folder: pathlib.Path) -> dict[str, str]:
    read: dict[str, str] = json.loads((folder / "names.json").read_text())
    return read


@pytest.fixture(scope="session")
def explaining(
    folders: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A client of an MLServer with all predictors and both steps."""
    with explainer_process.running(folders, tmp_path_factory.mktemp("repository")) as client:
        yield client
