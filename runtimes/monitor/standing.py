"""Where a value stands among those before it: a percentile in a window that slides."""

import bisect
import collections


class Standing:
    """The last `size` values of one symbol, also in order."""

    def __init__(self, size: int = 1000) -> None:
        self._recent: collections.deque[float] = collections.deque()
        self._ordered: list[float] = []
        self._size = size

    def place(self, value: float) -> float | None:
        """Give the share of the values before that are smaller, ties by half; take the value in.

        None for the first value.
        """
        count = len(self._ordered)
        below = bisect.bisect_left(self._ordered, value)
        up_to = bisect.bisect_right(self._ordered, value)
        found = (below + up_to) / (2 * count) if count else None
        if count == self._size:
            oldest = self._recent.popleft()
            del self._ordered[bisect.bisect_left(self._ordered, oldest)]
        self._recent.append(value)
        bisect.insort(self._ordered, value)
        return found


class Recent:
    """The last `size` keys, to know one again; bounded, so that it may have forgotten."""

    def __init__(self, size: int = 200_000) -> None:
        self._size = size
        self._seen: dict[int, None] = {}

    def add(self, key: str) -> bool:
        """Take a key in; say whether it is new."""
        digest = hash(key)
        if digest in self._seen:
            return False
        if len(self._seen) >= self._size:
            del self._seen[next(iter(self._seen))]
        self._seen[digest] = None
        return True

    def __contains__(self, key: str) -> bool:
        return hash(key) in self._seen
