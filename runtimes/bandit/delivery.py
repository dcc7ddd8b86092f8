"""Records to Kafka that are acknowledged: who hands them over learns whether Kafka has them.

acks=all and an idempotent producer: the client's own retries neither lose nor double a record
(KIP-98). What was given up may still have reached Kafka, so a sender who repeats it can double it.
"""

import asyncio
import contextlib
import functools
import logging
import threading
from collections.abc import Sequence
from typing import Any

import confluent_kafka

from runtimes.contract import credentials

logger = logging.getLogger("mlserver.bellwether.bandit")

QUEUE_RECORDS = 200_000
QUEUE_KILOBYTES = 64 * 1024
LINGER_MS = 2
"""How long a record waits for others, to share their batch."""

_THREAD_RECORDS = 64
"""More records than these are handed over in a thread: each takes some 3 µs."""

_GRACE_SECONDS = 1.0
"""How much longer than the client itself is waited for its report."""


class NotDelivered(Exception):  # noqa: N818  what happened, rather than whose fault it is
    """Kafka is not known to have all of the records: how many it has, and why not all."""

    def __init__(self, delivered: int, count: int, reason: str) -> None:
        super().__init__(f"{delivered} of {count} records are with Kafka: {reason}")
        self.delivered = delivered
        self.count = count
        self.reason = reason


class Delivery:
    """An acknowledging producer; each record is given up after `seconds`."""

    def __init__(self, bootstrap: str, client: str, seconds: float) -> None:
        self._seconds = seconds
        self._configuration = {
            "bootstrap.servers": bootstrap,
            **credentials.kafka(),
            "client.id": client,
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": LINGER_MS,
            "delivery.timeout.ms": round(seconds * 1000),
            "queue.buffering.max.messages": QUEUE_RECORDS,
            "queue.buffering.max.kbytes": QUEUE_KILOBYTES,
            "log_level": 2,
        }
        self._link: _Link | None = None
        self._linking = threading.Lock()

    async def deliver(self, topic: str, records: Sequence[tuple[str, bytes]]) -> None:
        """Return once Kafka has all `records` (key, value); raises `NotDelivered`."""
        if not records:
            return
        batch = _Batch(asyncio.get_running_loop(), len(records))
        if len(records) > _THREAD_RECORDS:
            await asyncio.to_thread(self._produce, topic, records, batch)
        else:
            self._produce(topic, records, batch)
        try:
            async with asyncio.timeout(self._seconds + _GRACE_SECONDS):
                await batch.done
        except TimeoutError as error:
            raise NotDelivered(batch.delivered, len(records), "no report in time") from error
        if batch.error is not None:
            raise NotDelivered(batch.delivered, len(records), batch.error.str())

    def _produce(self, topic: str, records: Sequence[tuple[str, bytes]], batch: "_Batch") -> None:
        producer, delivered = self._producer(), batch.report
        try:
            for key, value in records:
                producer.produce(topic, value, key, on_delivery=delivered)
        except BufferError as error:
            raise NotDelivered(
                batch.delivered, len(records), f"{len(producer)} records are waiting already"
            ) from error
        except confluent_kafka.KafkaException as error:  # fatal: the next call has a new producer
            raise NotDelivered(batch.delivered, len(records), str(error)) from error

    def _producer(self) -> Any:
        with self._linking:
            if self._link is None or self._link.broken:
                self._link = _Link(self._configuration)
            return self._link.producer


class _Link:
    """A producer and the thread that serves its reports, until a fatal error ends both."""

    def __init__(self, configuration: dict[str, Any]) -> None:
        self._broken = threading.Event()
        self.producer = confluent_kafka.Producer({**configuration, "error_cb": self._failed})
        self._reports = threading.Thread(target=self._serve, daemon=True, name="deliveries")
        self._reports.start()

    @property
    def broken(self) -> bool:
        """Whether the producer takes no record any more."""
        return self._broken.is_set()

    def _failed(self, error: confluent_kafka.KafkaError) -> None:
        if error.fatal():
            logger.error("the producer ended and is replaced: %s", error)
            self._broken.set()

    def _serve(self) -> None:
        while not self.broken:
            self.producer.poll(0.5)
        self.producer.flush()  # each record that is left has its report by its time limit


class _Batch:
    """Counts the reports of records that were handed over together, in the reports' thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, count: int) -> None:
        self.done: asyncio.Future[None] = loop.create_future()
        self.delivered = 0
        self.error: confluent_kafka.KafkaError | None = None
        self._loop = loop
        self._left = count

    def report(self, error: confluent_kafka.KafkaError | None, message: object) -> None:
        """Take one record's report."""
        del message
        if error is None:
            self.delivered += 1
        elif self.error is None:
            self.error = error
        self._left -= 1
        if not self._left:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                self._loop.call_soon_threadsafe(self._finish)

    def _finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


@functools.cache
def shared(bootstrap: str, client: str, seconds: float) -> Delivery:
    """Give this process's producer of that kind: a model that is loaded anew keeps it."""
    return Delivery(bootstrap, client, seconds)
