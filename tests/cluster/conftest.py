"""A real API server with the operators' kinds and ours, and the bandit's controller at it."""

import itertools
import pathlib
from collections.abc import Iterator

import pytest
import yaml

from infra import paths
from infra.local import toolchain
from runtimes.bandit import crd
from tests.cluster import api_server as api_servers
from tests.cluster import bandit_on_cluster

DEFINITIONS = paths.ROOT.parent / "shared" / "crds"


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[api_servers.ApiServer]:
    """Ready, with all custom resource definitions."""
    if not DEFINITIONS.exists():
        pytest.skip(f"{DEFINITIONS} is missing: the operators' custom resource definitions")
    if not toolchain.kubernetes().exists():
        pytest.skip("no API server is built: `uv run bellwether test --tier cluster` builds one")
    with api_servers.running(tmp_path_factory.mktemp("api-server")) as server:
        files = sorted(DEFINITIONS.rglob("*.yaml"))
        documents = (yaml.load_all(file.read_text(), yaml.CSafeLoader) for file in files)
        found = [each for document in documents for each in document if each]
        server.define([*found, crd.manifest()])
        yield server


@pytest.fixture(scope="session")
def names() -> Iterator[str]:
    """Namespaces' names, each given once: nothing empties a deleted namespace here."""
    return (f"desk-{number}" for number in itertools.count())


@pytest.fixture
def namespace(api_server: api_servers.ApiServer, names: Iterator[str]) -> str:
    """An empty namespace with restricted Pod Security."""
    return api_server.make_namespace(next(names))


@pytest.fixture(scope="session")
def all_parts(
    api_server: api_servers.ApiServer,
    names: Iterator[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[bandit_on_cluster.Parts]:
    """Kafka, Valkey, and the controller under its service account's token."""
    namespace = api_server.make_namespace(next(names))
    folder: pathlib.Path = tmp_path_factory.mktemp("bandit")
    with bandit_on_cluster.running(folder, api_server, namespace) as made:
        yield made


@pytest.fixture
def parts(
    all_parts: bandit_on_cluster.Parts,
) -> Iterator[bandit_on_cluster.Parts]:
    """The same parts, with an experiment and a policy of this test's own."""
    all_parts.experiment = next(all_parts.experiments)
    all_parts.policy = f"mover-of-{all_parts.experiment}"
    yield all_parts
    all_parts.remove_policy()
