"""The drift watcher, beside the path: `python -m runtimes.guard.drift CONFIG.json`.

Reads the enriched requests, keeps each symbol's last distinct days, compares them with its history,
writes the scores to Valkey, where the guard reads them, and tells topic `drift` of episodes.

What it remembers is kept in Valkey too, and Kafka's offset moves only after that:
a watcher that was killed goes on where it was.
With Kafka or Valkey away it waits, and goes on by itself.
"""

import contextlib
import datetime as dt
import http.server
import json
import logging
import pathlib
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import confluent_kafka
import prometheus_client
import pydantic
import redis
import redis.backoff
import redis.retry

from runtimes.contract import addresses, publishing

from . import artifact, records, scores, watch, watcher_settings

logger = logging.getLogger("bellwether.drift")

WINDOW_KEY = "bellwether:drift:window:{symbol}"

_BATCH = 10_000
_VALKEY_SECONDS = 1.0
_PAUSE_SECONDS = 0.5
_READY_SECONDS = 10.0
_CLOSE_SECONDS = 3.0

RECORDS = prometheus_client.Counter(
    "bellwether_drift_records",
    "Enriched requests by outcome: new (a day, or news of it), known, incomplete (a feature is "
    "missing), unknown_symbol (nothing to compare with), malformed.",
    ("outcome",),
)
SCORE = prometheus_client.Gauge(
    "bellwether_drift_score", "Drift score; 0.5 is the border.", ("symbol",)
)
RATIO = prometheus_client.Gauge(
    "bellwether_drift_ratio",
    "A feature's Kolmogorov-Smirnov statistic over its critical value; above 1 it drifted.",
    ("symbol", "feature"),
)
DAYS = prometheus_client.Gauge("bellwether_drift_window_days", "Days in the window.", ("symbol",))
ALERTS = prometheus_client.Counter(
    "bellwether_drift_alerts", "Records to the topic of alerts.", ("symbol", "kind")
)
SECONDS = prometheus_client.Histogram(
    "bellwether_drift_evaluation_seconds",
    "Time to judge and write what changed.",
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0),
)
WAITED = prometheus_client.Counter(
    "bellwether_drift_waits", "Times that a part was away and was waited for.", ("part",)
)


_Bytes = bytes | bytearray | memoryview | str | int | float
"""What Valkey's client takes as a field or a value."""


class ConfigurationError(Exception):
    """The configuration file or the artifact cannot be used; the message says how to mend it."""


class Part:
    """Something that may be away: each time is counted, and its begin and end are logged."""

    def __init__(self, name: str, address: str) -> None:
        self._name = name
        self._address = address
        self._waits = WAITED.labels(name)
        self._away = False

    def away(self, reason: str) -> None:
        """Say that it did not do its part."""
        self._waits.inc()
        if not self._away:
            logger.warning(
                "%s at %s is away (%s): it is waited for", self._name, self._address, reason
            )
        self._away = True

    def there(self) -> None:
        """Say that it did."""
        if self._away:
            logger.warning("%s at %s is back", self._name, self._address)
        self._away = False


