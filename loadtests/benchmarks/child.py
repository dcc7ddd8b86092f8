"""A process of the serving environment that measures what it is told to, line by line."""

import collections.abc
import contextlib
import json
import os
import subprocess
from typing import Any

from loadtests import endpoints
from loadtests.benchmarks import benchmark

Measure = collections.abc.Callable[[dict[str, Any]], dict[str, Any]]


@contextlib.contextmanager
def started(
    context: benchmark.Context, module: str, *arguments: str
) -> collections.abc.Iterator[Measure]:
    """Start `module`, wait until it is ready, and give what hands an order over and reads back.

    Raises:
        LoadTestError: this benchmark was not started by the command line, or the process ended.

    """
    if context.serving_python is None:
        raise endpoints.LoadTestError(
            "plain calls need the serving environment: start this by `bellwether bench`"
        )
    command = [context.serving_python, "-m", module, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(context.root)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        if process.stdin is None or process.stdout is None:
            raise AssertionError("the process was started with pipes")
        orders, answers = process.stdin, process.stdout

        def read() -> dict[str, Any]:
            line = answers.readline()
            if not line:
                raise endpoints.LoadTestError(
                    f"`{' '.join(command)}` ended with {process.wait()}, its reason is above"
                )
            found: dict[str, Any] = json.loads(line)
            return found

        def measure(order: dict[str, Any]) -> dict[str, Any]:
            orders.write(json.dumps(order) + "\n")
            orders.flush()
            return read()

        read()  # it is ready
        try:
            yield measure
        finally:
            orders.close()


def repository(context: benchmark.Context) -> str:
    """Give the folder that the model server serves from."""
    if context.home is None:
        raise endpoints.LoadTestError(
            "the environment's folder is not known: start this by `bellwether bench`"
        )
    return str(context.home / "mesh" / "repository")
