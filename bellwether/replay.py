"""Real history as a stream: the bars of past days, in their order, at a speed; with made-up texts.

The feature stream is set back to the day before, then fed day by day, while the market's clock
goes from close to close. The bars are real; every headline and post is made up, and says so.
"""

import collections.abc
import contextlib
import dataclasses
import datetime as dt
import json
import math
import pathlib
import time
import typing

import confluent_kafka
import numpy as np
import pydantic
import redis

from bellwether import environment, features, headlines
from models import data as market_data
from models import sources
from runtimes.features import clock

if typing.TYPE_CHECKING:
    import pandas as pd

FEWEST_DAYS = 252
"""Days that are replayed if no day to begin with is named."""

MARK = b"bellwether:feature-stream"
"""Where the feature stream says how far it is."""

_RESET_SECONDS = 60.0
_CATCH_UP_SECONDS = 15.0
_LOOK_SECONDS = 0.02


class Replayed(pydantic.BaseModel):
    """What was replayed."""

    first: dt.date
    last: dt.date
    """The last day that was sent."""
    days: int
    bars: int
    texts: int
    """All made up."""
    seconds: float
    days_a_second: float
    behind: int
    """Records of `market-data` that the feature stream had not folded when the replay ended."""


@dataclasses.dataclass(frozen=True, slots=True)
class Bar:
    """A symbol's day."""

    symbol: str
    numbers: tuple[float, float, float, float, float]
    """open, high, low, close, volume"""
    log_return: float
    """0 on a symbol's first day."""


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """The days to replay, and the day before."""

    before: dt.date
    days: tuple[tuple[dt.date, tuple[Bar, ...]], ...]
    usual: dict[str, float]
    """A usual day's absolute return, by symbol."""


def plan(
    source: sources.Source,
    first: dt.date | None = None,
    last: dt.date | None = None,
    symbols: collections.abc.Collection[str] = (),
) -> Plan:
    """Read the bars of the days from `first` to `last`, of `symbols` (or of all).

    Raises:
        sources.DataError: bad data, an unknown symbol, or no day in between.

    """
    frames = market_data.load(source)
    if unknown := sorted(set(symbols) - set(frames)):
        raise sources.DataError(
            f"there is no symbol {', '.join(unknown)} in the data; there are {', '.join(frames)}"
        )
    chosen = {symbol: frames[symbol] for symbol in sorted(symbols or frames)}
    every = sorted({day.date() for frame in chosen.values() for day in frame.index})
    inside = [day for day in every if (last is None or day <= last)]
    begin = first or inside[-FEWEST_DAYS:][0] if inside else None
    inside = [day for day in inside if begin is None or day >= begin]
    if not inside:
        raise sources.DataError(
            f"no trading day lies between {first or every[0]} and {last or every[-1]}; "
            f"there is data from {every[0]} to {every[-1]}"
        )
    by_day: dict[dt.date, list[Bar]] = {day: [] for day in inside}
    for symbol, frame in chosen.items():
        for bar_day, bar in _bars(symbol, frame):
            if bar_day in by_day:
                by_day[bar_day].append(bar)
    earlier = [day for day in every if day < inside[0]]
    return Plan(
        before=earlier[-1] if earlier else inside[0] - dt.timedelta(days=1),
        days=tuple((day, tuple(bars)) for day, bars in by_day.items()),
        usual={symbol: _usual(frame) for symbol, frame in chosen.items()},
    )


