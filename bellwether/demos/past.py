"""A stack's feature store as it was on past days, and put back to where it was afterwards."""

import collections.abc
import contextlib
import dataclasses
import datetime as dt
import time

from bellwether import demos, environment, features, replay
from models import sources
from runtimes import contract
from runtimes.features import clock

from . import replaying, shelf

CALENDAR_DAYS = 365.25 / contract.TRADING_DAYS
"""Calendar days that pass for each trading day, in the mean."""

BACK_SECONDS = 60.0
"""How long the stream may take to put the store back."""

_LOOK_SECONDS = 0.1


@dataclasses.dataclass(frozen=True, slots=True)
class Past:
    """History from a day on, at a speed, into one stack's feature store."""

    kafka: str
    """host:port"""
    valkey: str
    """host:port"""
    plan: replay.Plan
    speed: float
    """Trading days a second."""
    seed: int

    @classmethod
    def of(
        cls, stack: environment.Stack, source: sources.Source, speed: float, begin: dt.date
    ) -> "Past":
        """Read the bars of `source` from the day `begin` on.

        Raises:
            sources.DataError: bad data, or no day from then on.

        """
        given = stack.settings()
        return cls(
            kafka=f"127.0.0.1:{given.ports.kafka}",
            valkey=f"127.0.0.1:{given.ports.valkey}",
            plan=replay.plan(source, begin),
            speed=speed,
            seed=given.seed,
        )

    def replaying(self, hold_seconds: float) -> replaying.Replaying:
        """Give the replay; while it is held, for so long, the market's clock goes on without bars."""
        running = replay.Replay(self.kafka, self.valkey, seed=self.seed)

        def on_hold(day: dt.date) -> None:
            begin = clock.close_of(day)
            passes = dt.timedelta(days=self.speed * CALENDAR_DAYS * hold_seconds)
            running.clock.go(begin, begin + passes, hold_seconds)

        return replaying.Replaying(
            lambda said: running.run(self.plan, self.speed, said=said), on_hold
        )


@contextlib.contextmanager
def put_back(of: shelf.Shelf, kafka: str) -> collections.abc.Iterator[dt.date]:
    """Give the store's newest day; at the end, whatever happened, have the stream go back to it.

    Raises:
        DemoError: the store knows no symbol, or does not come back.

    """
    rows = [row for row in map(of.read, of.symbols) if row and row.date]
    if not rows:
        raise demos.DemoError(
            f"{shelf.MODEL} knows no symbol's features: `uv run bellwether status` says whether "
            "the feature stream and Valkey serve"
        )
    newest = max(rows, key=lambda row: row.date)
    until = dt.date.fromisoformat(newest.date)
    try:
        yield until
    finally:
        with features.Producer(kafka) as producer:
            producer.send(features.MARKET_DATA, {"control": "reset", "until": newest.date})
        _wait(of, newest)


def _wait(of: shelf.Shelf, wanted: shelf.Row) -> None:
    deadline = time.monotonic() + BACK_SECONDS
    while True:
        row = of.read(wanted.symbol)
        if row and row.date == wanted.date:
            return
        if time.monotonic() > deadline:
            raise demos.DemoError(
                f"the feature store was not put back to {wanted.date} in {BACK_SECONDS:.0f} s: "
                "`uv run bellwether status` says whether the feature stream runs"
            )
        time.sleep(_LOOK_SECONDS)  # between two looks at the store
