"""Defaults per kind of environment: the one place where `dev`, `staging` and `production` differ."""

import dataclasses
from collections.abc import Mapping
from typing import Literal

Environment = Literal["dev", "staging", "production"]


@dataclasses.dataclass(frozen=True, slots=True)
class Resources:
    """What a container asks for, and what it may take. CPU has no limit: throttling costs latency."""

    cpu: str
    memory: str
    memory_limit: str | None = None
    """As much as is asked for if not given: memory is not overcommitted."""

    def manifest(self) -> dict[str, dict[str, str]]:
        """Write it as a container's `resources`."""
        return {
            "requests": {"cpu": self.cpu, "memory": self.memory},
            "limits": {"memory": self.memory_limit or self.memory},
        }


@dataclasses.dataclass(frozen=True, slots=True)
class Size:
    """How large an environment is, and how much it is kept."""

    replicas: int
    """Of everything stateless that takes requests."""
    brokers: int
    """Kafka's nodes; each is broker and controller."""
    kafka_storage: str
    kafka: Resources
    valkey_replicas: int
    """Copies beside the primary; with any, three sentinels watch and promote."""
    valkey_storage: str
    valkey: Resources
    model_server: Resources
    monitor_storage: str
    prometheus_storage: str
    prometheus_days: int
    keep: bool
    """Whether stateful parts are protected, and kept when their declaration goes."""
    experiment_floor: float
    """The least exploration rate that a bandit of this environment may have."""

    @property
    def replication(self) -> int:
        """How many copies of a record Kafka keeps."""
        return min(3, self.brokers)

    @property
    def in_sync(self) -> int:
        """How many copies a record has before it counts as written."""
        return max(1, self.replication - 1)


SIZES: Mapping[Environment, Size] = {
    "dev": Size(
        replicas=1,
        brokers=1,
        kafka_storage="10Gi",
        kafka=Resources("250m", "1Gi"),
        valkey_replicas=0,
        valkey_storage="2Gi",
        valkey=Resources("50m", "256Mi"),
        model_server=Resources("250m", "1Gi", "2Gi"),
        monitor_storage="5Gi",
        prometheus_storage="10Gi",
        prometheus_days=7,
        keep=False,
        experiment_floor=0.0,
    ),
    "staging": Size(
        replicas=2,
        brokers=3,
        kafka_storage="50Gi",
        kafka=Resources("500m", "2Gi"),
        valkey_replicas=1,
        valkey_storage="8Gi",
        valkey=Resources("100m", "1Gi"),
        model_server=Resources("500m", "2Gi"),
        monitor_storage="20Gi",
        prometheus_storage="50Gi",
        prometheus_days=15,
        keep=True,
        experiment_floor=0.01,
    ),
    "production": Size(
        replicas=3,
        brokers=3,
        kafka_storage="200Gi",
        kafka=Resources("1", "4Gi"),
        valkey_replicas=2,
        valkey_storage="16Gi",
        valkey=Resources("250m", "2Gi"),
        model_server=Resources("1", "3Gi"),
        monitor_storage="50Gi",
        prometheus_storage="200Gi",
        prometheus_days=30,
        keep=True,
        experiment_floor=0.01,
    ),
}
