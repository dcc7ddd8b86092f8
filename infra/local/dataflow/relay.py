"""The process that publishes pipelines' records, beside the model server that starts it.

`python -m infra.local.dataflow.relay BOOTSTRAP`, with a socket to the model server as its input:
frames of `handover` come in, a `Report` as a line of JSON goes out.
It ends when the other end is closed, however that came, once Kafka has what had come until then,
or after `FLUSH_SECONDS`.

Encoding takes most of a core at 500 calls of a wide pipeline a second;
here it takes nothing of the interpreter that answers.
"""

import dataclasses
import json
import logging
import os
import select
import signal
import socket
import sys
import time

import confluent_kafka

from infra.local.dataflow import encoding, handover, topics
from infra.local.dataflow.journal import Record
from runtimes.contract import publishing

logger = logging.getLogger("pipelines.relay")

CLIENT = "pipelines"
NOT_ENCODABLE = "not_encodable"

LINGER_MS = 100
"""Nobody waits for these records, and they are of many topics: a batch is a request to Kafka."""

FLUSH_SECONDS = 2.0
REPORT_SECONDS = 0.1

_ARGUMENTS = 2
_READ_BYTES = 2**20


@dataclasses.dataclass(frozen=True)
class Report:
    """What became of the records that came, since the process began."""

    settled: int
    """Those that Kafka has, and those that are lost."""

    published: int
    """Those that Kafka's client took."""

    lost: dict[str, int]
    """By reason."""

    def line(self) -> bytes:
        """Write it."""
        return json.dumps(dataclasses.asdict(self)).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> "Report":
        """Read it."""
        return cls(**json.loads(line))


class Relay:
    """Encodes and publishes records, and keeps count."""

    def __init__(self, publisher: publishing.Publisher) -> None:
        self._publisher = publisher
        self._taken = 0
        self._broken = publishing.LOST.labels(CLIENT, NOT_ENCODABLE)

    def take(self, records: int, body: bytes) -> None:
        """Publish what a frame holds."""
        try:
            unpacked = handover.unpack(body)
        except Exception:  # objects of a model's that are not to be had here
            self._broken.inc(records)
            logger.exception("%d records cannot be read", records)
        else:
            for record in unpacked:
                self._publish(record)
        self._taken += records

    @property
    def idle(self) -> bool:
        """Whether nothing changes before more comes."""
        return self._publisher.waiting == 0

    def report(self) -> Report:
        """Say what became of everything."""
        return Report(
            self._taken - self._publisher.waiting,
            sum(publishing.counts(publishing.PUBLISHED, CLIENT).values()),
            publishing.counts(publishing.LOST, CLIENT),
        )

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


def serve(connection: socket.socket, stopped: int, relay: Relay) -> None:
    """Publish what comes, and report, until nothing more can come or `stopped` can be read."""
    frames = handover.Frames()
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    poll.register(stopped, select.POLLIN)
    reported, due = relay.report(), 0.0
    while True:
        idle, report, now = relay.idle, relay.report(), time.monotonic()
        if report != reported and now >= due:
            _tell(connection, report)
            reported, due = report, now + REPORT_SECONDS
        # What is with Kafka's client changes without anything coming in.
        wait = None if idle and report == reported else REPORT_SECONDS * 1000
        ready = dict(poll.poll(wait))
        if stopped in ready:
            return
        if not ready:
            continue
        try:
            data = connection.recv(_READ_BYTES)
        except ConnectionResetError:  # the other end was killed before it had read a report
            return
        if not data:
            return
        for records, body in frames.feed(data):
            relay.take(records, body)


def _tell(connection: socket.socket, report: Report) -> None:
    try:
        connection.sendall(report.line())
    except (BrokenPipeError, ConnectionResetError):
        logger.info("the model server is gone; what it sent is published all the same")


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


def main(arguments: list[str]) -> int:
    """Publish what the model server sends."""
    if len(arguments) != _ARGUMENTS:
        sys.stderr.write(
            "usage: python -m infra.local.dataflow.relay BOOTSTRAP, "
            "with a socket to the model server as its input\n"
        )
        return 2
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s [%(name)s] %(levelname)s - %(message)s"
    )
    connection = socket.socket(fileno=sys.stdin.fileno())
    stopped = os.eventfd(0)
    signal.signal(signal.SIGTERM, lambda _number, _frame: os.eventfd_write(stopped, 1))
    # Ctrl-C reaches all processes of a terminal; the model server ends this one itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    publisher = publishing.Publisher(arguments[1], CLIENT, linger_ms=LINGER_MS)
    relay = Relay(publisher)
    serve(connection, stopped, relay)
    publisher.close(FLUSH_SECONDS)
    _tell(connection, relay.report())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
