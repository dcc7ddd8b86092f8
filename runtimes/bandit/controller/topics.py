"""The policy's topics: decisions and rewards to read, its log of epochs to read and to write."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import confluent_kafka

from runtimes.contract import bandits, credentials

from .messages import Message
from .parts import AwayError, FencedError, UnusableError

_PATIENCE = 10.0
_TRANSACTION_MS = 15_000
BATCH = 5000
"""Records that are read at once."""

Range = tuple[int, int]


def _configuration(bootstrap: str, client: str) -> dict[str, Any]:
    return {
        "bootstrap.servers": bootstrap,
        **credentials.kafka(),
        "client.id": client,
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1000,
        "topic.metadata.refresh.interval.ms": 5000,
        "log_level": 2,
        "error_cb": lambda _: None,  # what is wrong is seen where something is asked for
    }


def _message(read: confluent_kafka.Message) -> Message:
    return Message(int(read.offset() or 0), read.timestamp()[1], read.value())


class Reader:
    """Reads topics of one partition each, from offsets that it is told."""

    def __init__(self, bootstrap: str, client: str) -> None:
        self._address = bootstrap
        self._consumer = confluent_kafka.Consumer(
            {
                **_configuration(bootstrap, client),
                "group.id": client,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 20,
                "fetch.error.backoff.ms": 50,
                "queued.max.messages.kbytes": 32 * 1024,
            }
        )

    def close(self) -> None:
        """Give the connection back."""
        self._consumer.close()

    def bounds(self, topic: str) -> Range:
        """Say which offsets a topic has, the second one excluded."""
        try:
            listed = self._consumer.list_topics(topic, timeout=_PATIENCE).topics[topic]
            if listed.error is not None:
                raise UnusableError("TopicMissing", f"Kafka has no topic {topic}: {listed.error}")
            if len(listed.partitions) != 1:
                raise UnusableError(
                    "TopicUnusable",
                    f"topic {topic} has {len(listed.partitions)} partitions: the order of records "
                    "is that of one partition",
                )
            low, high = self._consumer.get_watermark_offsets(
                confluent_kafka.TopicPartition(topic, 0), timeout=_PATIENCE
            )
        except confluent_kafka.KafkaException as error:
            raise AwayError("kafka", f"{self._address} does not answer ({error})") from error
        return int(low), int(high)

    def since(self, topic: str, time_ms: int) -> int:
        """Say which offset a topic's first record of that time or later has."""
        asked = confluent_kafka.TopicPartition(topic, 0, time_ms)
        try:
            (found,) = self._consumer.offsets_for_times([asked], timeout=_PATIENCE)
        except confluent_kafka.KafkaException as error:
            raise AwayError("kafka", f"{self._address} does not answer ({error})") from error
        return int(found.offset) if found.offset >= 0 else self.bounds(topic)[1]

    def assign(self, offsets: dict[str, int]) -> None:
        """Read these topics from these offsets on."""
        self._consumer.assign(
            [confluent_kafka.TopicPartition(name, 0, at) for name, at in offsets.items()]
        )

    def lag(self, topic: str, position: int) -> int:
        """Say how many records of a topic that is read come after an offset, as far as is heard."""
        where = confluent_kafka.TopicPartition(topic, 0)
        heard = self._consumer.get_watermark_offsets(where, cached=True)
        return max(0, heard[1] - position) if heard else 0

    def poll(self, seconds: float, most: int = BATCH) -> dict[str, list[Message]]:
        """Give what came within so many seconds, at most so much, by topic."""
        found: dict[str, list[Message]] = {}
        for each in self._consumer.consume(most, seconds):
            error = each.error()
            if error is None:
                found.setdefault(str(each.topic()), []).append(_message(each))
            elif error.code() in {
                confluent_kafka.KafkaError.OFFSET_OUT_OF_RANGE,
                confluent_kafka.KafkaError._AUTO_OFFSET_RESET,  # noqa: SLF001  librdkafka's name
            }:
                raise UnusableError(
                    "RecordsMissing",
                    f"topic {each.topic()} does not have the records any more that come next "
                    f"({error.str()}): it was emptied or made anew",
                )
        return found

    def between(self, topic: str, bounds: Range) -> Iterator[list[Message]]:
        """Read a topic's records of a range of offsets, in batches."""
        start, end = bounds
        if start >= end:
            return
        low, high = self.bounds(topic)
        if start < low or end > high:
            raise UnusableError(
                "RecordsMissing",
                f"topic {topic} has the offsets {low} to {high}, the log says that {start} to "
                f"{end} were read: records have expired, or the topic was made anew",
            )
        self.assign({topic: start})
        deadline = time.monotonic() + _PATIENCE
        while start < end:
            batch = self.poll(0.5).get(topic, [])
            within = [each for each in batch if each.offset < end]
            if batch:
                start = batch[-1].offset + 1
                deadline = time.monotonic() + _PATIENCE
            elif time.monotonic() > deadline:
                raise AwayError("kafka", f"topic {topic} is not read on from offset {start}")
            if within:
                yield within

    def whole(self, topic: str, start: int) -> Iterator[Message]:
        """Read a topic from an offset to the end that it has now, transactions included."""
        low, high = self.bounds(topic)
        start = max(low, start)
        if start >= high:
            return
        self.assign({topic: start})
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            for each in self._consumer.consume(BATCH, 0.2):
                error = each.error()
                if error is None:
                    yield _message(each)
                    deadline = time.monotonic() + _PATIENCE
                elif error.code() == confluent_kafka.KafkaError._PARTITION_EOF:  # noqa: SLF001
                    return
        raise AwayError("kafka", f"topic {topic} is not read to its end")


