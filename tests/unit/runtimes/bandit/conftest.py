import pathlib
from collections.abc import Iterator

import bandit_servers
import pytest


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bandit_servers.Servers]:
    folder: pathlib.Path = tmp_path_factory.mktemp("bandit")
    with bandit_servers.running(folder) as running:
        yield running