class Watcher:
    """The loop: take what came, judge what changed, write, tell."""

    def __init__(self, given: watcher_settings.Settings, usual: artifact.Artifact) -> None:
        self._given = given
        self._usual = usual
        alarms = watch.Alarms(given.threshold, given.ends_below, given.repeat_seconds)
        self._watches = {
            symbol: watch.Watch(symbol, reference, usual.limits, alarms)
            for symbol, reference in usual.references.items()
        }
        self._kafka_part = Part("kafka", given.kafka)
        self._valkey_part = Part("valkey", given.valkey)
        host, port = addresses.split(given.valkey)
        self._valkey = redis.Redis(
            host=host,
            port=port,
            socket_timeout=_VALKEY_SECONDS,
            socket_connect_timeout=_VALKEY_SECONDS,
            retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0),
        )
        self._publisher = publishing.shared(given.kafka, "drift")
        self._stopping = threading.Event()
        self._assigned = False
        self._written = 0.0
        """When scores were written last, by the monotonic clock."""
        self._unwritten: set[str] = set()
        """Symbols whose windows Valkey does not have yet."""
        self._last: dict[tuple[str | None, int | None], confluent_kafka.Message] = {}
        """By topic and partition, the last record whose offset is not stored yet."""

    def stop(self) -> None:
        """End the loop soon."""
        self._stopping.set()

    def unready(self) -> str | None:
        """Say what is not as it should be, or None."""
        if not self._assigned:
            return f"Kafka at {self._given.kafka} has not given out {self._given.requests} yet"
        if time.monotonic() - self._written > _READY_SECONDS:
            return f"Valkey at {self._given.valkey} does not take the scores"
        return None

    def run(self) -> None:
        """Watch until `stop`."""
        if not self._restore():
            return
        with self._consumer() as consumer:
            while not self._stopping.is_set():
                messages = consumer.consume(_BATCH, self._given.evaluate_seconds)
                self._take(messages)
                if self._evaluate():
                    self._store_offsets(consumer)

    def _restore(self) -> bool:
        """Read the windows of before from Valkey, once it is there; False if stopped meanwhile."""
        while not self._stopping.is_set():
            try:
                dumped = self._valkey.mget([_window(symbol) for symbol in self._watches])
            except (redis.RedisError, OSError) as error:
                self._valkey_away(error)
                continue
            self._valkey_part.there()
            for kept, window in zip(self._watches.values(), dumped, strict=True):
                if window is None:
                    continue
                try:
                    kept.restore(window)
                except ValueError as error:
                    logger.warning("%s: starts anew: %s", kept.symbol, error)
            return True
        return False

    @contextlib.contextmanager
    def _consumer(self) -> Iterator[confluent_kafka.Consumer]:
        consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": self._given.kafka,
                "group.id": self._given.group,
                "client.id": "drift",
                # There is one watcher: one that comes back takes the place of the killed one at once.
                "group.instance.id": self._given.group,
                "session.timeout.ms": 10_000,
                "reconnect.backoff.max.ms": 1000,
                "auto.offset.reset": "earliest",
                # An offset is stored once Valkey has what was made of the records before it.
                "enable.auto.offset.store": False,
                "auto.commit.interval.ms": 1000,
                # Few large answers instead of one for each request that is made.
                "fetch.min.bytes": 256 * 1024,
                "fetch.wait.max.ms": 100,
                "topic.metadata.refresh.interval.ms": 5000,
                "error_cb": self._kafka_failed,
                "log_level": 2,
            }
        )
        consumer.subscribe([self._given.requests], on_assign=self._on_assign)
        try:
            yield consumer
        finally:
            # It commits what is stored; with Kafka away it would try that for long.
            closing = threading.Thread(target=consumer.close, daemon=True, name="closing")
            closing.start()
            closing.join(_CLOSE_SECONDS)

    def _on_assign(self, consumer: object, partitions: Sequence[object]) -> None:
        del consumer
        self._assigned = bool(partitions)

    def _kafka_failed(self, error: confluent_kafka.KafkaError) -> None:
        self._kafka_part.away(error.str())

    def _valkey_away(self, error: Exception) -> None:
        self._valkey_part.away(str(error))
        self._stopping.wait(_PAUSE_SECONDS)

    def _take(self, messages: Sequence[confluent_kafka.Message]) -> None:
        """Put into the windows what came; what cannot be used is counted, and named in the log."""
        values = []
        for message in messages:
            error = message.error()
            if error is not None:
                self._kafka_failed(error)
                if error.fatal():  # another watcher of the same group has taken over
                    raise confluent_kafka.KafkaException(error)
                continue
            values.append(message.value())
            self._last[message.topic(), message.partition()] = message
        if values:
            self._kafka_part.there()
        newest = records.latest(values)
        RECORDS.labels("known").inc(len(values) - len(newest))
        malformed = []
        for value in newest:
            try:
                RECORDS.labels(self._add(records.parse(value, self._usual.features))).inc()
            except records.MalformedRecord as error:
                malformed.append(error)
        if malformed:
            RECORDS.labels("malformed").inc(len(malformed))
            logger.warning(
                "%d records of %s are left out, the first because %s",
                len(malformed),
                self._given.requests,
                malformed[0],
            )

    def _add(self, day: records.Day) -> str:
        kept = self._watches.get(day.symbol)
        if kept is None:
            return "unknown_symbol"
        if not day.whole:
            return "incomplete"
        return "new" if kept.add(day) else "known"

    def _store_offsets(self, consumer: confluent_kafka.Consumer) -> None:
        """Let the consumer commit what Valkey has."""
        for message in self._last.values():
            consumer.store_offsets(message=message)
        self._last.clear()

    def _evaluate(self) -> bool:
        """Judge what changed, tell it, and write it; say whether Valkey has it all."""
        changed = [kept for kept in self._watches.values() if kept.changed]
        due = time.monotonic() - self._written >= self._given.heartbeat_seconds
        if not (changed or due or self._unwritten):
            return True
        began, now = time.perf_counter(), time.time()
        for kept in changed:
            kept.judge()
            self._show(kept)
            self._unwritten.add(kept.symbol)
        for kept in self._watches.values():
            told = kept.tell(now)
            if told is not None:
                self._unwritten.add(kept.symbol)
                self._alert(kept, told, now)
        written = self._write(now)
        SECONDS.observe(time.perf_counter() - began)
        return written

    def _write(self, now: float) -> bool:
        """Write all scores, and the windows that changed; say whether Valkey took them."""
        found: dict[_Bytes, _Bytes] = {
            kept.symbol: self._score(kept, now).encode()
            for kept in self._watches.values()
            if kept.verdict is not None
        }
        windows = {_window(symbol): self._watches[symbol].dump() for symbol in self._unwritten}
        try:
            with self._valkey.pipeline(transaction=True) as together:
                if windows:
                    together.mset(windows)
                together.delete(scores.KEY)
                if found:
                    together.hset(scores.KEY, mapping=found)
                together.execute()
        except (redis.RedisError, OSError) as error:
            self._valkey_away(error)
            return False
        self._valkey_part.there()
        self._unwritten.clear()
        self._written = time.monotonic()
        return True

    def _score(self, kept: watch.Watch, now: float) -> scores.Score:
        verdict = kept.verdict
        if verdict is None:
            raise ValueError(f"{kept.symbol} has no verdict yet")
        return scores.Score(
            score=verdict.score,
            time=now,
            days=kept.days,
            drifted=tuple(each["name"] for each in kept.evidence(self._usual.features)),
        )

    def _show(self, kept: watch.Watch) -> None:
        DAYS.labels(kept.symbol).set(kept.days)
        if kept.verdict is not None:
            SCORE.labels(kept.symbol).set(kept.verdict.score)
            ratios = kept.verdict.statistic / kept.verdict.critical
            for name, ratio in zip(self._usual.features, ratios.tolist(), strict=True):
                RATIO.labels(kept.symbol, name).set(ratio)

    def _alert(self, kept: watch.Watch, told: watch.Told, now: float) -> None:
        alert = _alert(kept, told, now, self._given.threshold, self._usual.features)
        self._publisher.publish(self._given.alerts, json.dumps(alert).encode(), key=kept.symbol)
        ALERTS.labels(kept.symbol, told.kind).inc()
        logger.warning(
            "%s: %s, score %.2f on %s: %s",
            kept.symbol,
            told.kind,
            alert["score"],
            alert["date"],
            ", ".join(each["name"] for each in alert["features"]) or "no feature",
        )


