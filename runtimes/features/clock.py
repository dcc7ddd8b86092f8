"""The market's clock: what time it is where the data comes from.

Historical data is old by the wall clock, however fresh it is in a replay.
So the store keeps a clock beside the features, and what is stale is judged by it:
`now = min(until, market + (wall now - wall) * rate)`.
Without a clock in the store the market's time is the wall's: the data is live.
"""

import dataclasses
import datetime as dt
import json
import math
import time
from typing import Any

KEY = b"bellwether:market-clock"
"""Where the clock is in the online store's server."""

LIVE_FOR = dt.timedelta(days=7)
"""Data whose newest bar is younger than this is live."""

_CLOSE = dt.time(21, tzinfo=dt.UTC)


class ClockError(ValueError):
    """What the store holds as a clock is none."""


def close_of(date: dt.date) -> dt.datetime:
    """Give the moment from which a day's bar is known: 21:00 UTC.

    New York closes then in winter, and an hour earlier in summer; the other assets settle before.
    """
    return dt.datetime.combine(date, _CLOSE)


@dataclasses.dataclass(frozen=True, slots=True)
class Clock:
    """A clock that stands, or goes at a rate of its own."""

    market: float
    """The market's time at `wall`, in seconds since 1970 UTC."""
    wall: float
    """The wall's time at which it was set, in seconds since 1970 UTC."""
    rate: float = 0.0
    """Seconds of the market in one second; 0: the clock stands."""
    until: float = math.inf
    """Where it stops by itself."""

    def now(self, wall: float | None = None) -> float:
        """Give the market's time at `wall` (now if not given), in seconds since 1970 UTC."""
        passed = (time.time() if wall is None else wall) - self.wall
        return min(self.until, self.market + passed * self.rate)

    def dumps(self) -> bytes:
        """Write it as JSON: times in ISO 8601, no `until` where it never stops."""
        document: dict[str, Any] = {
            "market": _text(self.market),
            "wall": _text(self.wall),
            "rate": self.rate,
        }
        if self.until != math.inf:
            document["until"] = _text(self.until)
        return json.dumps(document).encode()


LIVE = Clock(market=0.0, wall=0.0, rate=1.0)
"""The wall's own time."""


def frozen(at: dt.datetime, wall: float | None = None) -> Clock:
    """Give a clock that stands at `at`."""
    moment = at.timestamp()
    return Clock(market=moment, wall=time.time() if wall is None else wall, rate=0.0, until=moment)


def going(begin: dt.datetime, end: dt.datetime, seconds: float, wall: float | None = None) -> Clock:
    """Give a clock that goes from `begin` to `end` in `seconds` of the wall's time, and stops."""
    market, until = begin.timestamp(), end.timestamp()
    return Clock(
        market=market,
        wall=time.time() if wall is None else wall,
        rate=(until - market) / seconds,
        until=until,
    )


def loads(stored: bytes | None) -> Clock:
    """Read what `dumps` wrote; nothing stored is `LIVE`. Raises ClockError."""
    if stored is None:
        return LIVE
    try:
        document = json.loads(stored)
        until = document.get("until")
        clock = Clock(
            market=_seconds(document["market"]),
            wall=_seconds(document["wall"]),
            rate=float(document["rate"]),
            until=math.inf if until is None else _seconds(until),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ClockError(
            f"{KEY.decode()} holds {stored[:200]!r}, which is no clock ({error}); "
            'it is JSON such as {"market": "2008-09-15T21:00:00+00:00", '
            '"wall": "2025-01-01T00:00:00+00:00", "rate": 0}; delete the key to go by the wall'
        ) from error
    if not math.isfinite(clock.rate):
        raise ClockError(f"{KEY.decode()}: the rate is {clock.rate}, it has to be finite")
    return clock


def of_newest(newest: dt.date, wall: float | None = None) -> Clock | None:
    """Give the clock for data whose newest bar is of day `newest`: standing there, or None if live."""
    moment = time.time() if wall is None else wall
    close = close_of(newest)
    if moment - close.timestamp() < LIVE_FOR.total_seconds():
        return None
    return frozen(close, moment)


def _text(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat()


def _seconds(text: str) -> float:
    moment = dt.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.timestamp()
