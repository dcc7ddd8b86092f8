"""What it takes to bring the environment up: seconds of the command line, memory of the processes.

This takes the environment down once, and leaves it up.
"""

import collections.abc
import dataclasses
import json
import subprocess
import time
from typing import Any

import psutil

from loadtests import endpoints
from loadtests.benchmarks import benchmark

NAME = "up"
ABOUT = "`up` from down and unchanged, `preview`, and the memory of every process"

_LIMIT = 900.0
_MEBIBYTE = 2**20


def run(context: benchmark.Context) -> benchmark.Result:
    """Time the commands, one from down, the others once a round; then weigh the processes."""
    steps = 2 * context.rounds + 1
    taken: dict[str, list[float]] = {"warm": [], "unchanged": [], "preview": []}
    context.progress(0.0, "down, then up with warm caches")
    _timed(context, "down")
    taken["warm"].append(_timed(context, "up"))
    for number in range(context.rounds):
        context.progress((1 + 2 * number) / steps, f"round {number + 1}: up, unchanged")
        taken["unchanged"].append(_timed(context, "up"))
        context.progress((2 + 2 * number) / steps, f"round {number + 1}: preview")
        taken["preview"].append(_timed(context, "preview"))
    memory = _memory(_components(_status(context)))
    spreads = {name: benchmark.Spread.of(values) for name, values in taken.items()}
    return benchmark.Result(
        tables=(
            benchmark.Table(
                f"seconds of the command line (warm once, the others {context.rounds} rounds)",
                ("", "min", "median", "max"),
                tuple((name, *spread.cells(2)) for name, spread in spreads.items()),
            ),
            benchmark.Table(
                "resident memory, MiB (a process with its children)",
                ("process", "pid", "MiB"),
                (
                    *((name, str(pid), f"{mebibytes:,.0f}") for name, pid, mebibytes in memory),
                    ("all", "", f"{sum(mebibytes for *_, mebibytes in memory):,.0f}"),
                ),
            ),
        ),
        document={
            "rounds": context.rounds,
            "seconds": {name: dataclasses.asdict(spread) for name, spread in spreads.items()},
            "memory_mib": {name: mebibytes for name, _, mebibytes in memory},
        },
    )


def _timed(context: benchmark.Context, verb: str) -> float:
    began = time.perf_counter()
    _command(context, verb)
    return time.perf_counter() - began


def _status(context: benchmark.Context) -> Any:
    return json.loads(_command(context, "status", "--json"))


def _command(context: benchmark.Context, *arguments: str) -> str:
    command = [*context.cli, *arguments]
    finished = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_LIMIT)
    if finished.returncode:
        raise endpoints.LoadTestError(
            f"`{' '.join(command)}` ended with {finished.returncode}:\n"
            + (finished.stderr or finished.stdout)[-2000:]
        )
    return finished.stdout


def _components(status: Any) -> dict[str, int]:
    """Return the processes that `bellwether status --json` names, with their ids."""
    listed = status["components"]
    return {each["component"]: each["pid"] for each in listed if each.get("pid")}


def _memory(processes: collections.abc.Mapping[str, int]) -> list[tuple[str, int, float]]:
    """Return name, id and MiB of each process with the children that have no name of their own."""
    weighed = []
    for name, pid in processes.items():
        process = psutil.Process(pid)
        named = set(processes.values()) - {pid}
        family = [process, *_children(process, named)]
        weighed.append((name, pid, sum(one.memory_info().rss for one in family) / _MEBIBYTE))
    return sorted(weighed, key=lambda one: -one[2])


def _children(
    process: psutil.Process, without: collections.abc.Set[int]
) -> collections.abc.Iterator[psutil.Process]:
    for child in process.children():
        if child.pid not in without:
            yield child
            yield from _children(child, without)
