import pathlib
from collections.abc import Iterator

import pytest

from loadtests import bandit_parts


@pytest.fixture(scope="package")
def all_parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bandit_parts.Parts]:
    with bandit_parts.parts(tmp_path_factory.mktemp("bandit")) as made:
        made.controller.start()
        bandit_parts.until(made.controller_ready, "the controller is ready")
        yield made


@pytest.fixture
def parts(
    all_parts: bandit_parts.Parts, request: pytest.FixtureRequest, tmp_path: pathlib.Path
) -> Iterator[bandit_parts.Parts]:
    """All parts, with names of this test's own."""
    del tmp_path
    name = request.node.name.replace("_", "-").replace("[", "-").replace("]", "")[-40:].strip("-")
    all_parts.experiment, all_parts.policy = f"e-{name}", f"p-{name}"
    yield all_parts
    all_parts.remove_policy()
