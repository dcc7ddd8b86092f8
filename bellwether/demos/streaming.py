"""Watches a replay go through the feature store: latency of every bar, quality over time.

Half-way the replay is held: the market's clock goes on, no bar comes, features grow stale.
"""

import collections
import collections.abc
import concurrent.futures
import dataclasses
import threading
import time
import typing

import numpy as np

from bellwether import demos

from . import arrivals, freshness, replaying, shelf, timeline

MARKET_DATA = "market-data"
FEATURE_MONITORING = "feature-monitoring"
TOPICS = (MARKET_DATA, FEATURE_MONITORING)

IDLE_SECONDS = 0.25
"""How often a symbol is asked for while no bar of it waits."""

ASK_SECONDS = 0.005
"""How often it is asked for while one does: latencies are known to within this and a request."""

OVERDUE_SECONDS = 2.0
"""A bar that waits longer is asked for as seldom as if none did."""

FIRST_BAR_SECONDS = 60.0
"""How long a replay has until its first bar is on the topic."""

TICK_SECONDS = 0.1

HELD = (0.5, 0.7)
"""The part of the duration in which the replay is held."""

POOR = 0.8
"""Below this quality the fallback answers."""

CATCH_UP_SECONDS = 2.0
"""How long after a hold the bars that were missed may take."""

LIMIT_MS = 200.0
"""A bar is to be in the next forecast's features within this."""


class Watch:
    """Asks for every symbol's row again and again: at once when a bar of it waits."""

    def __init__(self, of: shelf.Shelf) -> None:
        self.shelf = of
        self.fresh = freshness.Freshness()
        self.quality = timeline.Timeline()
        self.monitored: dict[str, dict[str, typing.Any]] = {}
        """The newest record of `feature-monitoring`, by symbol."""
        self.poor: list[tuple[float, str]] = []
        """When an answer's quality was below `POOR`, and why, as enrichment says it."""
        self._ended = threading.Event()
        self._pool = concurrent.futures.ThreadPoolExecutor(len(of.symbols))
        self._jobs: list[concurrent.futures.Future[None]] = []

    def __enter__(self) -> typing.Self:
        self._jobs = [self._pool.submit(self._follow, symbol) for symbol in self.shelf.symbols]
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._pool.shutdown()

    def check(self) -> None:
        """Raise what ended the watch of a symbol, if something did."""
        for job in self._jobs:
            if job.done():
                job.result()

    def record(self, topic: str, document: typing.Any, at: float) -> None:
        """Take a record of `market-data` or `feature-monitoring`."""
        if not isinstance(document, dict):
            return
        if topic == FEATURE_MONITORING:
            self.monitored[str(document.get("symbol", ""))] = document
        elif document.get("control") == "reset":
            self.fresh.reset(str(document.get("until", "")))
        elif "symbol" in document:
            date = document.get("date") or document.get("time", "")
            self.fresh.arrived(str(document["symbol"]), str(date)[: len("2008-09-15")], at)

    def _follow(self, symbol: str) -> None:
        waited_since = None
        while not self._ended.is_set():
            waits = self.fresh.wait(symbol, IDLE_SECONDS)
            row = self.shelf.read(symbol)
            if row:
                self.fresh.answered(symbol, row.date, row.came)
                self.quality.add(symbol, row.came, row.quality)
                if row.quality < POOR:
                    self.poor.append((row.came, row.reason))
            if not self.fresh.waiting(symbol):
                waited_since = None
                continue
            waited_since = waited_since or time.monotonic()
            overdue = time.monotonic() - waited_since > OVERDUE_SECONDS
            self._ended.wait(IDLE_SECONDS if waits and overdue else ASK_SECONDS)


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """What a watch saw."""

    symbols: tuple[str, ...]
    began: float
    """Seconds since 1970 when the first bar arrived."""
    ended: float
    held: tuple[float, float] | None
    """From when to when the replay was held; None if it never was."""
    served: tuple[freshness.Served, ...]
    overdue: int
    """Bars that no answer had within `OVERDUE_SECONDS`, at the end."""
    bars: int
    monitored: int
    """Records on `feature-monitoring`."""
    quality: timeline.Timeline
    poor: tuple[tuple[float, str], ...] = ()
    """When an answer's quality was below `POOR`, and why."""

    @property
    def surprises(self) -> collections.Counter[str]:
        """Why quality was poor while bars came, and how often: not in a hold, nor right after it."""
        begin, end = self.held or (self.ended, self.ended)
        return collections.Counter(
            reason
            for at, reason in self.poor
            if self.began <= at < begin or end + CATCH_UP_SECONDS < at <= self.ended
        )

    @property
    def milliseconds(self) -> "np.typing.NDArray[np.float64]":
        """The latencies of all bars."""
        return np.array([each.seconds * 1000 for each in self.served])

    @property
    def superseded(self) -> int:
        """Bars that were first seen in an answer with a later date."""
        return sum(each.superseded for each in self.served)

    @property
    def within_limit(self) -> float:
        """Share of the bars that were in an answer within `LIMIT_MS`."""
        return float((self.milliseconds <= LIMIT_MS).mean()) if self.served else float("nan")

    def lowest(self, begin: float, end: float) -> float:
        """Give the lowest quality of any symbol between two moments."""
        return self.quality.lowest(begin, end)

    def document(self) -> dict[str, typing.Any]:
        """Give it as JSON's types."""
        p50, p99 = freshness.percentiles(self.milliseconds)
        document: dict[str, typing.Any] = {
            "symbols": list(self.symbols),
            "seconds": round(self.ended - self.began, 1),
            "bars": self.bars,
            "bars_per_second": round(self.bars / (self.ended - self.began), 2),
            "latency_ms": {
                "count": len(self.served),
                "p50": _rounded(p50),
                "p99": _rounded(p99),
                "max": _rounded(float(self.milliseconds.max())) if self.served else None,
                "share_within_limit": _rounded(self.within_limit, 4),
                "limit": LIMIT_MS,
            },
            "superseded": self.superseded,
            "overdue": self.overdue,
            "feature_monitoring_records": self.monitored,
            "poor_answers_while_bars_came": dict(self.surprises),
            "lowest_quality": None,
        }
        if self.held:
            document["lowest_quality"] = {
                "before_the_hold": _rounded(self.lowest(self.began, self.held[0]), 4),
                "while_held": _rounded(self.lowest(*self.held), 4),
                "at_the_end": _rounded(self.lowest(self.ended - 1, self.ended), 4),
            }
        return document


