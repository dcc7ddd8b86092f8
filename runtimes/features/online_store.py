"""The stream's way into the online store: all views of the changed symbols in one transaction.

What could not be written stays to be written; a store that lost what it had is filled again.
"""

import datetime as dt
import json
import logging
from collections.abc import Iterable
from typing import Any

import redis

from runtimes.contract import credentials
from runtimes.features import clock, folding, rows

logger = logging.getLogger(__name__)

MARK = b"bellwether:feature-stream"
"""Where the stream says how far it is: JSON, see `Writer.flush`."""

TIMEOUT_SECONDS = 2.0


class Writer:
    """Writes the rows of a `Folding`; keeps account of what the store does not have yet."""

    def __init__(self, address: str, layout: rows.Layout, source: folding.Folding) -> None:
        host, _, port = address.rpartition(":")
        self._client = redis.Redis(
            host=host,
            port=int(port),
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            **credentials.valkey(),
        )
        self._layout = layout
        self._source = source
        self._changed: set[str] = set()
        self._replace = True
        self._written: bytes | None = None
        self._sequence = 0
        self.failing = False

    @property
    def pending(self) -> bool:
        """Whether the store lacks anything."""
        return bool(self._changed) or self._replace

    def changed(self, symbols: Iterable[str]) -> None:
        """Note whose rows changed."""
        self._changed.update(symbols)

    def replace(self) -> None:
        """Note that nothing of what the store has is to stay."""
        self._replace = True

    def flush(self, position: dict[str, Any]) -> bool:
        """Write what changed, and with it the mark: `position`, a sequence number, the newest day.

        Says whether the store has everything now.
        """
        everything = self._replace or self.failing
        symbols = self._source.symbols if everything else self._changed
        newest = self._source.newest_of_all()
        mark = json.dumps(
            {
                **position,
                "sequence": self._sequence + 1,
                "newest": None if newest is None else newest.isoformat(),
            }
        ).encode()
        try:
            with self._client.pipeline(transaction=True) as pipeline:
                pipeline.get(MARK)
                for symbol in self._source.declared.symbols if self._replace else ():
                    pipeline.delete(self._layout.key(symbol))
                for symbol in sorted(symbols):
                    pipeline.hset(self._layout.key(symbol), mapping=self._fields(symbol))
                pipeline.set(MARK, mark)
                before = pipeline.execute()[0]
        except redis.RedisError as error:
            if not self.failing:
                logger.warning("the online store takes nothing, trying on: %s", error)
            self.failing = True
            return False
        if self._lost(before) and not everything:
            self.replace()
            return self.flush(position)
        if self.failing:
            logger.warning("the online store is back: it has everything again")
        self._sequence += 1
        self._written, self.failing, self._replace = mark, False, False
        self._changed.clear()
        return True

    def check(self) -> None:
        """See whether the store still has what was written; else note that all of it is to be written."""
        try:
            found = self._client.get(MARK)
        except redis.RedisError as error:
            logger.warning("the online store does not answer: %s", error)
            self.failing = True
            return
        if self._lost(found):
            self.replace()

    def set_clock(self, newest: dt.date, arrived: float, *, back: bool) -> clock.Clock:
        """Set the market's clock to where the data is, unless somebody lets it go; give it.

        `arrived` is when the newest bar came, by the wall; `back` says that the clock may go back.
        Raises redis.RedisError if the store is away.
        """
        given: list[clock.Clock] = []

        def update(pipeline: Any) -> None:
            stored = pipeline.get(clock.KEY)
            current = _read(stored)
            now = current.now()
            stands = current.rate == 0 or now >= current.until
            behind = now < close(newest) or (back and now > close(newest))
            wanted = current
            if stored is None or (stands and behind):
                wanted = clock.of_newest(newest, arrived) or clock.LIVE
            pipeline.multi()
            if wanted is not current:
                if wanted is clock.LIVE:
                    pipeline.delete(clock.KEY)
                else:
                    pipeline.set(clock.KEY, wanted.dumps())
            given[:] = [wanted]

        self._client.transaction(update, clock.KEY)
        return given[0]

    def market_time(self) -> float:
        """Give the market's time now, in seconds since 1970 UTC; raises redis.RedisError."""
        return _read(self._client.get(clock.KEY)).now()

    def _lost(self, mark: Any) -> bool:
        """Say whether the store came back without what was written, as its mark tells."""
        if self._written is None or mark == self._written:
            return False
        logger.warning("the online store lost what was written: it is written again")
        return True

    def _fields(self, symbol: str) -> dict[Any, Any]:
        fields: dict[Any, Any] = {}
        for view, (values, moment) in self._source.row(symbol).items():
            fields |= self._layout.encode(view, values, moment)
        return fields


def _read(stored: Any) -> clock.Clock:
    try:
        return clock.loads(stored)
    except clock.ClockError as error:
        logger.warning("the clock is set anew: %s", error)
        return clock.Clock(market=0.0, wall=0.0, rate=0.0)


def close(day: dt.date) -> float:
    """Give the moment of a day's close, in seconds since 1970 UTC."""
    return clock.close_of(day).timestamp()
