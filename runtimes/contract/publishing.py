"""Records to Kafka without standing in anybody's way: one producer a process, never awaited.

What is handed over is kept in memory until the broker has it, at most `QUEUE_RECORDS` records and
`QUEUE_KILOBYTES`, each for at most `TIMEOUT_SECONDS`.
So with Kafka down no caller waits, and what is lost is bounded and counted:
everything that was published while it was down for longer than that,
and what a killed process had in memory (about its linger of records while Kafka is there).
"""

import functools
import logging
import threading
from collections.abc import Sequence

import confluent_kafka
import prometheus_client

from . import credentials

logger = logging.getLogger(__name__)

QUEUE_RECORDS = 50_000
QUEUE_KILOBYTES = 64 * 1024
TIMEOUT_SECONDS = 30
LINGER_MS = 20
"""How long a record waits for others of its topic, where nothing else is said."""

PUBLISHED = prometheus_client.Counter(
    "bellwether_records_published", "Records handed to Kafka's client.", ("client",)
)
LOST = prometheus_client.Counter(
    "bellwether_records_lost",
    "Records that Kafka never had: the queue was full, or the broker did not take them in time.",
    ("client", "reason"),
)


class Publisher:
    """Publishes records to one broker; counts what could not be published.

    Safe to use from several threads. The longer records linger, the fewer are the batches that
    they reach Kafka in, and the more is lost with the process.
    """

    def __init__(self, bootstrap: str, client: str, *, linger_ms: int = LINGER_MS) -> None:
        self._client = client
        self._published = PUBLISHED.labels(client)
        self._full = LOST.labels(client, "queue_full")
        self._producer = confluent_kafka.Producer(
            {
                "bootstrap.servers": bootstrap,
                **credentials.kafka(),
                "client.id": client,
                "linger.ms": linger_ms,
                "queue.buffering.max.messages": QUEUE_RECORDS,
                "queue.buffering.max.kbytes": QUEUE_KILOBYTES,
                "message.timeout.ms": TIMEOUT_SECONDS * 1000,
                "delivery.report.only.error": True,
                "acks": "1",
                "log_level": 2,
            }
        )
        self._closed = threading.Event()
        self._reports = threading.Thread(target=self._serve_reports, daemon=True, name=client)
        self._reports.start()

    @property
    def waiting(self) -> int:
        """How many records are neither with the broker nor given up."""
        return len(self._producer)

    def publish(
        self,
        topic: str,
        value: bytes,
        *,
        key: bytes | str | None = None,
        headers: Sequence[tuple[str, bytes | str]] | None = None,
    ) -> bool:
        """Hand a record over and go on; say whether there was room for it."""
        try:
            self._producer.produce(
                topic, value, key, headers=list(headers or ()), on_delivery=self._failed
            )
        except BufferError:
            self._full.inc()
            return False
        self._published.inc()
        return True

    def close(self, seconds: float = 2.0) -> int:
        """Wait until everything is with the broker, but not for long; say how much is not."""
        self._closed.set()
        left: int = self._producer.flush(seconds)
        if left:
            LOST.labels(self._client, "closed").inc(left)
        return left

    def _failed(self, error: confluent_kafka.KafkaError | None, message: object) -> None:
        del message
        if error is not None:
            LOST.labels(self._client, error.name()).inc()

    def _serve_reports(self) -> None:
        while not self._closed.is_set():
            self._producer.poll(0.5)


def counts(counter: prometheus_client.Counter, client: str) -> dict[str, int]:
    """Read `PUBLISHED` or `LOST` of this process: how many of a client's, by reason."""
    return {
        sample.labels.get("reason", ""): int(sample.value)
        for metric in counter.collect()
        for sample in metric.samples
        if sample.name.endswith("_total") and sample.labels["client"] == client
    }


@functools.cache
def shared(bootstrap: str, client: str = "bellwether") -> Publisher:
    """Give this process's publisher to a broker: models in one server share their connection."""
    return Publisher(bootstrap, client)
