"""Fixtures of the conformance suite.

`pytest tests/conformance` starts mesh, MLServer and Envoy of its own.
`--against URL` takes the gateway at a URL, `--mesh-url` and `--namespace` what belongs to it,
`--apply kubectl` applies objects to the cluster that kubectl points to.
`--kafka HOST:PORT` is where the messages of pipelines can be read.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance import apply, worlds
from tests.conformance import environment as environments


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance")
    group.addoption("--against", help="URL of the gateway to test (default: start one)")
    group.addoption("--mesh-url", default="http://127.0.0.1:9020", help="URL of its mesh")
    group.addoption("--namespace", default="bellwether", help="its namespace")
    group.addoption("--kafka", help="the broker with the pipelines' messages (default: none)")
    group.addoption("--apply", choices=("mesh", "kubectl"), default="mesh", help="how to apply")


@pytest.fixture(scope="session")
def environment(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[environments.Environment]:
    against = request.config.getoption("--against", None)
    kafka = request.config.getoption("--kafka", None)
    if against:
        yield environments.Environment(
            against.rstrip("/"),
            request.config.getoption("--mesh-url").rstrip("/"),
            request.config.getoption("--namespace"),
            kafka=kafka,
        )
        return
    with environments.started(tmp_path_factory.mktemp("environment"), kafka) as own:
        yield own


@pytest.fixture(scope="session")
def applier(request: pytest.FixtureRequest, environment: environments.Environment) -> apply.Applier:
    if request.config.getoption("--apply", "mesh") == "kubectl":
        return apply.KubectlApplier(environment)
    return apply.MeshApplier(environment)


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The artifacts of the recordings' models, as storage URIs by name."""
    root: Path = tmp_path_factory.mktemp("artifacts")
    write = environments.write_artifact
    return {
        folder.name: f"file://{folder}"
        for folder in (
            write(root / "mul10", factor=10),
            write(root / "add10", term=10),
            write(root / "mul2", factor=2),
            write(root / "slow2", factor=2, load_delay=0.5),
            write(root / "add1", term=1),
            write(root / "bad", "Bad"),
            write(root / "boom", "Boom"),
            write(root / "unloadable", "Unloadable"),
            write(root / "counting", "Counting"),
            write(root / "streaming", "Streaming", factor=10),
            write(root / "router", "Router"),
            write(root / "sum2", "Sum"),
            write(root / "gather", "Sum", counts=1),
            write(root / "late2", factor=2, delay=0.3),
            write(root / "late3", factor=3, delay=0.3),
            write(root / "choice-is-one", "Choice", wanted=1),
            write(root / "choice-is-two", "Choice", wanted=2),
            write(root / "pair1", "Pair"),
            write(root / "pair2", "Pair"),
            write(root / "pair3", "Pair"),
            write(root / "seen", "Seen"),
            write(root / "outlier-error", "Guard", most=100),
            write(root / "add20", term=20),
        )
    }


@pytest.fixture
def world(
    environment: environments.Environment, applier: apply.Applier, artifacts: dict[str, str]
) -> Iterator[worlds.World]:
    """What a test declares, and takes away again when the test ends."""
    with worlds.World(environment, applier, artifacts) as own:
        yield own
