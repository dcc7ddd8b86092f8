"""The feature store's reads as plain calls in one process: ours, and Feast's own.

`python -m loadtests.plain_reads FOLDER`, in the serving environment, reads for each line of
JSON `{"symbol": S, "count": N}` the features and the history of a forecast N times in two ways,
and answers with the medians in milliseconds.
"""

import asyncio
import json
import pathlib
import statistics
import sys
import time
from typing import Any

from infra.local import model_server
from infra.local.mesh import artifacts
from runtimes import contract
from runtimes.contract import step
from runtimes.features import repository

ARGUMENTS = 2
SERVICE = "forecasting"


class _Asked:
    id = "plain-read"


async def _serve(folder: pathlib.Path) -> None:
    settings = model_server.model_settings(folder / artifacts.SETTINGS_FILE)
    enrichment = settings.implementation(settings)
    await enrichment.load()
    given = settings.parameters.extra
    store = repository.opened(pathlib.Path(given["registry"]), given["valkey"])
    service = store.get_feature_service(SERVICE)
    sys.stdout.write("{}\n")
    sys.stdout.flush()
    while line := await asyncio.to_thread(sys.stdin.readline):
        order = json.loads(line)
        symbol, count = order["symbol"], order["count"]
        tensor = step.Given(contract.SYMBOL, [1], "BYTES", [symbol])
        own, feasts = [], []
        for _ in range(count):
            began = time.perf_counter()
            await enrichment.exchange(_Asked(), [tensor])
            own.append(time.perf_counter() - began)
            began = time.perf_counter()
            store.get_online_features(service, [{"symbol": symbol}]).to_dict()
            feasts.append(time.perf_counter() - began)
        _write({"enrichment_ms": own, "feast_ms": feasts})


def _write(times: dict[str, Any]) -> None:
    medians = {name: statistics.median(each) * 1e3 for name, each in times.items()}
    sys.stdout.write(json.dumps(medians) + "\n")
    sys.stdout.flush()


def main(arguments: list[str]) -> int:
    """Load the step, then read until the input ends."""
    if len(arguments) != ARGUMENTS:
        sys.stderr.write("usage: python -m loadtests.plain_reads FOLDER_OF_ENRICHMENT\n")
        return 2
    asyncio.run(_serve(pathlib.Path(arguments[1])))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
