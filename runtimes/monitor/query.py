"""Ask the monitor's files: `python -m runtimes.monitor.query FOLDER SQL`; the answer is JSON."""

import json
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import duckdb

from . import dataset, ledger, schemas


def main(arguments: Sequence[str]) -> int:
    """Print the rows as a JSON list of objects; give the exit status."""
    if len(arguments) != 2:  # noqa: PLR2004  folder and SQL
        sys.stderr.write("usage: python -m runtimes.monitor.query FOLDER SQL\n")
        return 2
    folder, sql = pathlib.Path(arguments[0]), arguments[1]
    paths = {
        name: [part.path for part in dataset.parts(folder / name)] for name in schemas.DATASETS
    }
    try:
        rows = ledger.query(paths, sql)
    except duckdb.Error as error:
        sys.stderr.write(f"{error}\ntables: {', '.join(schemas.DATASETS)}\n")
        return 1
    json.dump(rows, sys.stdout, default=_text)
    return 0


def _text(value: Any) -> str:
    return str(value.isoformat()) if hasattr(value, "isoformat") else str(value)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