def _rounded(value: float, digits: int = 1) -> float | None:
    return round(value, digits) if np.isfinite(value) else None


@dataclasses.dataclass(frozen=True, slots=True)
class Now:
    """Where a watch stands."""

    phase: str
    elapsed: float
    """Seconds since the first bar."""


def held_seconds(seconds: float) -> float:
    """Give for how long the replay is held in a demo of so many seconds."""
    return (HELD[1] - HELD[0]) * seconds


def run(
    watch: Watch,
    heard: arrivals.Arrivals,
    replay: replaying.Replaying,
    seconds: float,
    show: collections.abc.Callable[[Now], None],
) -> Result:
    """Watch a running replay for `seconds`, with a hold in between; it may end sooner.

    Raises:
        DemoError: the replay fails or sends no bar, or something does not answer.

    """
    _first_bar(watch, heard, replay, show)
    began, start = time.time(), time.monotonic()
    held: list[float] = []
    while (elapsed := time.monotonic() - start) < seconds and not replay.ended:
        for each in (watch, heard, replay):
            each.check()
        if not held and elapsed >= HELD[0] * seconds:
            replay.hold()
            held.append(time.time())
        elif len(held) == 1 and elapsed >= HELD[1] * seconds:
            replay.go_on()
            held.append(time.time())
        show(Now("replay is held" if len(held) == 1 else "replay goes", elapsed))
        time.sleep(TICK_SECONDS)  # a frame
    ended = time.time()
    if len(held) == 1:
        held.append(ended)
    return Result(
        symbols=watch.shelf.symbols,
        began=began,
        ended=ended,
        held=(held[0], held[1]) if held else None,
        served=tuple(watch.fresh.served),
        overdue=watch.fresh.overdue(ended, OVERDUE_SECONDS),
        bars=watch.fresh.bars,
        monitored=heard.counts[FEATURE_MONITORING],
        quality=watch.quality,
        poor=tuple(watch.poor),
    )


def _first_bar(
    watch: Watch,
    heard: arrivals.Arrivals,
    replay: replaying.Replaying,
    show: collections.abc.Callable[[Now], None],
) -> None:
    start = time.monotonic()
    while not watch.fresh.bars:
        for each in (watch, heard, replay):
            each.check()
        if time.monotonic() - start > FIRST_BAR_SECONDS or replay.ended:
            raise demos.DemoError(
                f"the replay sent no bar in {time.monotonic() - start:.0f} s: "
                "`uv run bellwether status` says whether Kafka serves"
            )
        show(Now("replay begins", 0.0))
        time.sleep(TICK_SECONDS)  # until the next look
