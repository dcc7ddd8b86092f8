"""Seldon Core 2: the charts of its CRDs and its operator, and its runtime in our namespace.

The charts `seldon-core-v2-runtime` and `-servers` hold one SeldonRuntime and the Servers; those are
declared here as objects, so that each field is diffed and policed (docs/adr/0013).
"""

import collections.abc

import pulumi

from infra import versions
from infra.cluster import (
    access,
    artifacts,
    component,
    labels,
    manifest,
    network,
    settings,
    workload,
)

GATEWAY_PORTS = (9000,)
_REPOSITORY = "https://storage.googleapis.com/seldon-charts"
_ENVOY, _SCHEDULER = "seldon-envoy", "seldon-scheduler"

# Seldon's parts: name -> (container, replicas beyond one).
_PARTS: dict[str, tuple[str, bool]] = {
    _SCHEDULER: ("scheduler", False),
    _ENVOY: ("envoy", True),
    "seldon-dataflow-engine": ("dataflow-engine", True),
    "seldon-modelgateway": ("modelgateway", True),
    "seldon-pipelinegateway": ("pipelinegateway", True),
}
_KAFKA_CLIENTS = ("seldon-dataflow-engine", "seldon-modelgateway", "seldon-pipelinegateway")


class SeldonCore(component.Component):
    """Seldon's control plane and its data plane without servers."""

    def __init__(self, site: component.Site, after: component.Resources) -> None:
        super().__init__(site, "seldon", after)
        operator = self._operator()
        runtime = self.add(_runtime(site.settings), ready="condition=Ready", after=operator)
        for policy in _network(site.settings):
            self.add(policy)
        for name, (_, several) in _PARTS.items():
            if several and site.size.replicas > 1:
                self.add(workload.budget(name, {labels.NAME: name}), workload=name)
        self.ready: list[pulumi.Resource] = [*operator, runtime]

    def _operator(self) -> list[pulumi.Resource]:
        stack = self.site.settings
        if not stack.operators.seldon:
            return []
        crds = self.chart(
            "seldon-core-v2-crds",
            version=versions.SELDON,
            repository=_REPOSITORY,
            namespace=stack.operators_namespace,
            values={},
        )
        setup = self.chart(
            "seldon-core-v2-setup",
            version=versions.SELDON,
            repository=_REPOSITORY,
            namespace=stack.operators_namespace,
            values=values(stack),
            after=[crds],
        )
        return [crds, setup]


def values(stack: settings.Cluster) -> manifest.Manifest:
    """Give the values of the chart `seldon-core-v2-setup`: every tag pinned, head's say `latest`."""
    pinned = {"image": {"tag": versions.SELDON}}
    security = {"securityContext": {**workload.pod_security(1000)}}
    parts = ("modelgateway", "pipelinegateway", "dataflow", "envoy", "scheduler")
    given: manifest.Manifest = {
        **{name: {**pinned, **security} for name in parts},
        "hodometer": {**pinned, **security},
        "controller": {
            **pinned,
            **security,
            "clusterwide": True,
            "watchNamespaces": [stack.namespace],
        },
        "serverConfig": {
            **security,
            "rclone": pinned,
            "agent": pinned,
        },
        "kafka": {
            "bootstrap": access.kafka(stack, "seldon").address,
            "topics": {"replicationFactor": _replication(stack), "numPartitions": 1},
            "consumer": {"messageMaxBytes": stack.max_request_bytes},
            "producer": {"messageMaxBytes": stack.max_request_bytes},
        },
        "security": {"kafka": _kafka_security(stack)},
        "opentelemetry": {"disable": True},
        "services": {"defaultServiceType": "ClusterIP"},
    }
    return given


def _replication(stack: settings.Cluster) -> int:
    managed = stack.kafka.managed
    return stack.size.replication if managed is None else managed.replication


