"""What arrives on Kafka's topics while a demo runs, from now on."""

import collections
import collections.abc
import json
import threading
import types
import typing

import confluent_kafka

from bellwether import demos

PATIENCE = 5.0
_TIMESTAMP_MISSING = 0


class Arrivals:
    """Listens to topics in a thread of its own, from their ends on.

    `on_record` is called in that thread with topic, document (None where the record is no JSON)
    and time of arrival in seconds since 1970.
    """

    def __init__(
        self,
        bootstrap: str,
        topics: collections.abc.Sequence[str],
        on_record: collections.abc.Callable[[str, typing.Any, float], None],
    ) -> None:
        self._on_record = on_record
        self._bootstrap = bootstrap
        self._topics = tuple(topics)
        self.counts: collections.Counter[str] = collections.Counter()
        self._ended = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._listen, daemon=True, name="arrivals")

    def __enter__(self) -> typing.Self:
        """Begin to listen; raise DemoError if Kafka or a topic is not there."""
        self._consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": self._bootstrap,
                "group.id": "bellwether-demo",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 5,
                "log_level": 0,
            }
        )
        try:
            self._consumer.assign(self._ends())
        except confluent_kafka.KafkaException as error:
            self._consumer.close()
            raise demos.DemoError(
                f"Kafka at {self._bootstrap} does not answer ({error.args[0].str()}): "
                "`make up` brings the environment up"
            ) from error
        except demos.DemoError:
            self._consumer.close()
            raise
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._consumer.close()

    def check(self) -> None:
        """Raise DemoError if listening has come to an end by itself."""
        if self._failure is not None:
            raise demos.DemoError(f"listening to Kafka failed: {self._failure}") from self._failure

    def _ends(self) -> list[confluent_kafka.TopicPartition]:
        found = []
        for topic in self._topics:
            described = self._consumer.list_topics(topic, timeout=PATIENCE).topics[topic]
            if described.error is not None or not described.partitions:
                raise demos.DemoError(
                    f"Kafka has no topic {topic!r}: `make up` makes what is declared"
                )
            for number in described.partitions:
                partition = confluent_kafka.TopicPartition(topic, number)
                _, end = self._consumer.get_watermark_offsets(partition, timeout=PATIENCE)
                found.append(confluent_kafka.TopicPartition(topic, number, end))
        return found

    def _listen(self) -> None:
        try:
            while not self._ended.is_set():
                for message in self._consumer.consume(200, timeout=0.05):
                    self._take(message)
        except Exception as error:  # noqa: BLE001  `check` raises it where it can be said
            self._failure = error

    def _take(self, message: confluent_kafka.Message) -> None:
        if message.error():
            raise confluent_kafka.KafkaException(message.error())
        topic = str(message.topic())
        self.counts[topic] += 1
        kind, milliseconds = message.timestamp()
        if kind == _TIMESTAMP_MISSING:
            raise demos.DemoError(f"a record of {topic!r} carries no time")
        try:
            document = json.loads(message.value() or b"")
        except ValueError:
            # A broken record is the stream's to refuse; here it is counted alone.
            document = None
        self._on_record(topic, document, milliseconds / 1000)
