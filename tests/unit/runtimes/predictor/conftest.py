"""One MLServer for the tests of this folder."""

import pathlib
from collections.abc import Iterator

import mlserver_process
import pytest


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mlserver_process.Server]:
    artifacts: pathlib.Path = tmp_path_factory.mktemp("artifacts")
    mlserver_process.make_tiny_artifacts(artifacts)
    repository = tmp_path_factory.mktemp("repository")
    with mlserver_process.running(artifacts, repository) as running:
        yield running
