"""Records on their way to Kafka's client, after the answers that they belong to.

Encoding a call's records takes as long as some steps do, so it waits until the answer is written,
and is done in slices between other work of the event loop.
A slice is half of what waits: under load the queue stays as long as what came in meanwhile.
A thread of its own was tried (eight steps, eight callers): it took a tenth more processor time,
and a quarter more latency at the median, because both want the interpreter.
"""

import asyncio
import collections
import logging

import confluent_kafka

from infra.local.dataflow import encoding, topics
from infra.local.dataflow.journal import Record
from runtimes.contract import publishing

logger = logging.getLogger(__name__)

CLIENT = "pipelines"
QUEUE_RECORDS = 20_000
SLICE_RECORDS = 32


class Outbox:
    """A bounded queue in front of a publisher."""

    def __init__(self, publisher: publishing.Publisher) -> None:
        self._publisher = publisher
        self._waiting: collections.deque[Record] = collections.deque()
        self._scheduled = False
        self._full = publishing.LOST.labels(CLIENT, "outbox_full")
        self._broken = publishing.LOST.labels(CLIENT, "not_encodable")

    def take(self, records: list[Record]) -> None:
        """Take a call's records over, or count them as lost."""
        room = QUEUE_RECORDS - len(self._waiting)
        if room < len(records):
            self._full.inc(len(records) - max(0, room))
            records = records[: max(0, room)]
        self._waiting.extend(records)
        self._schedule()

    def empty(self) -> None:
        """Hand everything over now: the process ends."""
        while self._waiting:
            self._publish(self._waiting.popleft())

    def _schedule(self) -> None:
        if self._waiting and not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._hand_over)

    def _hand_over(self) -> None:
        self._scheduled = False
        for _ in range(min(len(self._waiting), max(SLICE_RECORDS, len(self._waiting) // 2))):
            self._publish(self._waiting.popleft())
        self._schedule()

    def _publish(self, record: Record) -> None:
        try:
            value = _value(record)
        except Exception:  # a model can answer what no protobuf holds; that is its record's loss
            self._broken.inc()
            logger.exception("a record for %s cannot be encoded", record.topic)
            return
        try:
            self._publisher.publish(
                record.topic, value, key=record.request.id, headers=_headers(record)
            )
        except confluent_kafka.KafkaException as error:  # too large for the broker, for one
            publishing.LOST.labels(CLIENT, error.args[0].name()).inc()


def _value(record: Record) -> bytes:
    message = record.message
    if record.error or message is None:
        return record.error.encode()
    if record.is_request:
        return encoding.request(message, record.request.id)
    return encoding.response(
        message,
        record.request.id,
        model_name=record.model_name,
        model_version=record.model_version,
    )


def _headers(record: Record) -> list[tuple[str, bytes | str]]:
    headers: list[tuple[str, bytes | str]] = [
        *record.request.headers,
        ("x-request-id", record.request.id),
        (topics.PIPELINE_HEADER, record.pipeline),
    ]
    if record.version:
        headers.append((topics.VERSION_HEADER, record.version))
    if record.message is not None:
        headers.extend(record.message.headers)
    if record.failed:
        headers.append((topics.ERRORS_HEADER, record.failed))
    return headers