def _kafka_security(stack: settings.Cluster) -> manifest.Manifest:
    managed = stack.kafka.managed
    if managed is not None:
        return {
            "protocol": "SASL_SSL",
            "sasl": {
                "mechanism": "SCRAM-SHA-512",
                "client": {
                    "username": managed.username,
                    "secret": access.KAFKA_SECRET,
                    "passwordPath": "password",
                },
            },
        }
    folder = "/tmp/certs/kafka"  # noqa: S108  where Seldon's own pods keep what they read from the secret
    return {
        "protocol": "SSL",
        "ssl": {
            "client": {
                "secret": "seldon",
                "brokerValidationSecret": access.KAFKA_AUTHORITY,
                "keyPath": f"{folder}/client/user.key",
                "crtPath": f"{folder}/client/user.crt",
                "caPath": f"{folder}/client/ca.crt",
                "brokerCaPath": f"{folder}/broker/ca.crt",
            }
        },
    }


def _runtime(stack: settings.Cluster) -> manifest.Manifest:
    size = stack.size
    return {
        "apiVersion": "mlops.seldon.io/v1alpha1",
        "kind": "SeldonRuntime",
        "metadata": {"name": "seldon"},
        "spec": {
            "seldonConfig": "default",
            "overrides": [
                {"name": "hodometer", "disable": True},
                *(
                    _override(name, container, size.replicas if several else 1)
                    for name, (container, several) in _PARTS.items()
                ),
            ],
            "config": {
                "agentConfig": {"rclone": {"config_secrets": [artifacts.SECRET]}},
                "kafkaConfig": {
                    "bootstrap.servers": access.kafka(stack, "seldon").address,
                    "topicPrefix": "seldon",
                    "topics": {
                        "numPartitions": 1,
                        "replicationFactor": _replication(stack),
                    },
                },
                "serviceConfig": {"serviceType": "ClusterIP"},
                "tracingConfig": {"disable": True},
            },
        },
    }


def _override(name: str, container: str, replicas: int) -> manifest.Manifest:
    """Harden a part of Seldon's, and give it company."""
    made: manifest.Manifest = {
        "name": name,
        "replicas": replicas,
        "podSpec": {
            "securityContext": workload.pod_security(1000),
            "topologySpreadConstraints": workload.spread({labels.NAME: name}),
            "containers": [
                {
                    "name": container,
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }
            ],
        },
    }
    if name in {_ENVOY, _SCHEDULER}:
        made["serviceType"] = "ClusterIP"
    return made


def _network(stack: settings.Cluster) -> collections.abc.Iterator[manifest.Manifest]:
    """Name Seldon's ways: among its parts, to Kafka, from callers, from its operator."""
    parts = (*_PARTS, "seldon-server")
    everywhere = (9000, 9002, 9004, 9005, 9008, 9010, 9011, 9500, 9501, 9503, 9999, 8000)
    among = [network.Way("Seldon's parts", everywhere, pods=each) for each in parts]
    callers = [
        *(
            network.Way("predictions", GATEWAY_PORTS, namespace=each)
            for each in stack.ingress_namespaces
        ),
        *(
            network.Way("predictions", GATEWAY_PORTS, pods=each)
            for each in ("bandit", "console", "monitor")
        ),
    ]
    scrapes = network.Way("scrapes", (9003, 9006, 8082, 9999), pods="prometheus")
    operator = network.Way("Seldon's operator", (9004, 9044), namespace=stack.operators_namespace)
    api = network.api_server("the API server, for secrets")
    kafka = access.kafka(stack, "seldon").way
    for name in _PARTS:
        ingress = [*among, scrapes]
        egress = [*among, api]
        if name == _ENVOY:
            ingress += callers
        if name == _SCHEDULER:
            ingress.append(operator)
        if name in _KAFKA_CLIENTS or name == _SCHEDULER:
            egress.append(kafka)
        yield network.policy(name, {labels.NAME: name}, ingress=ingress, egress=egress)
