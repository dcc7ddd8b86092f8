"""From a bar's arrival to the first answer that knows it: which bars wait, and how long they did."""

import collections
import dataclasses
import threading

import numpy as np
import numpy.typing as npt

RATE_SECONDS = 5.0
"""The stretch over which bars a second are counted."""


@dataclasses.dataclass(frozen=True, slots=True)
class Served:
    """A bar that is in the features."""

    symbol: str
    date: str
    arrived: float
    """Seconds since 1970 when it was put on the topic."""
    answered: float
    """Seconds since 1970 when the first answer with its date, or a later one, was there."""
    superseded: bool
    """Whether that answer had a later date already: it was there at some moment before."""

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.answered - self.arrived


class Freshness:
    """Bars that arrived and answers that came, of all symbols; may be told from several threads."""

    def __init__(self) -> None:
        self._waiting: dict[str, dict[str, float]] = collections.defaultdict(dict)
        self._known: dict[str, str] = {}
        self._sent: dict[str, str] = {}
        self._until: str | None = None
        self._changed = threading.Condition()
        self._recent: collections.deque[float] = collections.deque()
        self.served: list[Served] = []
        self.bars = 0

    def arrived(self, symbol: str, date: str, at: float) -> None:
        """A bar of the day `date` (ISO 8601) was put on the topic at `at`."""
        with self._changed:
            self.bars += 1
            self._recent.append(at)
            self._sent[symbol] = max(date, self._sent.get(symbol, ""))
            # A bar that is no news, such as one sent again, is not waited for.
            if date > self._known.get(symbol, "") and date not in self._waiting[symbol]:
                self._waiting[symbol][date] = at
                self._changed.notify_all()

    def reset(self, until: str) -> None:
        """The stream is put back to what was known at the end of the day `until` (ISO 8601)."""
        with self._changed:
            self._waiting.clear()
            self._known.clear()
            self._sent.clear()
            self._until = until

    def answered(self, symbol: str, date: str, at: float) -> None:
        """An answer whose newest bar is of `date` was there at `at`."""
        with self._changed:
            if self._until is not None and date > self._sent.get(symbol, self._until):
                return  # of before the reset: the stream has not come to it yet
            self._known[symbol] = date
            waiting = self._waiting[symbol]
            for each in sorted(waiting):
                # An answer that left before a bar arrived says nothing of it.
                if each <= date and waiting[each] <= at:
                    arrived = waiting.pop(each)
                    self.served.append(Served(symbol, each, arrived, at, superseded=each < date))

    def waiting(self, symbol: str) -> bool:
        """Whether a bar of the symbol is not in the features yet."""
        with self._changed:
            return bool(self._waiting[symbol])

    def wait(self, symbol: str, seconds: float) -> bool:
        """Sleep until a bar of the symbol waits, but not longer; say whether one does."""
        with self._changed:
            return self._changed.wait_for(lambda: bool(self._waiting[symbol]), seconds)

    def overdue(self, now: float, seconds: float) -> int:
        """Count the bars that have waited longer than `seconds`."""
        with self._changed:
            return sum(
                now - at > seconds for dates in self._waiting.values() for at in dates.values()
            )

    def rate(self, now: float) -> float:
        """Give the bars a second that arrived lately."""
        with self._changed:
            while self._recent and self._recent[0] < now - RATE_SECONDS:
                self._recent.popleft()
            return len(self._recent) / RATE_SECONDS

    def milliseconds(self) -> npt.NDArray[np.float64]:
        """Give all latencies."""
        with self._changed:
            return np.array([each.seconds * 1000 for each in self.served])


def percentiles(milliseconds: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Give p50 and p99; NaN of nothing."""
    if not len(milliseconds):
        return float("nan"), float("nan")
    p50, p99 = np.percentile(milliseconds, [50, 99])
    return float(p50), float(p99)