class MarketClock:
    """The market's clock in the online store, as a replay lets it go."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._address = address
        self._client = redis.Redis(
            host=host, port=int(port), socket_timeout=1, socket_connect_timeout=1
        )
        self._set = clock.LIVE

    def check(self) -> None:
        """Raise FeatureStoreError if Valkey does not answer."""
        try:
            self._client.ping()
        except redis.RedisError as error:
            raise features.FeatureStoreError(
                f"Valkey at {self._address} does not answer ({error}): `make up` brings it up, "
                "`uv run bellwether status` says what is wrong"
            ) from error

    def stand(self, at: dt.datetime) -> None:
        """Stand at `at`."""
        self._put(clock.frozen(at))

    def go(self, begin: dt.datetime, end: dt.datetime, seconds: float) -> None:
        """Go from `begin` to `end` in so many seconds."""
        self._put(clock.going(begin, end, seconds))

    def stop(self) -> None:
        """Stand where it is."""
        if self._set is not clock.LIVE:
            self.stand(dt.datetime.fromtimestamp(self._set.now(), dt.UTC))

    def stream(self) -> dict[str, typing.Any]:
        """Give what the feature stream says of itself; nothing if it says nothing."""
        with contextlib.suppress(redis.RedisError):  # asked again, or said by what comes next
            stored = self._client.get(MARK)
            if isinstance(stored, bytes):
                found: dict[str, typing.Any] = json.loads(stored)
                return found
        return {}

    def _put(self, wanted: clock.Clock) -> None:
        self._set = wanted
        # Valkey may be away for a while: the replay goes on, and sets it again on the next day.
        with contextlib.suppress(redis.RedisError):
            self._client.set(clock.KEY, wanted.dumps())


class Replay:
    """One replay into a running environment."""

    def __init__(self, kafka: str, valkey: str, *, seed: int = 1) -> None:
        self._kafka = kafka
        self._seed = seed
        self.clock = MarketClock(valkey)
        self._offset = -1

    def run(
        self,
        wanted: Plan,
        speed: float,
        *,
        news: bool = True,
        said: collections.abc.Callable[[dt.date], None] = lambda _: None,
    ) -> Replayed:
        """Send everything at `speed` trading days a second; `said` is called after each day.

        The clock stands wherever this ends.

        Raises:
            features.FeatureStoreError: Kafka or Valkey is away, or the stream takes nothing.

        """
        producer = features.Producer(self._kafka)
        producer.check()
        self.clock.check()
        self._send_reset(producer, wanted.before)
        began = time.monotonic()
        bars = texts = count = 0
        before = clock.close_of(wanted.before)
        try:
            for day, day_bars in wanted.days:
                close = clock.close_of(day)
                self.clock.go(before, close, 1 / speed)
                if news:
                    texts += self._send_texts(producer, day, day_bars, wanted.usual)
                count += 1
                _sleep_until(began + count / speed)
                for bar in day_bars:
                    producer.bar(bar.symbol, day, *bar.numbers)
                bars += len(day_bars)
                before = close
                said(day)
            producer.flush()
            self.clock.stand(before)
        finally:
            self.clock.stop()
        seconds = time.monotonic() - began
        return Replayed(
            first=wanted.days[0][0],
            last=wanted.days[-1][0],
            days=count,
            bars=bars,
            texts=texts,
            seconds=round(seconds, 2),
            days_a_second=round(count / max(seconds, 1e-9), 1),
            behind=self._behind(bars),
        )

    def _send_reset(self, producer: features.Producer, until: dt.date) -> None:
        """Set the stream back, and wait until it is there."""
        self.clock.stand(clock.close_of(until))
        self._offset = _end(self._kafka)
        producer.send(features.MARKET_DATA, {"control": "reset", "until": until.isoformat()})
        producer.flush()
        deadline = time.monotonic() + _RESET_SECONDS
        while self.clock.stream().get("begin", -1) < self._offset:
            if time.monotonic() > deadline:
                raise features.FeatureStoreError(
                    f"the feature stream did not go back to {until} within "
                    f"{_RESET_SECONDS:.0f} s: `uv run bellwether status` says whether it runs"
                )
            time.sleep(_LOOK_SECONDS)  # between two looks at how far the stream is
        self.clock.stand(clock.close_of(until))

    def _send_texts(
        self,
        producer: features.Producer,
        day: dt.date,
        bars: collections.abc.Sequence[Bar],
        usual: collections.abc.Mapping[str, float],
    ) -> int:
        said = [
            (text.time, bar.symbol, text)
            for bar in bars
            for text in headlines.of_day(
                bar.symbol, day, bar.log_return, usual[bar.symbol], self._seed
            )
        ]
        for moment, symbol, text in sorted(said, key=lambda each: each[:2]):
            producer.text(text.kind, symbol, moment, text.text)
        return len(said)

    def _behind(self, bars: int) -> int:
        """Wait a little for the stream; give how many records it has not folded."""
        end = self._offset + 1 + bars
        deadline = time.monotonic() + _CATCH_UP_SECONDS
        while (left := end - int(self.clock.stream().get("next", 0))) > 0:
            if time.monotonic() > deadline:
                return left
            time.sleep(_LOOK_SECONDS)  # between two looks at how far the stream is
        return 0


def run(  # noqa: PLR0913  each is an option of the command
    stack: environment.Stack,
    speed: float,
    *,
    first: dt.date | None = None,
    last: dt.date | None = None,
    symbols: collections.abc.Collection[str] = (),
    data: pathlib.Path | None = None,
    news: bool = True,
    said: collections.abc.Callable[[int, dt.date | None], None] = lambda _, __: None,
) -> Replayed:
    """Replay into a stack's environment; `said` is called with the number of days, and each day.

    Raises:
        features.FeatureStoreError: Kafka, Valkey or the stream is away.
        sources.DataError: bad data, an unknown symbol, or no day in between.

    """
    if not (speed > 0 and math.isfinite(speed)):
        raise features.FeatureStoreError(
            f"--speed {speed}: trading days a second have to be above 0"
        )
    wanted_stack = stack.settings()
    addresses = [
        f"127.0.0.1:{port}" for port in (wanted_stack.ports.kafka, wanted_stack.ports.valkey)
    ]
    replay = Replay(*addresses, seed=wanted_stack.seed)
    # Before the data is read: it is known at once that nobody listens.
    features.Producer(addresses[0]).check()
    wanted = plan(sources.Source(data or wanted_stack.data), first, last, symbols)
    said(len(wanted.days), None)
    return replay.run(wanted, speed, news=news, said=lambda day: said(len(wanted.days), day))


def _bars(symbol: str, frame: "pd.DataFrame") -> collections.abc.Iterator[tuple[dt.date, Bar]]:
    returns = np.log(frame["close"]).diff().fillna(0.0)
    columns = frame[["open", "high", "low", "close", "volume"]].to_numpy(float).tolist()
    for day, values, moved in zip(frame.index, columns, returns.tolist(), strict=True):
        yield day.date(), Bar(symbol, tuple(values), moved)


def _usual(frame: "pd.DataFrame") -> float:
    return float(np.log(frame["close"]).diff().abs().median())


def _end(bootstrap: str) -> int:
    """Give the offset that the next record of `market-data` gets."""
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "bellwether-replay", "log_level": 0}
    )
    try:
        found = consumer.get_watermark_offsets(
            confluent_kafka.TopicPartition(features.MARKET_DATA, 0), timeout=5
        )
    except confluent_kafka.KafkaException as error:
        raise features.FeatureStoreError(
            f"Kafka at {bootstrap} does not answer: {error}"
        ) from error
    finally:
        consumer.close()
    if found is None:
        raise features.FeatureStoreError(f"Kafka at {bootstrap} does not answer")
    return int(found[1])


def _sleep_until(moment: float) -> None:
    left = moment - time.monotonic()
    if left > 0:
        time.sleep(left)  # the replay's own pace
