"""Kafka: Strimzi's operator, a KRaft cluster, topics, and a user with its own rights for each part.

With a managed one, the credentials alone; its topics are then its owner's to make, as listed by
`bellwether render`.
"""

import collections.abc
import dataclasses

import pulumi

from infra import versions
from infra.catalogue import topics
from infra.cluster import access, component, manifest, settings, workload

_API = "kafka.strimzi.io/v1beta2"
_GROUPS = "bellwether-"
"""What our consumer groups' names begin with."""


@dataclasses.dataclass(frozen=True, slots=True)
class User:
    """Who may read and write what."""

    name: str
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    """Consumer groups, by what their names begin with."""
    prefix: str | None = None
    """Topics of this prefix are its own to make, read and write."""
    megabytes: int = 20
    """A second that it may write, and read, before the broker slows it down."""


_OWN = tuple(topic.name for topic in topics.TOPICS)

USERS = (
    User("seldon", groups=("",), prefix="seldon.", megabytes=100),
    User(
        "model-servers",
        writes=("decisions", "rewards", "routing", "feature-monitoring"),
        megabytes=50,
    ),
    User(
        "feature-stream",
        reads=("market-data", "news"),
        writes=("dead-letters", "feature-monitoring"),
        groups=("feature-stream",),
    ),
    User(
        "bandit",
        reads=("decisions", "rewards", "allocations"),
        writes=("allocations", "dead-letters"),
        groups=(_GROUPS, "bandit"),
        megabytes=50,
    ),
    User(
        "monitor",
        reads=(*_OWN, "seldon."),
        writes=("monitoring", "drift", "dead-letters"),
        groups=(_GROUPS, "monitor"),
        megabytes=50,
    ),
    User("console", reads=(*_OWN, "seldon."), groups=("console",)),
)
"""One for each part; `seldon.` stands for every topic of that prefix."""


class Kafka(component.Component):
    """Kafka, own or managed."""

    def __init__(self, site: component.Site, after: component.Resources) -> None:
        super().__init__(site, "kafka", after)
        self.ready: list[pulumi.Resource] = []
        if site.settings.kafka.managed is not None:
            self.ready = [self.add(_credentials(site.settings))]
            return
        operator = self._operator()
        self.add(_metrics())
        pool = self.add(_pool(site.settings), keep=True, after=operator)
        cluster = self.add(
            _cluster(site.settings), keep=True, ready="condition=Ready", after=[*operator, pool]
        )
        self.ready = [
            *(
                self.add(
                    _topic(each, site.size.replication, site.settings.record_days),
                    keep=True,
                    after=[cluster],
                )
                for each in topics.TOPICS
            ),
            *(self.add(_user(each), ready="condition=Ready", after=[cluster]) for each in USERS),
        ]

    def _operator(self) -> list[pulumi.Resource]:
        wanted = self.site.settings
        if not wanted.operators.strimzi:
            return []
        return [
            self.chart(
                "strimzi-kafka-operator",
                version=versions.STRIMZI,
                repository="https://strimzi.io/charts/",
                namespace=wanted.operators_namespace,
                values={
                    "watchNamespaces": [wanted.namespace],
                    "replicas": 2 if wanted.size.replicas > 1 else 1,
                    "resources": {
                        "requests": {"cpu": "200m", "memory": "384Mi"},
                        "limits": {"memory": "512Mi"},
                    },
                    "extraEnvs": [
                        {"name": "STRIMZI_POD_SECURITY_PROVIDER_CLASS", "value": "restricted"}
                    ],
                },
            )
        ]


def _credentials(stack: settings.Cluster) -> manifest.Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": access.KAFKA_SECRET},
        "type": "Opaque",
        "stringData": {"password": pulumi.Output.secret(stack.secret("kafka_password"))},
    }


