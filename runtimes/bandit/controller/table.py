"""What is known of many ids, in sorted arrays: 18 bytes an id, looked up a batch at a time.

A log-structured merge: a batch becomes a sorted segment, and small segments are merged.
Ids are 64-bit hashes: among 10 million of them, two collide with a probability of 3e-6.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]
Mask = NDArray[np.bool_]
Columns = dict[str, NDArray[Any]]

_LARGEST = 1 << 20
"""Rows of a segment that is merged no more: merging two such takes some 30 ms."""

_NONE = -1


def keys_of(ids: Iterable[str]) -> Keys:
    """Hash ids; the same in every process."""
    digests = b"".join(hashlib.blake2b(each.encode(), digest_size=8).digest() for each in ids)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


class Segment:
    """Rows sorted by key; `time` and `used` are columns that every row has."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self.keys: Keys = columns["key"]
        self.stored = ""
        """Under which name a checkpoint has all columns but `used`."""
        self.newest = int(columns["time"].max(initial=-(2**62)))

    def __len__(self) -> int:
        return len(self.keys)

    def taken(self, rows: NDArray[Any]) -> "Segment":
        """Give some of the rows."""
        return Segment({name: column[rows] for name, column in self.columns.items()})

    @classmethod
    def merged(cls, first: "Segment", second: "Segment") -> "Segment":
        """Give the rows of both."""
        columns = {
            name: np.concatenate([column, second.columns[name]])
            for name, column in first.columns.items()
        }
        order = np.argsort(columns["key"], kind="stable")
        return cls({name: column[order] for name, column in columns.items()})


class Found:
    """Where the keys of a look-up are: `segment` [n] (-1 for nowhere) and `row` [n]."""

    def __init__(self, segments: list[Segment], size: int) -> None:
        self._segments = segments
        self.segment = np.full(size, _NONE, dtype=np.int64)
        self.row = np.zeros(size, dtype=np.int64)

    @property
    def there(self) -> Mask:
        """Which keys were found."""
        return self.segment >= 0

    def column(self, name: str) -> NDArray[Any]:
        """Read a column of what was found; what was not is zero."""
        dtype = self._segments[0].columns[name].dtype if self._segments else np.dtype(np.int64)
        width = self._segments[0].columns[name].shape[1:] if self._segments else ()
        read = np.zeros((len(self.segment), *width), dtype=dtype)
        for number, segment in enumerate(self._segments):
            here = self.segment == number
            if here.any():
                read[here] = segment.columns[name][self.row[here]]
        return read

    def use(self, which: Mask) -> None:
        """Mark some of what was found as used."""
        for number, segment in enumerate(self._segments):
            here = which & (self.segment == number)
            if here.any():
                segment.columns["used"][self.row[here]] = True


class Table:
    """Rows by key. A row whose time is before `horizon` is not there any more."""

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self.horizon = -(2**62)

    def __len__(self) -> int:
        return sum(len(each) for each in self.segments)

    def find(self, keys: Keys) -> Found:
        """Look keys up, among rows that are still there."""
        found = Found(list(self.segments), len(keys))
        open_ = np.arange(len(keys))
        for number in range(len(self.segments) - 1, -1, -1):
            if not len(open_):
                break
            segment = self.segments[number]
            rows = np.searchsorted(segment.keys, keys[open_])
            rows[rows == len(segment)] = 0
            hit = segment.keys[rows] == keys[open_]
            hit &= segment.columns["time"][rows] >= self.horizon
            found.segment[open_[hit]] = number
            found.row[open_[hit]] = rows[hit]
            open_ = open_[~hit]
        return found

    def add(self, columns: Columns) -> None:
        """Add rows whose keys are distinct and not there."""
        if not len(columns["key"]):
            return
        order = np.argsort(columns["key"], kind="stable")
        self.segments.append(Segment({name: each[order] for name, each in columns.items()}))
        while len(self.segments) > 1:
            older, newer = self.segments[-2:]
            if len(older) >= _LARGEST or len(older) > 2 * len(newer):
                break
            # An expired row must not stand before a newer one of the same key.
            alive = older.columns["time"] >= self.horizon
            older = older if alive.all() else older.taken(alive)
            self.segments[-2:] = [Segment.merged(older, newer) if len(older) else newer]

    def drop(self, keep: Mapping[int, Mask]) -> None:
        """Keep some rows alone; `keep` is by the segment's number."""
        kept = [
            each if keep[number].all() else each.taken(keep[number])
            for number, each in enumerate(self.segments)
            if keep[number].any()
        ]
        self.segments = kept

    def expire(self, horizon: int) -> None:
        """Forget rows from before a time; the space of many follows at once, of few later."""
        self.horizon = max(self.horizon, horizon)
        self.segments = [each for each in self.segments if each.newest >= self.horizon]

    def compact(self) -> None:
        """Give back the space of segments of which more than a third has expired."""
        keep = {}
        for number, each in enumerate(self.segments):
            alive = each.columns["time"] >= self.horizon
            few = alive.sum() * 3 < len(each) * 2
            keep[number] = alive if few else np.ones(len(each), dtype=np.bool_)
        self.drop(keep)

    def renewed(self) -> None:
        """Make every segment a new one, after its columns have changed."""
        self.segments = [Segment(dict(each.columns)) for each in self.segments]

    def times(self) -> NDArray[np.int64]:
        """Give the times of all rows that are there."""
        alive = [each.columns["time"] for each in self.segments]
        whole = np.concatenate(alive) if alive else np.zeros(0, dtype=np.int64)
        return whole[whole >= self.horizon]

    def nbytes(self) -> int:
        """Say how much memory the rows take."""
        return sum(c.nbytes for each in self.segments for c in each.columns.values())
