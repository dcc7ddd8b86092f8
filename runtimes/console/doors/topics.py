"""Kafka's topics, read where they are asked for: the newest records, a stretch of time, a key.

Nothing is followed while nobody looks: a reader has one consumer, which is assigned anew each time.
"""

import asyncio
import dataclasses
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import confluent_kafka

from runtimes.contract import credentials

from . import Away

PART = "Kafka"

_SECONDS = 5.0
_TAIL_BASE = -2000
"""librdkafka's logical offset of a partition's last n records is this less n."""
_BATCH = 5000
_MISSING = {
    confluent_kafka.KafkaError.UNKNOWN_TOPIC_OR_PART,
    confluent_kafka.KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001  librdkafka's name
    confluent_kafka.KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001  as above
}
_EOF = confluent_kafka.KafkaError._PARTITION_EOF  # noqa: SLF001  as above

_Found = TypeVar("_Found")

Place = tuple[str, int]
"""A topic's partition."""


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """One record."""

    topic: str
    partition: int
    offset: int
    time: float
    """Unix time in seconds, as the topic has it: of who made it, or of the broker."""
    key: str
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


class Topics:
    """Reads records; every method may be awaited from anywhere, one runs at a time."""

    def __init__(self, bootstrap: str) -> None:
        self.address = bootstrap
        self._lock = threading.Lock()
        self._consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": bootstrap,
                **credentials.kafka(),
                "client.id": "bellwether-console",
                "group.id": "bellwether-console",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 10,
                "fetch.error.backoff.ms": 20,
                "reconnect.backoff.ms": 50,
                "reconnect.backoff.max.ms": 500,
                "topic.metadata.refresh.interval.ms": 10_000,
                "log_level": 0,
                "error_cb": lambda _: None,  # what is wrong is seen where something is asked for
            }
        )

    async def close(self) -> None:
        """Give the connections back."""
        await asyncio.to_thread(self._consumer.close)

    async def ping(self) -> None:
        """Raise `Away` if it does not answer."""
        await self._locked(lambda: self._partitions(1.0))

    async def newest(self, topics: Sequence[str], count: int) -> list[Record]:
        """Give the last `count` records of each partition of each topic, oldest first.

        A topic that is not there has none.
        """
        return await self._locked(lambda: self._newest(topics, count))

    async def between(self, topics: Sequence[str], first: float, last: float) -> list[Record]:
        """Give the records of a stretch of Unix time, oldest first."""
        return await self._locked(lambda: self._between(topics, first, last))

    async def find(self, topic: str, key: str, most: int, chunk: int = 2000) -> Record | None:
        """Look for a key's newest record among the last `most` of each partition, newest first."""
        return await self._locked(lambda: self._find(topic, key, most, chunk))

    async def _locked(self, act: Callable[[], _Found]) -> _Found:
        def run() -> _Found:
            with self._lock:
                try:
                    return act()
                except confluent_kafka.KafkaException as error:
                    said = error.args[0].str() if error.args else str(error)
                    raise Away(PART, f"{self.address} does not answer ({said})") from error

        return await asyncio.to_thread(run)

    def _partitions(self, seconds: float = _SECONDS) -> dict[str, list[int]]:
        listed = self._consumer.list_topics(timeout=seconds).topics
        return {name: sorted(topic.partitions) for name, topic in listed.items()}

    def _newest(self, topics: Sequence[str], count: int) -> list[Record]:
        known = self._partitions()
        places = {
            (name, number): _TAIL_BASE - count for name in topics for number in known.get(name, ())
        }
        return self._read(places, lambda _: True)

    def _between(self, topics: Sequence[str], first: float, last: float) -> list[Record]:
        known = self._partitions()
        asked = [
            confluent_kafka.TopicPartition(name, number, int(first * 1000))
            for name in topics
            for number in known.get(name, ())
        ]
        if not asked:
            return []
        found = self._consumer.offsets_for_times(asked, timeout=_SECONDS)
        places = {(each.topic, each.partition): each.offset for each in found if each.offset >= 0}
        return [
            each for each in self._read(places, lambda read: read.time <= last) if each.time <= last
        ]

    def _find(self, topic: str, key: str, most: int, chunk: int) -> Record | None:
        ends = {}
        for number in self._partitions().get(topic, ()):
            place = confluent_kafka.TopicPartition(topic, number)
            ends[(topic, number)] = self._consumer.get_watermark_offsets(place, timeout=_SECONDS)
        reached = {place: high for place, (_, high) in ends.items()}
        searched = 0
        while searched < most and any(reached[place] > low for place, (low, _) in ends.items()):
            # Each round looks at four times as many as the one before: what is new is found soon.
            starts = {place: max(low, reached[place] - chunk) for place, (low, _) in ends.items()}
            unread = {place: at for place, at in starts.items() if at < reached[place]}
            stops = {place: reached[place] for place in unread}
            read = self._read(
                unread,
                lambda each: each.offset + 1 < stops[(each.topic, each.partition)],  # noqa: B023  used at once
            )
            matching = [each for each in read if each.key == key]
            if matching:
                return matching[-1]
            reached.update(unread)
            searched += chunk
            chunk *= 4
        return None

    def _read(self, places: dict[Place, int], more: Callable[[Record], bool]) -> list[Record]:
        """Read each partition from an offset, to its end or as long as `more` says so of a record."""
        if not places:
            return []
        self._consumer.assign(
            [confluent_kafka.TopicPartition(*place, at) for place, at in places.items()]
        )
        open_: set[Place] = set(places)
        found: list[Record] = []
        deadline = time.monotonic() + _SECONDS
        try:
            while open_:
                # Asked for many, `consume` waits for all of them: one is waited for, others taken.
                first = self._consumer.poll(0.2)
                batch = [] if first is None else [first, *self._consumer.consume(_BATCH, 0)]
                if batch:
                    deadline = time.monotonic() + _SECONDS
                elif time.monotonic() > deadline:
                    waiting = ", ".join(sorted({topic for topic, _ in open_}))
                    raise Away(PART, f"{self.address} does not give the records of {waiting}")
                for message in batch:
                    place = (str(message.topic()), int(message.partition() or 0))
                    if place not in open_:
                        continue
                    error = message.error()
                    if error is None:
                        record = _record(message)
                        found.append(record)
                        if not more(record):
                            open_.discard(place)
                    elif error.code() == _EOF or error.code() in _MISSING:
                        open_.discard(place)
        finally:
            self._consumer.unassign()
        return sorted(found, key=lambda each: (each.time, each.topic, each.partition, each.offset))


def values(records: Iterable[Record], topic: str) -> list[bytes]:
    """Give the values of one topic's records."""
    return [each.value for each in records if each.topic == topic]


def _record(message: confluent_kafka.Message) -> Record:
    return Record(
        topic=str(message.topic()),
        partition=int(message.partition() or 0),
        offset=int(message.offset() or 0),
        time=message.timestamp()[1] / 1000,
        key=(message.key() or b"").decode(errors="replace"),
        value=message.value() or b"",
        headers=_headers(message),
    )


def _headers(message: confluent_kafka.Message) -> tuple[tuple[str, bytes], ...]:
    given = message.headers() or []
    pairs = given.items() if isinstance(given, dict) else given
    return tuple(
        (str(name), value.encode() if isinstance(value, str) else value or b"")
        for name, value in pairs
    )