def _cluster(stack: settings.Cluster) -> manifest.Manifest:
    size = stack.size
    return {
        "apiVersion": _API,
        "kind": "Kafka",
        "metadata": {
            "name": access.KAFKA_CLUSTER,
            "annotations": {"strimzi.io/node-pools": "enabled", "strimzi.io/kraft": "enabled"},
        },
        "spec": {
            "kafka": {
                "version": versions.KAFKA,
                "metadataVersion": versions.KAFKA_METADATA,
                "listeners": [
                    {
                        "name": "tls",
                        "port": access.KAFKA_PORT,
                        "type": "internal",
                        "tls": True,
                        "authentication": {"type": "tls"},
                    }
                ],
                "authorization": {"type": "simple"},
                "config": {
                    "auto.create.topics.enable": False,
                    "default.replication.factor": size.replication,
                    "min.insync.replicas": size.in_sync,
                    "offsets.topic.replication.factor": size.replication,
                    "transaction.state.log.replication.factor": size.replication,
                    "transaction.state.log.min.isr": size.in_sync,
                    "message.max.bytes": stack.max_request_bytes,
                    "log.retention.ms": topics.milliseconds(stack.record_days),
                },
                "metricsConfig": {
                    "type": "jmxPrometheusExporter",
                    "valueFrom": {
                        "configMapKeyRef": {"name": "kafka-metrics", "key": "metrics.yml"}
                    },
                },
                "template": {"podDisruptionBudget": {"maxUnavailable": 1}},
            },
            "entityOperator": {
                "topicOperator": {"resources": _operator_resources()},
                "userOperator": {"resources": _operator_resources()},
            },
            "kafkaExporter": {
                "groupRegex": ".*",
                "topicRegex": ".*",
                "resources": _operator_resources(),
            },
        },
    }


def _operator_resources() -> manifest.Manifest:
    return {"requests": {"cpu": "50m", "memory": "256Mi"}, "limits": {"memory": "384Mi"}}


def _pool(stack: settings.Cluster) -> manifest.Manifest:
    own = stack.kafka.own or settings.OwnKafka()
    storage: manifest.Manifest = {
        "type": "persistent-claim",
        "size": own.storage or stack.size.kafka_storage,
        "deleteClaim": not stack.size.keep,
    }
    if own.storage_class is not None:
        storage["class"] = own.storage_class
    pods = {"strimzi.io/cluster": access.KAFKA_CLUSTER, "strimzi.io/pool-name": "nodes"}
    return {
        "apiVersion": _API,
        "kind": "KafkaNodePool",
        "metadata": {"name": "nodes", "labels": {"strimzi.io/cluster": access.KAFKA_CLUSTER}},
        "spec": {
            "replicas": stack.brokers,
            "roles": ["controller", "broker"],
            "storage": storage,
            "resources": stack.size.kafka.manifest(),
            "template": {
                "pod": {
                    "securityContext": {
                        "runAsNonRoot": True,
                        "fsGroup": 1001,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "topologySpreadConstraints": workload.spread(pods),
                },
            },
        },
    }


def _metrics() -> manifest.Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "kafka-metrics"},
        "data": {"metrics.yml": topics.JMX_EXPORTER},
    }


def _topic(topic: topics.Topic, replication: int, record_days: int) -> manifest.Manifest:
    return {
        "apiVersion": _API,
        "kind": "KafkaTopic",
        "metadata": {"name": topic.name, "labels": {"strimzi.io/cluster": access.KAFKA_CLUSTER}},
        "spec": {
            "partitions": topic.partitions,
            "replicas": replication,
            "config": {
                "retention.ms": topic.kept_ms(record_days),
                "message.timestamp.type": topic.timestamps,
            },
        },
    }


def _user(user: User) -> manifest.Manifest:
    rules = [
        *_rules(user.reads, ("Describe", "Read")),
        *_rules(user.writes, ("Describe", "Write")),
        *(
            _rule("group", group or "*", ("Describe", "Read"), prefix=bool(group))
            for group in user.groups
        ),
    ]
    if user.prefix is not None:
        operations = ("Create", "Delete", "Describe", "DescribeConfigs", "Read", "Write")
        rules.append(_rule("topic", user.prefix, operations, prefix=True))
        rules.append(_rule("transactionalId", "*", ("Describe", "Write"), prefix=False))
    bytes_ = user.megabytes * 2**20
    return {
        "apiVersion": _API,
        "kind": "KafkaUser",
        "metadata": {"name": user.name, "labels": {"strimzi.io/cluster": access.KAFKA_CLUSTER}},
        "spec": {
            "authentication": {"type": "tls"},
            "authorization": {"type": "simple", "acls": rules},
            "quotas": {"producerByteRate": bytes_, "consumerByteRate": bytes_ * 2},
        },
    }


def _rules(
    names: collections.abc.Sequence[str], operations: tuple[str, ...]
) -> list[manifest.Manifest]:
    return [_rule("topic", name, operations, prefix=name.endswith(".")) for name in names]


def _rule(kind: str, name: str, operations: tuple[str, ...], *, prefix: bool) -> manifest.Manifest:
    return {
        "resource": {
            "type": kind,
            "name": name,
            "patternType": "prefix" if prefix else "literal",
        },
        "operations": list(operations),
        "host": "*",
    }
