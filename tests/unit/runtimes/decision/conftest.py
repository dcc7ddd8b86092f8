"""One MLServer with a decision that reads a small calibration."""

import pathlib
import sys
from collections.abc import Iterator

import pytest
import small_calibration

sys.path.append(str(pathlib.Path(__file__).parents[1] / "router"))

import steps_process  # lies beside the router's tests


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[steps_process.Server]:
    folder = small_calibration.write(tmp_path_factory.mktemp("calibration"))
    repository = tmp_path_factory.mktemp("repository")
    steps_process.write_settings(
        repository,
        "decision_1",
        "runtimes.decision.runtime.Decision",
        folder,
        {"target_volatility": "0.1", "blocked_symbols": "XAU, wti", "minimum_confidence": "0.5"},
    )
    with steps_process.running(repository) as running:
        yield running
