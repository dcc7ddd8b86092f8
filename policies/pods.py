"""The pods that a resource brings, wherever its kind keeps them."""

import collections.abc
import dataclasses
import typing

from policies import objects

Manner = typing.Literal["own", "overlay", "operated"]


@dataclasses.dataclass(frozen=True, slots=True)
class Pod:
    """A pod's template."""

    name: str
    path: str
    """Of its `spec` in the resource's inputs."""
    spec: objects.Values
    labels: objects.Values
    manner: Manner = "own"
    """`own`: everything is said here. `overlay`: it is laid over what an operator knows, so that a
    container without an image is the operator's. `operated`: the operator hardens it by itself, and
    what is said here may weaken that."""
    replicas: int | None = None
    """None where it is no set of pods that answer."""
    alone: bool = False
    """One at a time by its declaration."""

    def containers(self) -> collections.abc.Iterator[tuple[str, objects.Values]]:
        """Give every container with its path."""
        for group in ("containers", "initContainers", "ephemeralContainers"):
            for number, each in enumerate(objects.items(self.spec, group)):
                if isinstance(each, collections.abc.Mapping):
                    yield f"{self.path}.{group}[{number}]", each


_TEMPLATED = {
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "ReplicaSet",
    "ReplicationController",
    "Job",
}
_ANSWERING = {"Deployment", "StatefulSet", "ReplicaSet"}
_PROMETHEUS = {"Prometheus", "PrometheusAgent", "Alertmanager", "ThanosRuler"}
STRIMZI = {"Kafka", "KafkaNodePool", "KafkaConnect", "KafkaMirrorMaker2", "KafkaBridge"}
SINGLE = {"seldon-scheduler"}
"""Of which there can be one alone: Seldon's scheduler keeps its state for itself."""


def of(resource: objects.Resource) -> list[Pod]:
    """Give a resource's pods."""
    reader = _READERS.get(resource.group) if resource.is_object else None
    return [] if reader is None else list(reader(resource))


def _core(resource: objects.Resource) -> collections.abc.Iterator[Pod]:
    spec = objects.mapping(resource.inputs, "spec")
    if resource.kind == "Pod":
        yield Pod(resource.object_name, "spec", spec, resource.labels)
    elif resource.kind in _TEMPLATED:
        yield _templated(resource, spec, "spec")
    elif resource.kind == "CronJob":
        job = objects.mapping(spec, "jobTemplate", "spec")
        yield _templated(resource, job, "spec.jobTemplate.spec")


def _templated(resource: objects.Resource, spec: objects.Values, path: str) -> Pod:
    kind = resource.kind
    return Pod(
        resource.object_name,
        f"{path}.template.spec",
        objects.mapping(spec, "template", "spec"),
        objects.mapping(spec, "template", "metadata", "labels"),
        replicas=_number(spec.get("replicas"), 1) if kind in _ANSWERING else None,
        alone=kind == "Deployment" and objects.at(spec, "strategy", "type") == "Recreate",
    )


def _seldon(resource: objects.Resource) -> collections.abc.Iterator[Pod]:
    spec = objects.mapping(resource.inputs, "spec")
    if resource.kind == "Server":
        name = resource.object_name
        yield Pod(
            name,
            "spec.podSpec",
            objects.mapping(spec, "podSpec"),
            {"seldon-server-name": name, "app.kubernetes.io/name": "seldon-server"},
            "overlay",
            _number(spec.get("replicas"), 1),
        )
    if resource.kind == "SeldonRuntime":
        for number, part in enumerate(objects.items(spec, "overrides")):
            if objects.at(part, "disable") is True:
                continue
            name = str(objects.at(part, "name", default=""))
            yield Pod(
                name,
                f"spec.overrides[{number}].podSpec",
                objects.mapping(part, "podSpec"),
                {"app.kubernetes.io/name": name},
                "overlay",
                _number(objects.at(part, "replicas"), 1),
                alone=name in SINGLE,
            )


def _prometheus(resource: objects.Resource) -> collections.abc.Iterator[Pod]:
    if resource.kind not in _PROMETHEUS:
        return
    spec = objects.mapping(resource.inputs, "spec")
    kind = resource.kind.lower()
    own = {"app.kubernetes.io/name": kind, f"operator.prometheus.io/{kind}": resource.object_name}
    yield Pod(
        resource.object_name,
        "spec",
        spec,
        {**own, **objects.mapping(spec, "podMetadata", "labels")},
        "overlay",
        _number(spec.get("replicas"), 1),
    )


_STRIMZI_PARTS = (
    ("spec",),
    ("spec", "kafka"),
    ("spec", "zookeeper"),
    ("spec", "entityOperator"),
    ("spec", "kafkaExporter"),
    ("spec", "cruiseControl"),
)


def _strimzi(resource: objects.Resource) -> collections.abc.Iterator[Pod]:
    if resource.kind not in STRIMZI:
        return
    for keys in _STRIMZI_PARTS:
        template = objects.mapping(resource.inputs, *keys, "template")
        if not template:
            continue
        containers = [
            {"name": name, **each}
            for name, each in template.items()
            if name.endswith("Container") and isinstance(each, collections.abc.Mapping)
        ]
        yield Pod(
            resource.object_name,
            ".".join((*keys, "template")),
            {**objects.mapping(template, "pod"), "containers": containers},
            {"strimzi.io/cluster": str(resource.labels.get("strimzi.io/cluster", ""))},
            "operated",
        )


def sized(
    resource: objects.Resource,
) -> collections.abc.Iterator[tuple[str, str, objects.Values]]:
    """Give what has to say what it asks for: path, name, its `resources`."""
    for pod in of(resource):
        if pod.manner == "operated":
            continue
        for path, container in pod.containers():
            if container.get("image") is not None:
                name = str(container.get("name", "container"))
                yield f"{path}.resources", name, objects.mapping(container, "resources")
    spec = objects.mapping(resource.inputs, "spec")
    if resource.kind in _PROMETHEUS and resource.group == "monitoring.coreos.com":
        yield "spec.resources", resource.object_name, objects.mapping(spec, "resources")
    if resource.group == "kafka.strimzi.io":
        yield from _sized_strimzi(resource, spec)


def _sized_strimzi(
    resource: objects.Resource, spec: objects.Values
) -> collections.abc.Iterator[tuple[str, str, objects.Values]]:
    if resource.kind in STRIMZI - {"Kafka"}:
        yield "spec.resources", resource.object_name, objects.mapping(spec, "resources")
    if resource.kind != "Kafka":
        return
    pooled = resource.annotations.get("strimzi.io/node-pools") == "enabled"
    parts: list[tuple[str, ...]] = [
        ("zookeeper",),
        ("entityOperator", "topicOperator"),
        ("entityOperator", "userOperator"),
        ("kafkaExporter",),
        ("cruiseControl",),
    ]
    if not pooled:
        parts.append(("kafka",))
    for keys in parts:
        if objects.at(spec, *keys) is not None:
            path = ".".join(("spec", *keys, "resources"))
            yield path, keys[-1], objects.mapping(spec, *keys, "resources")


_READERS: collections.abc.Mapping[
    str, collections.abc.Callable[[objects.Resource], collections.abc.Iterator[Pod]]
] = {
    "": _core,
    "apps": _core,
    "batch": _core,
    "mlops.seldon.io": _seldon,
    "monitoring.coreos.com": _prometheus,
    "kafka.strimzi.io": _strimzi,
}
"""Group of an API -> what knows where its kinds keep their pods."""


def _number(given: typing.Any, default: int) -> int:
    return int(given) if isinstance(given, int | float) else default
