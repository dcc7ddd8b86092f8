"""One MLServer for the tests of this folder: a router, a slow one, and the forecast."""

from collections.abc import Iterator

import pytest
import steps_process

ROUTER = "runtimes.router.runtime.Router"
FORECAST = "runtimes.router.forecast.Forecast"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[steps_process.Server]:
    repository = tmp_path_factory.mktemp("repository")
    for name, implementation, extra in [
        ("regime-router_1", ROUTER, {"history_days": "60", "volatility_threshold": "0.3"}),
        ("slow-router_1", ROUTER, {"hysteresis": "0.25"}),
        ("forecast_1", FORECAST, {}),
    ]:
        steps_process.write_settings(repository, name, implementation, None, extra)
    with steps_process.running(repository) as running:
        yield running
