"""Records of one request in Kafka: found by key from the newest back, or within a stretch of time."""

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator

import confluent_kafka

from runtimes.contract import credentials

_BATCH = 5000
_FIRST_LOOK = 2000
"""Records of a partition that are looked at first; each further look takes four times as many."""
_LONGEST_LOOK = 100_000
_EOF = confluent_kafka.KafkaError._PARTITION_EOF  # noqa: SLF001  librdkafka's name

Place = tuple[str, int]
"""A topic's partition."""
Message = confluent_kafka.Message


class AwayError(Exception):
    """Kafka does not give what was asked for; the message says what."""


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """One record as Kafka has it."""

    topic: str
    partition: int
    offset: int
    time: int
    """Milliseconds since 1970, as the topic has it: of who made it, or of the broker."""
    key: str
    value: bytes
    headers: tuple[tuple[str, str], ...]

    @property
    def place(self) -> tuple[str, int, int]:
        """Topic, partition, offset: there is one record there."""
        return self.topic, self.partition, self.offset

    @property
    def order(self) -> tuple[int, str, int, int]:
        """What records are sorted by."""
        return self.time, self.topic, self.partition, self.offset


class Reader:
    """Reads topics of any number of partitions; commits nothing."""

    def __init__(self, bootstrap: str, seconds: float = 10.0) -> None:
        self._address = bootstrap
        self._seconds = seconds
        """How long an answer is waited for."""
        self._consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": bootstrap,
                **credentials.kafka(),
                "client.id": "bellwether-audit",
                "group.id": "bellwether-audit",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 20,
                "log_level": 0,
                "error_cb": lambda _: None,  # what is wrong is seen where something is asked for
            }
        )

    def close(self) -> None:
        """Give the connections back."""
        self._consumer.close()

    def topics(self) -> tuple[str, ...]:
        """Name every topic."""
        return tuple(sorted(self._partitions()))

    def newest(self, topic: str, key: str) -> Record | None:
        """Find the newest record of a key, from the newest record back to the oldest."""
        wanted = key.encode()
        for found in self.backwards(topic, lambda message: bool(message.key() == wanted)):
            if found:
                return max(found, key=lambda record: record.order)
        return None

    def backwards(self, topic: str, wanted: Callable[[Message], bool]) -> Iterator[list[Record]]:
        """Give the records that are wanted, from the topic's end back in ever longer stretches.

        Each stretch is a list, oldest record first.
        """
        bounds = self._bounds(topic)
        reached = {place: high for place, (_, high) in bounds.items()}
        look = _FIRST_LOOK
        while any(reached[place] > low for place, (low, _) in bounds.items()):
            ranges = {
                place: (max(low, reached[place] - look), reached[place])
                for place, (low, _) in bounds.items()
                if reached[place] > low
            }
            yield self._read(ranges, wanted)
            reached |= {place: start for place, (start, _) in ranges.items()}
            look = min(look * 4, _LONGEST_LOOK)

    def all(self, topic: str, wanted: Callable[[Message], bool]) -> list[Record]:
        """Give the records of a whole topic that are wanted, oldest first."""
        return self._read(self._bounds(topic), wanted)

    def within(
        self, topics: Iterable[str], first: int, last: int, wanted: Callable[[Message], bool]
    ) -> list[Record]:
        """Give the records of a stretch of time (milliseconds) that are wanted, oldest first."""
        names = set(topics)
        places = [
            (name, number)
            for name, numbers in self._partitions().items()
            if name in names
            for number in numbers
        ]
        if not places:
            return []
        starts, ends = self._at(places, first), self._at(places, last + 1)
        ranges = {place: (starts[place], ends[place]) for place in places}
        return self._read(ranges, wanted)

    def _at(self, places: list[Place], time_ms: int) -> dict[Place, int]:
        """Give each partition's first offset of that time or later; its end if there is none."""
        asked = [confluent_kafka.TopicPartition(*place, time_ms) for place in places]
        try:
            found = self._consumer.offsets_for_times(asked, timeout=self._seconds)
        except confluent_kafka.KafkaException as error:
            raise self._away(error) from error
        return {
            (each.topic, each.partition): each.offset
            if each.offset >= 0
            else self._watermarks((each.topic, each.partition))[1]
            for each in found
        }

    def _bounds(self, topic: str) -> dict[Place, tuple[int, int]]:
        return {
            (topic, number): self._watermarks((topic, number))
            for number in self._partitions().get(topic, ())
        }

    def _watermarks(self, place: Place) -> tuple[int, int]:
        try:
            found = self._consumer.get_watermark_offsets(
                confluent_kafka.TopicPartition(*place), timeout=self._seconds
            )
        except confluent_kafka.KafkaException as error:
            raise self._away(error) from error
        if found is None:
            raise AwayError(f"Kafka at {self._address} does not say where {place[0]} ends")
        return int(found[0]), int(found[1])

    def _partitions(self) -> dict[str, list[int]]:
        try:
            listed = self._consumer.list_topics(timeout=self._seconds).topics
        except confluent_kafka.KafkaException as error:
            raise self._away(error) from error
        return {name: sorted(topic.partitions) for name, topic in listed.items()}

    def _read(
        self, ranges: dict[Place, tuple[int, int]], wanted: Callable[[Message], bool]
    ) -> list[Record]:
        """Read each partition from an offset up to another, the second one excluded."""
        ends = {place: end for place, (start, end) in ranges.items() if start < end}
        if not ends:
            return []
        self._consumer.assign(
            [confluent_kafka.TopicPartition(*place, ranges[place][0]) for place in ends]
        )
        found: list[Record] = []
        deadline = time.monotonic() + self._seconds
        while ends:
            batch = self._consumer.consume(_BATCH, 0.05)
            if batch:
                deadline = time.monotonic() + self._seconds
            elif time.monotonic() > deadline:
                waiting = ", ".join(sorted({topic for topic, _ in ends}))
                raise AwayError(f"Kafka at {self._address} does not give the records of {waiting}")
            for message in batch:
                place = (str(message.topic()), int(message.partition() or 0))
                offset, end = int(message.offset() or 0), ends.get(place)
                if end is None:
                    continue
                error = message.error()
                if error is not None and error.code() != _EOF:
                    raise AwayError(f"Kafka at {self._address}: {place[0]}: {error.str()}")
                if error is None and offset < end and wanted(message):
                    found.append(_record(message))
                if error is not None or offset + 1 >= end:
                    del ends[place]
        self._consumer.unassign()
        return sorted(found, key=lambda record: record.order)

    def _away(self, error: confluent_kafka.KafkaException) -> AwayError:
        said = error.args[0].str() if error.args else str(error)
        return AwayError(f"Kafka at {self._address} does not answer ({said})")


def content(message: Message) -> bytes:
    """Give a message's value."""
    return _bytes(message.value())


def _record(message: Message) -> Record:
    return Record(
        topic=str(message.topic()),
        partition=int(message.partition() or 0),
        offset=int(message.offset() or 0),
        time=int(message.timestamp()[1]),
        key=_text(message.key()),
        value=content(message),
        headers=tuple((str(name), _text(value)) for name, value in _pairs(message.headers())),
    )


def _pairs(headers: object) -> list[tuple[str, object]]:
    if isinstance(headers, dict):
        return list(headers.items())
    return list(headers) if isinstance(headers, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else _bytes(value).decode(errors="replace")


def _bytes(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode()
    return bytes(value) if isinstance(value, bytes | bytearray | memoryview) else b""
