"""The process that fills the online store: `python -m runtimes.features.stream CONFIG.json`.

It folds the bars of `market-data` and the texts of `news` into the features, and writes the rows
that changed. Kafka is the log: at its start the stream seeds itself with the artifact's bars,
then folds the topic from the last reset on, so that a killed stream goes on exactly.

What it commits is the position up to which everything is in the online store or a dead letter,
and, as the commit's metadata, where the folding has to begin.
"""

import contextlib
import dataclasses
import json
import logging
import pathlib
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import confluent_kafka
import pydantic
import redis

from runtimes.contract import credentials
from runtimes.features import (
    artifact,
    bars,
    dead_letters,
    folding,
    metrics,
    online_store,
    probe,
    records,
    repository,
)

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.05
BATCH_RECORDS = 500
HOUSEKEEPING_SECONDS = 1.0
RETRY_SECONDS = 0.25
COMMIT_ANEW_SECONDS = 3600.0
"""Kafka forgets the commits of a group that is silent for days."""

_KAFKA_SECONDS = 5.0
_ARGUMENTS = 2


class Settings(pydantic.BaseModel):
    """The content of CONFIG.json."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    kafka: str = pydantic.Field(description="host:port")
    valkey: str = pydantic.Field(description="host:port")
    registry: pathlib.Path = pydantic.Field(description="Feast's registry, a file")
    artifact: pathlib.Path = pydantic.Field(description="the folder of the enrichment's artifact")
    port: int = pydantic.Field(ge=1024, le=65535, description="/ready and /metrics")
    host: str = pydantic.Field(default="127.0.0.1", description="where it listens")
    group: str = pydantic.Field(
        default="feature-stream", description="whose commits these are; one stream a group"
    )


@dataclasses.dataclass(slots=True)
class Position:
    """Where a topic is read."""

    next: int
    """The record that is folded next."""
    handled: int
    """Records before it were handled by an earlier folding: they are no news to anybody."""
    begin: int
    """Where a folding has to begin."""


class Stream:
    """One consumer, one fold, one writer, in one thread."""

    def __init__(self, given: Settings) -> None:
        self._given = given
        declared = artifact.declared(given.artifact)
        store = repository.apply(declared, given.artifact, given.registry, given.valkey)
        seeds = bars.read(given.artifact / bars.FILE)
        self._fold = folding.Folding(declared, seeds)
        layout = repository.layout(store, "enriched", declared.digest)
        self._writer = online_store.Writer(given.valkey, layout, self._fold)
        self._dead = dead_letters.DeadLetters(given.kafka)
        self._consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": given.kafka,
                **credentials.kafka(),
                "group.id": given.group,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 100,
                "fetch.error.backoff.ms": 50,
                "reconnect.backoff.max.ms": 1000,
                "log_level": 2,
            }
        )
        self._positions: dict[str, Position] = {}
        self._committed: dict[str, tuple[int, int]] = {}
        self._committed_at = 0.0
        self._clock_wanted = True
        self._clock_back = False
        self._arrived = time.time()
        self._target: int | None = None
        self._stopped = False
        self.ready = False

    def stop(self) -> None:
        """End after the batch in hand."""
        self._stopped = True

    def run(self) -> None:
        """Fold until stopped."""
        self._fold.seed()
        while not self._stopped and not self._begin():
            time.sleep(RETRY_SECONDS)  # between two attempts to reach Kafka
        kept = time.monotonic()
        while not self._stopped:
            self._round()
            if time.monotonic() - kept > HOUSEKEEPING_SECONDS:
                kept = time.monotonic()
                self._keep_house()
        self._dead.close(_KAFKA_SECONDS)
        if self._positions and not self._writer.pending and self._dead.settled():
            self._commit()
        self._consumer.close()

    def _round(self) -> None:
        """Take what is there, and write what changed."""
        messages = self._messages()
        began = time.perf_counter()
        while messages:
            messages = self._take(messages)
        if self._target is not None and self._market.next >= self._target:
            self._target = None
        if self._target is None and self._writer.pending and self._flush():
            metrics.SECONDS.observe(time.perf_counter() - began)

    @property
    def _market(self) -> Position:
        return self._positions[records.MARKET_DATA]

    def _messages(self) -> list[Any]:
        # `consume` waits until it has as many as it may give; a bar is not to wait for others.
        first = self._consumer.poll(POLL_SECONDS)
        if first is None:
            return []
        return [first, *self._consumer.consume(BATCH_RECORDS - 1, 0)]

    def _take(self, messages: list[Any]) -> list[Any]:
        """Fold messages up to a reset that goes back in the news; give what is left behind it."""
        for place, message in enumerate(messages):
            if message.error():
                self._complain(message.error())
            elif self._fold_one(message):
                # The news are read again from there: those at hand would come twice.
                return [
                    each
                    for each in messages[place + 1 :]
                    if not each.error() and each.topic() == records.MARKET_DATA
                ]
        return []

    def _fold_one(self, message: Any) -> bool:
        """Fold one message; say whether the news are read again from an earlier one."""
        topic, offset = message.topic(), message.offset()
        position = self._positions[topic]
        back = False
        if topic == records.NEWS and offset < position.next:
            return False  # of before a reset
        try:
            if topic == records.NEWS:
                text = records.news(message.value())
                self._writer.changed(self._fold.text(text))
                if offset >= position.handled:
                    metrics.TEXTS.labels(text.kind).inc()
            else:
                record = records.market_data(message.value())
                if isinstance(record, records.Reset):
                    back = self._reset(record, message)
                else:
                    self._bar(record, message, new=offset >= position.handled)
        except records.Unusable as unusable:
            if offset >= position.handled:
                self._dead.add(message, unusable)
        position.next = offset + 1
        position.handled = max(position.handled, position.next)
        return back

    def _bar(self, bar: records.Bar, message: Any, *, new: bool) -> None:
        before = self._fold.newest_of_all()
        self._writer.changed(self._fold.bar(bar))
        if before is None or bar.day > before:
            self._arrived = message.timestamp()[1] / 1000
            self._clock_wanted = True
        if new:
            metrics.BARS.labels(bar.symbol).inc()

    def _reset(self, reset: records.Reset, message: Any) -> bool:
        """Begin anew with what was known at the end of a day, and with the news from now on.

        Says whether some of these were folded already.
        """
        logger.info("set back to %s", reset.until)
        self._fold.seed(reset.until)
        self._writer.replace()
        self._market.begin = message.offset()
        self._arrived, self._clock_wanted, self._clock_back = time.time(), True, True
        news = self._positions[records.NEWS]
        news.begin = self._patiently(lambda: self._news_since(message.timestamp()[1]))
        back, news.next = news.begin < news.next, news.begin
        if back:
            self._consumer.seek(confluent_kafka.TopicPartition(records.NEWS, 0, news.begin))
        metrics.RESETS.inc()
        return back

    def _flush(self) -> bool:
        position = {"begin": self._market.begin, "next": self._market.next}
        if not self._writer.flush(position):
            metrics.STORE.set(0)
            self.ready = False
            time.sleep(RETRY_SECONDS)  # the log keeps what comes meanwhile
            return False
        metrics.STORE.set(1)
        newest = self._fold.newest_of_all()
        if self._clock_wanted and newest is not None:
            try:
                self._writer.set_clock(newest, self._arrived, back=self._clock_back)
            except redis.RedisError as error:
                logger.warning("the market's clock could not be set, trying on: %s", error)
            else:
                self._clock_wanted, self._clock_back = False, False
        self.ready = True
        return True

    def _begin(self) -> bool:
        """Find where to begin, and begin there; say whether Kafka answered."""
        try:
            self._find_positions()
        except confluent_kafka.KafkaException as error:
            self._complain(error)
            return False
        self._consumer.assign(
            [
                confluent_kafka.TopicPartition(topic, 0, position.next)
                for topic, position in self._positions.items()
            ]
        )
        return True

    def _find_positions(self) -> None:
        topics = (records.MARKET_DATA, records.NEWS)
        known = self._consumer.list_topics(timeout=_KAFKA_SECONDS).topics
        for topic in topics:
            if topic not in known or known[topic].error is not None:
                raise confluent_kafka.KafkaException(
                    confluent_kafka.KafkaError(
                        confluent_kafka.KafkaError.UNKNOWN_TOPIC_OR_PART,
                        f"there is no topic {topic!r} yet",
                    )
                )
        committed = self._consumer.committed(
            [confluent_kafka.TopicPartition(topic, 0) for topic in topics], timeout=_KAFKA_SECONDS
        )
        found = {}
        for partition in committed:
            low, high = self._watermarks(partition.topic)
            begin, handled = low, low
            if partition.offset >= 0:
                begin = _begin_of(partition.metadata, low)
                # A log that was begun anew knows nothing of what was committed.
                handled = partition.offset if partition.offset <= high else low
            begin = begin if low <= begin <= high else low
            found[partition.topic] = Position(begin, handled, begin)
        market = found[records.MARKET_DATA]
        reset = self._last_reset(market.begin, self._watermarks(records.MARKET_DATA)[1])
        if reset is not None:
            market.begin = market.next = reset.offset()
            news = found[records.NEWS]
            news.begin = news.next = self._news_since(reset.timestamp()[1])
        self._positions = found
        self._target = self._watermarks(records.MARKET_DATA)[1]
        logger.info("folding from %s, everything up to %d first", found, self._target)

    def _last_reset(self, begin: int, end: int) -> Any:
        """Find the last reset between two offsets, without folding anything."""
        found = None
        at = begin
        self._consumer.assign([confluent_kafka.TopicPartition(records.MARKET_DATA, 0, begin)])
        deadline = time.monotonic() + _KAFKA_SECONDS
        while at < end:
            messages: list[Any] = self._consumer.consume(BATCH_RECORDS, 0.2)
            if time.monotonic() > deadline:
                raise confluent_kafka.KafkaException(
                    confluent_kafka.KafkaError(
                        confluent_kafka.KafkaError._TIMED_OUT,  # noqa: SLF001  its public name
                        f"{records.MARKET_DATA} could not be read from {at} to {end}",
                    )
                )
            for message in messages:
                if message.error():
                    continue
                deadline = time.monotonic() + _KAFKA_SECONDS
                at = message.offset() + 1
                if message.offset() < end and _is_reset(message.value()):
                    found = message
        return found

    def _news_since(self, milliseconds: int) -> int:
        """Give the offset of the first text that Kafka had at or after a moment."""
        asked = confluent_kafka.TopicPartition(records.NEWS, 0, milliseconds)
        (answer,) = self._consumer.offsets_for_times([asked], timeout=_KAFKA_SECONDS)
        if answer.error is not None:
            raise confluent_kafka.KafkaException(answer.error)
        return answer.offset if answer.offset >= 0 else self._watermarks(records.NEWS)[1]

    def _patiently(self, ask: Callable[[], int]) -> int:
        """Ask Kafka until it answers."""
        while not self._stopped:
            try:
                return ask()
            except confluent_kafka.KafkaException as error:
                self._complain(error)
                time.sleep(RETRY_SECONDS)  # between two attempts to reach Kafka
        return 0

    def _watermarks(self, topic: str) -> tuple[int, int]:
        found = self._consumer.get_watermark_offsets(
            confluent_kafka.TopicPartition(topic, 0), timeout=_KAFKA_SECONDS
        )
        if found is None:
            raise confluent_kafka.KafkaException(
                confluent_kafka.KafkaError(
                    confluent_kafka.KafkaError._TIMED_OUT,  # noqa: SLF001  its public name
                    f"{topic}: Kafka does not say how far it goes",
                )
            )
        low, high = found
        return low, high

    def _keep_house(self) -> None:
        """Commit, look whether the store still has everything, and measure."""
        if self._target is None and not self._writer.pending:
            self._writer.check()
            metrics.STORE.set(0 if self._writer.failing else 1)
            if self._clock_wanted or self._writer.failing:
                self._writer.changed(self._fold.symbols)
            if not self._writer.pending and self._dead.settled():
                self._commit()
        for topic, position in self._positions.items():
            self._measure_lag(topic, position)
        self._measure_age()

    def _measure_lag(self, topic: str, position: Position) -> None:
        where = confluent_kafka.TopicPartition(topic, 0)
        _, high = self._consumer.get_watermark_offsets(where, cached=True) or (-1, -1)
        if 0 <= high < position.next:
            # What was heard last may be older than the position; what Kafka says now is not.
            try:
                low, high = self._watermarks(topic)
            except confluent_kafka.KafkaException as error:
                self._complain(error)
                return
            if high < position.next:
                logger.warning("%s was begun anew: it ends at %d", topic, high)
                position.next = position.handled = position.begin = low
        if high >= 0:
            metrics.LAG.labels(topic).set(max(0, high - position.next))

    def _measure_age(self) -> None:
        try:
            now = self._writer.market_time()
        except redis.RedisError:
            return  # said, and counted, where it is written
        for symbol in self._fold.symbols:
            newest = self._fold.newest(symbol)
            if newest is not None:
                metrics.AGE.labels(symbol).set(now - online_store.close(newest))

    def _commit(self) -> None:
        wanted = {topic: (each.handled, each.begin) for topic, each in self._positions.items()}
        if wanted == self._committed and (
            time.monotonic() - self._committed_at < COMMIT_ANEW_SECONDS
        ):
            return
        offsets = [
            confluent_kafka.TopicPartition(topic, 0, handled, json.dumps({"begin": begin}))
            for topic, (handled, begin) in wanted.items()
        ]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=False)
        except confluent_kafka.KafkaException as error:
            self._complain(error)
            return
        self._committed, self._committed_at = wanted, time.monotonic()

    def _complain(self, error: Any) -> None:
        logger.warning("Kafka, trying on: %s", error)


def _begin_of(metadata: str | None, otherwise: int) -> int:
    with contextlib.suppress(ValueError, KeyError, TypeError):  # committed by something else
        return int(json.loads(metadata or "")["begin"])
    return otherwise


def _is_reset(value: bytes | None) -> bool:
    if value is None or b"control" not in value:
        return False
    try:
        return isinstance(records.market_data(value), records.Reset)
    except records.Unusable:
        return False


def main(arguments: list[str]) -> int:
    """Read the settings and fold."""
    if len(arguments) != _ARGUMENTS:
        sys.stderr.write("usage: python -m runtimes.features.stream CONFIG.json\n")
        return 2
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    logging.getLogger("feast").setLevel(logging.WARNING)
    given = Settings.model_validate_json(pathlib.Path(arguments[1]).read_bytes())
    stream = Stream(given)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stream.stop())
    with probe.serving(given.port, lambda: stream.ready, given.host):
        stream.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