class Log:
    """The log of a policy's epochs: whoever opened it last is the only one who writes it."""

    def __init__(self, bootstrap: str, policy: str) -> None:
        self._address = bootstrap
        self._producer = confluent_kafka.Producer(
            {
                **_configuration(bootstrap, f"bandit-{policy}"),
                "transactional.id": f"bellwether-bandit-{policy}",
                "transaction.timeout.ms": _TRANSACTION_MS,
                "linger.ms": 0,
            }
        )
        self._retried(lambda: self._producer.init_transactions(_PATIENCE))

    def append(self, records: Sequence[bandits.Allocation]) -> int:
        """Write records, all or none; returns when they are there, with the last one's offset.

        Raises:
            FencedError: another controller has opened the log since.
            AwayError: they are not there, and will not be.

        """
        offsets: list[int] = []

        def delivered(error: object, message: confluent_kafka.Message) -> None:
            if error is None:
                offsets.append(int(message.offset() or 0))

        self._retried(self._producer.begin_transaction)
        try:
            for each in records:
                self._producer.produce(
                    bandits.ALLOCATIONS,
                    each.encode(),
                    each.experiment.encode(),
                    on_delivery=delivered,
                )
            self._retried(lambda: self._producer.commit_transaction(_PATIENCE))
        except AwayError:
            with contextlib.suppress(confluent_kafka.KafkaException):
                self._producer.abort_transaction(_PATIENCE)
            raise
        return max(offsets)

    def _retried(self, act: Callable[[], None]) -> None:
        """Do it until it is done; only what cannot be done any more is an error."""
        deadline = time.monotonic() + _PATIENCE * 6
        while True:
            try:
                return act()
            except confluent_kafka.KafkaException as raised:
                error = raised.args[0]
                if error.fatal() or error.code() in _FENCED:
                    raise FencedError(str(error)) from raised
                if not error.retriable() or time.monotonic() > deadline:
                    raise AwayError("kafka", f"{self._address}: {error}") from raised


_FENCED = {
    confluent_kafka.KafkaError._FENCED,  # noqa: SLF001  librdkafka's name
    confluent_kafka.KafkaError.PRODUCER_FENCED,
    confluent_kafka.KafkaError.INVALID_PRODUCER_EPOCH,
}
