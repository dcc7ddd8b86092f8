"""The real local environment, brought up once on ports of its own (`Pulumi.test.yaml`)."""

import contextlib
import os
import pathlib
import subprocess
import sys

import pytest

from bellwether import environment as environments
from infra import paths
from infra.local import supervision
from tests.conformance import environment as conformance

HOME = paths.ROOT / ".bellwether" / "test"


def bellwether(*arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Run the command line as a person would, against the stack `test`."""
    program = pathlib.Path(sys.prefix) / "bin" / "bellwether"
    return subprocess.run(
        [program, *arguments],
        cwd=paths.ROOT,
        env={**os.environ, "BELLWETHER_HOME": str(HOME), "BELLWETHER_STACK": "test"},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@contextlib.contextmanager
def running():
    """The environment of the stack `test`, serving; afterwards nothing of it is left."""
    os.environ["BELLWETHER_HOME"] = str(HOME)
    stack = environments.Stack("test")
    supervision_ = supervision.Supervision(HOME)
    answer = bellwether("up")
    assert answer.returncode == 0, answer.stderr
    yield stack
    answer = bellwether("down")
    assert answer.returncode == 0, answer.stderr
    assert supervision_.leftovers() == []
    assert environments.open_ports(stack.settings().ports) == {}


@pytest.fixture(scope="session")
def environment(up):
    """The same environment, as the conformance suite sees one: by its addresses."""
    where = up.endpoints()
    return conformance.Environment(
        where.gateway, where.mesh, where.namespace, model_server_url=where.model_server
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Show the last lines of the logs that matter when a test failed."""
    report = yield
    if report.when == "call" and report.failed and "up" in item.fixturenames:
        for log in sorted((HOME / "logs").glob("*.log")):
            if log.stat().st_size:
                report.sections.append((f"last lines of {log.name}", supervision.tail(log, 12)))
    return report