def _alert(
    kept: watch.Watch, told: watch.Told, now: float, threshold: float, features: Sequence[str]
) -> dict[str, Any]:
    return {
        "time": _iso(now),
        "kind": told.kind,
        "symbol": kept.symbol,
        "date": kept.newest,
        "days": kept.days,
        "score": 0.0 if kept.verdict is None else kept.verdict.score,
        "threshold": threshold,
        "since": _iso(told.since),
        "features": kept.evidence(features),
    }


def _iso(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="milliseconds")


def _window(symbol: str) -> str:
    return WINDOW_KEY.format(symbol=symbol)


class _Pages(http.server.BaseHTTPRequestHandler):
    """GET /metrics, and GET /ready: 200, or 503 with what is missing."""

    watcher: Watcher

    def do_GET(self) -> None:
        if self.path == "/metrics":
            self._answer(200, prometheus_client.generate_latest())
        elif self.path == "/ready":
            reason = self.watcher.unready()
            self._answer(503 if reason else 200, f"{reason or 'ready'}\n".encode())
        else:
            self._answer(404, b"there are /metrics and /ready\n")

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Log no scrape."""


def read_settings(path: pathlib.Path) -> watcher_settings.Settings:
    """Read the configuration file; raise ConfigurationError that names what is wrong in it."""
    try:
        return watcher_settings.Settings.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror})") from error
    except pydantic.ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, detail['loc'])) or 'the file'}: {detail['msg']}"
            for detail in error.errors()
        )
        raise ConfigurationError(
            f"{path}: {wrong}; known are {', '.join(watcher_settings.Settings.model_fields)}"
        ) from error


def main(arguments: Sequence[str]) -> int:
    """Run the watcher; give its exit status."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s")
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m runtimes.guard.drift CONFIG.json\n")
        return 2
    try:
        given = read_settings(pathlib.Path(arguments[0]))
        usual = artifact.read(given.artifact)
    except (ConfigurationError, artifact.ArtifactError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    if not usual.limits.sizes:
        logger.warning("history was too short to calibrate any window: there will be no score")
    watcher = Watcher(given, usual)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: watcher.stop())
    pages = type("Pages", (_Pages,), {"watcher": watcher})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", given.port), pages)
    threading.Thread(target=server.serve_forever, daemon=True, name="pages").start()
    try:
        watcher.run()
    finally:
        server.shutdown()
        publishing.shared(given.kafka, "drift").close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
