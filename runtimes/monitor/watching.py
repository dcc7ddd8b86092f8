"""The loop: read topics, keep rows, tell `monitoring`; with a part away it waits and goes on."""

import collections
import json
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import confluent_kafka

from runtimes.contract import credentials, inference, publishing

from . import ledger, metrics, records, settings

logger = logging.getLogger("bellwether.monitor")

MONITORING = "monitoring"
DEAD_LETTERS = "dead-letters"
MARKET_DATA = "market-data"

_BATCH = 5_000
_FULL_ROWS = 20_000
"""So many rows are written at once, however young they are; no more are read before they are."""
_PAUSE_SECONDS = 0.5
_READY_SECONDS = 10.0
_INPUTS = 100_000
"""Requests that wait for their answer, for its latency."""

_TOLD = (
    "id",
    "symbol",
    "date",
    "prediction",
    "percentile",
    "confidence",
    "model",
    "regime",
    "latency_ms",
    "drift_score",
)
"""What `monitoring` is told of a prediction."""

_Parse = Callable[[bytes | None, int], records.Row]


class Monitor:
    """One consumer, one ledger, in one thread."""

    def __init__(self, given: settings.Settings, kept: ledger.Ledger) -> None:
        self._given = given
        self._ledger = kept
        self._topics: dict[str, tuple[str, _Parse]] = {
            inference.topic(given.namespace, "pipeline", given.pipeline, "outputs"): (
                "predictions",
                records.prediction,
            ),
            "feature-monitoring": ("features", records.features),
            "decisions": ("decisions", records.decision),
            "rewards": ("rewards", records.reward),
        }
        self._inputs_topic = inference.topic(given.namespace, "pipeline", given.pipeline, "inputs")
        self._inputs: collections.OrderedDict[bytes, int] = collections.OrderedDict()
        self._publisher = publishing.shared(given.kafka)
        self._consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": given.kafka,
                **credentials.kafka(),
                "group.id": given.group,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "earliest",
                "allow.auto.create.topics": False,
                "fetch.wait.max.ms": 100,
                "queued.max.messages.kbytes": 16 * 1024,
                "log_level": 2,
            }
        )
        self._assigned: set[str] = set()
        self._answered = 0.0
        self._stop = threading.Event()
        self._lock = threading.Lock()
        """Held while rows are taken in or written: pages read beside."""

    @property
    def ready(self) -> bool:
        """Whether Kafka answered lately and the files could be written."""
        return time.monotonic() - self._answered < _READY_SECONDS

    def stop(self) -> None:
        """End soon."""
        self._stop.set()

    def run(self) -> None:
        """Read until stopped; what was read is in the files then."""
        written = time.monotonic()
        forgotten = 0.0
        while not self._stop.is_set():
            if not self._assign():
                self._stop.wait(_PAUSE_SECONDS)
                continue
            messages = self._consumer.consume(_BATCH, timeout=0.2)
            self._answered = time.monotonic()
            with self._lock:
                for message in messages:
                    self._take(message)
            young = time.monotonic() - written < self._given.flush_seconds
            if young and self._ledger.waiting < _FULL_ROWS:
                continue
            self._flush()
            written = time.monotonic()
            if written - forgotten > 3600 or not forgotten:  # noqa: PLR2004  once an hour
                self._ledger.forget(self._given.retention_days)
                forgotten = written
        self._flush()
        self._consumer.close()

    def read(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[dict[str, Any]]:
        """Ask the files, from any thread."""
        with self._lock:
            return self._ledger.query(sql, parameters)

    def windows(self) -> list[dict[str, Any]]:
        """Give performance over windows, from any thread."""
        with self._lock:
            return self._ledger.performance.windows()

    def _assign(self) -> bool:
        """Take up the topics that are there by now; say whether Kafka answers."""
        wanted = {*self._topics, self._inputs_topic, MARKET_DATA}
        if self._assigned == wanted:
            return True
        try:
            known = self._consumer.list_topics(timeout=2).topics
        except confluent_kafka.KafkaException as error:
            metrics.WAITED.labels("kafka").inc()
            logger.warning("Kafka at %s is away (%s)", self._given.kafka, error)
            return False
        there = {name for name in wanted if name in known and known[name].partitions}
        if there - self._assigned:
            self._assigned = there
            self._consumer.assign([self._position(name) for name in sorted(there)])
        self._answered = time.monotonic()
        return bool(there)

    def _position(self, topic: str) -> confluent_kafka.TopicPartition:
        """Say where reading of a topic goes on: by the files where there are any."""
        if topic == MARKET_DATA:
            return confluent_kafka.TopicPartition(topic, 0, 0)
        if topic == self._inputs_topic:
            return confluent_kafka.TopicPartition(topic, 0, confluent_kafka.OFFSET_END)
        name = self._topics[topic][0]
        low, high = self._consumer.get_watermark_offsets(
            confluent_kafka.TopicPartition(topic, 0), timeout=10
        )
        if self._ledger.offset(name) > high:
            logger.warning("topic %s begins anew: its offsets end at %d", topic, high)
            self._ledger.begin_anew(name)
        return confluent_kafka.TopicPartition(topic, 0, max(low, self._ledger.offset(name)))

    def _take(self, message: confluent_kafka.Message) -> None:
        error = message.error()
        if error is not None:
            metrics.WAITED.labels("kafka").inc()
            logger.warning("Kafka: %s", error)
            return
        topic, value = str(message.topic()), message.value()
        milliseconds = message.timestamp()[1]
        if topic == self._inputs_topic:
            self._inputs[bytes(message.key() or b"")] = milliseconds
            if len(self._inputs) > _INPUTS:
                self._inputs.popitem(last=False)
        elif topic == MARKET_DATA:
            self._bar(value)
        else:
            self._row(topic, message, milliseconds)

    def _bar(self, value: bytes | None) -> None:
        try:
            new = self._ledger.close(*records.bar(value))
        except records.MalformedRecord:
            metrics.RECORDS.labels("bars", "malformed").inc()
            return
        metrics.RECORDS.labels("bars", "kept" if new else "known").inc()

    def _row(self, topic: str, message: confluent_kafka.Message, milliseconds: int) -> None:
        name, parse = self._topics[topic]
        offset, value = int(message.offset() or 0), message.value()
        try:
            row: records.Row | None = parse(value, milliseconds)
        except records.MalformedRecord as error:
            metrics.RECORDS.labels(name, "malformed").inc()
            self._dead(topic, offset, value, str(error))
            row = None
        else:
            metrics.RECORDS.labels(name, "kept").inc()
        if row is not None and name == "predictions":
            began = self._inputs.pop(bytes(message.key() or b""), None)
            row["latency_ms"] = None if began is None else float(max(0, milliseconds - began))
        self._ledger.take(name, offset, row)
        if row is not None and name == "predictions":
            self._tell(row)

    def _tell(self, row: records.Row) -> None:
        """Publish what is known of a prediction; an id may come twice after a kill."""
        document = {"kind": "prediction", **{name: row[name] for name in _TOLD}}
        self._publisher.publish(MONITORING, json.dumps(document).encode(), key=row["id"])

    def _dead(self, topic: str, offset: int, value: bytes | None, reason: str) -> None:
        """Hand over what could not be used, with the reason."""
        document = {
            "topic": topic,
            "partition": 0,
            "offset": offset,
            "reason": reason,
            "by": "monitor",
            "value": None if value is None else value[:1024].decode(errors="replace"),
        }
        self._publisher.publish(DEAD_LETTERS, json.dumps(document).encode(), key=topic)

    def _flush(self) -> None:
        """Write, then tell Kafka how far; a full disk is waited for with everything in hand."""
        while True:
            try:
                with self._lock, metrics.FLUSH.time():
                    safe = self._ledger.flush()
                break
            except OSError as error:
                metrics.WAITED.labels("disk").inc()
                logger.warning("%s cannot be written (%s): waiting", self._given.folder, error)
                self._answered = 0.0
                if self._stop.wait(_PAUSE_SECONDS):
                    return
        self._told(safe)

    def _told(self, safe: dict[str, int]) -> None:
        by_name = {name: topic for topic, (name, _) in self._topics.items()}
        offsets = [
            confluent_kafka.TopicPartition(by_name[name], 0, next_) for name, next_ in safe.items()
        ]
        if offsets:
            try:
                self._consumer.commit(offsets=offsets, asynchronous=True)
            except confluent_kafka.KafkaException as error:
                # The files say where to go on; the group's offsets are for whoever watches the lag.
                logger.warning("Kafka did not take the offsets (%s)", error)
        for name, topic in by_name.items():
            where = confluent_kafka.TopicPartition(topic, 0)
            heard = self._consumer.get_watermark_offsets(where, cached=True)
            if heard:
                metrics.BEHIND.labels(name).set(max(0, heard[1] - self._ledger.offset(name)))
        for name in safe:
            metrics.ROWS.labels(name).set(self._ledger.datasets[name].rows)
        for each in self._ledger.performance.windows():
            labels = (each["model"], each["regime"], str(each["days"]))
            metrics.ERROR.labels(*labels).set(each["log_error"])
            metrics.HIT_RATE.labels(*labels).set(each["hit_rate"])
            metrics.COVERAGE.labels(*labels).set(each["coverage"])
            metrics.UTILITY.labels(*labels).set(each["utility"])
