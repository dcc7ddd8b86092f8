"""Records of one topic as Parquet files, each named by the offsets that it holds.

A file appears whole or not at all, and the names alone say where reading goes on: whatever is
killed when, each record is in exactly one file. `G-FIRST-NEXT.parquet` holds the records from
offset FIRST up to NEXT; G counts up when the topic begins anew.
Small files are joined into larger ones; a file whose offsets lie within another's counts no more.
"""

import contextlib
import dataclasses
import os
import pathlib
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

JOINED = 48
"""So many small files become one."""
LARGE_ROWS = 500_000
"""A file of so many rows is left as it is."""

_NAME = re.compile(r"(\d{6})-(\d{18})-(\d{18})\.parquet")


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Part:
    """One file."""

    generation: int
    first: int
    next: int
    path: pathlib.Path

    def covers(self, other: "Part") -> bool:
        """Whether it holds all that another one does."""
        return (
            self.generation == other.generation
            and self.first <= other.first
            and self.next >= other.next
            and self.path != other.path
        )


def parts(folder: pathlib.Path) -> list[Part]:
    """Give the files that count, in the order of their offsets."""
    found = []
    for path in folder.glob("*.parquet"):
        match = _NAME.fullmatch(path.name)
        if match is not None:
            found.append(Part(int(match[1]), int(match[2]), int(match[3]), path))
    # The longest of those that begin together first: it covers what follows it.
    found.sort(key=lambda part: (part.generation, part.first, -part.next))
    kept: list[Part] = []
    for part in found:
        if not kept or not kept[-1].covers(part):
            kept.append(part)
    return kept


class Dataset:
    """The files of one topic, written by one process."""

    def __init__(self, folder: pathlib.Path, schema: pa.Schema) -> None:
        self.folder = folder
        self.schema = schema
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(".*.tmp"):
            left.unlink()
        self._parts = parts(folder)
        kept = {part.path for part in self._parts}
        for path in folder.glob("*.parquet"):
            if path not in kept:
                path.unlink()
        self._counts: dict[pathlib.Path, int] = {}
        self._generation = self._parts[-1].generation if self._parts else 0
        self._next = self._parts[-1].next if self._parts else 0

    @property
    def next(self) -> int:
        """The offset at which reading goes on."""
        return self._next

    @property
    def paths(self) -> list[pathlib.Path]:
        """The files, in the order of their offsets."""
        return [part.path for part in self._parts]

    @property
    def rows(self) -> int:
        """How many records there are."""
        return sum(self._rows_of(part) for part in self._parts)

    def begin_anew(self) -> None:
        """Take note that the topic's offsets began anew."""
        self._generation += 1
        self._next = 0

    def append(self, rows: Sequence[Mapping[str, Any]], next_: int) -> None:
        """Write the records up to offset `next_`; there may be none among them that is kept.

        Raises OSError where the disk is full: nothing is lost, it may be tried again.
        """
        if next_ <= self._next:
            return
        table = pa.Table.from_pylist(list(rows), schema=self.schema)
        self._parts.append(self._write(table, self._generation, self._next, next_))
        self._next = next_

    def join(self) -> bool:
        """Make one file of many small ones if there are enough of them; say whether it was done."""
        small = [
            part
            for part in self._parts
            if part.generation == self._generation and self._rows_of(part) < LARGE_ROWS
        ]
        if len(small) < JOINED or small != self._parts[-len(small) :]:
            small = self._last_run(small)
        if len(small) < JOINED:
            return False
        table = pa.concat_tables([pq.read_table(part.path) for part in small])
        made = self._write(table, self._generation, small[0].first, small[-1].next)
        for part in small:
            if part.path != made.path:
                part.path.unlink()
                self._counts.pop(part.path, None)
        self._parts = parts(self.folder)
        return True

    def _rows_of(self, part: Part) -> int:
        """Give a file's rows; its footer is read once, for a file never changes."""
        if part.path not in self._counts:
            self._counts[part.path] = pq.read_metadata(part.path).num_rows
        return self._counts[part.path]

    def _last_run(self, small: list[Part]) -> list[Part]:
        """Give the small files at the end that follow each other without a large one between."""
        wanted = set(small)
        run: list[Part] = []
        for part in reversed(self._parts):
            if part not in wanted:
                break
            run.append(part)
        return run[::-1]

    def forget(self, days: float) -> int:
        """Take away files that were last written more than `days` ago; give their number."""
        limit = time.time() - days * 86_400
        old = [part for part in self._parts[:-1] if part.path.stat().st_mtime < limit]
        for part in old:
            part.path.unlink()
            self._counts.pop(part.path, None)
        self._parts = [part for part in self._parts if part not in old]
        return len(old)

    def _write(self, table: pa.Table, generation: int, first: int, next_: int) -> Part:
        path = self.folder / f"{generation:06d}-{first:018d}-{next_:018d}.parquet"
        temporary = path.with_name(f".{path.name}.tmp")
        try:
            with temporary.open("wb") as file:
                pq.write_table(table, file, compression="zstd")
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError:
            with contextlib.suppress(OSError):  # what is left is taken away at the next start
                temporary.unlink()
            raise
        return Part(generation, first, next_, path)
