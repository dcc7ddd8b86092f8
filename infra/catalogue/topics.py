"""The Kafka topics of the environment's own records. Seldon's topics are Seldon's to make."""

import dataclasses
from typing import Literal

_DAY_MS = 24 * 60 * 60 * 1000


def milliseconds(days: int) -> int:
    """Give days as Kafka takes them."""
    return days * _DAY_MS


@dataclasses.dataclass(frozen=True, slots=True)
class Topic:
    """One topic."""

    name: str
    purpose: str
    partitions: int = 1
    retention_ms: int = 30 * _DAY_MS
    timestamps: Literal["CreateTime", "LogAppendTime"] = "CreateTime"
    """Whose clock a record's timestamp is of: who made it, or the broker."""

    def kept_ms(self, record_days: int) -> int:
        """Say how long records are kept where all are kept for so many days at least; -1: always."""
        if self.retention_ms < 0:
            return self.retention_ms
        return max(self.retention_ms, record_days * _DAY_MS)


TOPICS = (
    # The broker's clock judges whether a reward is late: one clock, which nobody can set.
    Topic(
        "decisions",
        "which arm answered which request: id, arm, context",
        timestamps="LogAppendTime",
    ),
    Topic("rewards", "what a prediction was worth, by its id", timestamps="LogAppendTime"),
    Topic("allocations", "each epoch's weights: the propensities", retention_ms=-1),
    # The log from which the feature stream makes its state anew: four records a day stay small.
    Topic("market-data", "bars as they arrive", retention_ms=-1),
    Topic("news", "headlines and posts as they arrive"),
    Topic("feature-monitoring", "each enriched request: time, features, counts"),
    Topic("drift", "alerts of the drift detector"),
    Topic("dead-letters", "what could not be used of market-data and news, with the reason"),
    Topic("routing", "which branch the router chose for which request, and why"),
    Topic("monitoring", "each prediction, and later what came true"),
)

JMX_EXPORTER = """\
lowercaseOutputName: true
rules:
  - pattern: kafka.server<type=BrokerTopicMetrics, name=(\\w+)PerSec, topic=(.+)><>Count
    name: kafka_topic_$1_total
    labels: {topic: "$2"}
    type: COUNTER
  - pattern: kafka.server<type=BrokerTopicMetrics, name=(\\w+)PerSec><>Count
    name: kafka_broker_$1_total
    type: COUNTER
  - pattern: kafka.log<type=Log, name=LogEndOffset, topic=(.+), partition=(.+)><>Value
    name: kafka_log_end_offset
    labels: {topic: "$1", partition: "$2"}
    type: GAUGE
  - pattern: kafka.controller<type=KafkaController, name=(\\w+)><>Value
    name: kafka_controller_$1
    type: GAUGE
"""
"""Which of Kafka's numbers Prometheus gets, and as what: both targets name them alike."""
