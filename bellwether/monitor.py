"""`bellwether monitor query`: SQL over what the monitor has seen."""

import json
import subprocess
import typing

import rich.table

from bellwether import environment
from infra import paths
from infra.local import toolchain


class MonitorError(Exception):
    """The monitor's files could not be asked; the message says why."""


def query(stack: environment.Stack, sql: str) -> list[dict[str, typing.Any]]:
    """Ask the files; raise MonitorError."""
    folder = stack.home / "monitor" / "records"
    if not folder.exists():
        raise MonitorError(f"{folder} does not exist: the monitor makes it once `make up` has run")
    python = toolchain.python_of("monitor")
    done = subprocess.run(
        [python, "-m", "runtimes.monitor.query", str(folder), sql],
        cwd=paths.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise MonitorError(done.stderr.strip())
    rows: list[dict[str, typing.Any]] = json.loads(done.stdout)
    return rows


def table(rows: list[dict[str, typing.Any]]) -> rich.table.Table:
    """Draw rows."""
    shown = rich.table.Table()
    for name in rows[0] if rows else ("no rows",):
        shown.add_column(name)
    for row in rows:
        shown.add_row(*("" if value is None else str(value) for value in row.values()))
    return shown
