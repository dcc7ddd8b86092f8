"""What could not be used, for whoever has to mend it: topic `dead-letters`.

A producer of its own: `runtimes.contract.publishing` would rather lose a record than wait,
and a dead letter may wait for as long as Kafka is away.
"""

import base64
import datetime as dt
import json
import logging
from typing import Any

import confluent_kafka

from runtimes.contract import credentials
from runtimes.features import metrics, records

logger = logging.getLogger(__name__)


class DeadLetters:
    """Hands dead letters over; `settled` says whether Kafka has them all."""

    def __init__(self, bootstrap: str) -> None:
        self._producer = confluent_kafka.Producer(
            {
                "bootstrap.servers": bootstrap,
                **credentials.kafka(),
                "client.id": "feature-stream-dead-letters",
                "enable.idempotence": True,
                "message.timeout.ms": 0,  # never given up
                "linger.ms": 5,
                "log_level": 2,
            }
        )

    def add(self, message: Any, unusable: records.Unusable) -> None:
        """Report one record with its reason and where it stands."""
        topic = message.topic()
        metrics.DEAD_LETTERS.labels(topic, unusable.reason).inc()
        logger.info("%s@%d: %s", topic, message.offset(), unusable)
        document = {
            "reason": unusable.reason,
            "message": str(unusable),
            "topic": topic,
            "partition": message.partition(),
            "offset": message.offset(),
            "time": dt.datetime.now(dt.UTC).isoformat(),
            **_content(message.value()),
        }
        while True:
            try:
                self._producer.produce(
                    records.DEAD_LETTERS, json.dumps(document).encode(), message.key()
                )
            except BufferError:
                # A flood while Kafka is slow: wait for room, the log keeps what comes meanwhile.
                self._producer.poll(0.5)
            else:
                return

    def settled(self) -> bool:
        """Say whether Kafka has everything that was reported."""
        self._producer.poll(0)
        return len(self._producer) == 0

    def close(self, seconds: float) -> None:
        """Wait for Kafka to have everything, but not longer than `seconds`."""
        left = self._producer.flush(seconds)
        if left:
            logger.warning("%d dead letters were not delivered; they are reported anew", left)


def _content(value: bytes | None) -> dict[str, str | None]:
    """Give a record's content as text, or as base64 where it is none."""
    if value is None:
        return {"record": None}
    try:
        return {"record": value.decode()}
    except UnicodeDecodeError:
        return {"record_base64": base64.b64encode(value).decode()}
