"""Stateful parts: protected, kept, durable, and backed up."""

import collections.abc

from policies import objects, rule, stacks

BACKUP = "bellwether.dev/backup"
"""Annotation of a stateful part: how it is backed up, or from what it is made again."""

_KINDS = {
    ("", "PersistentVolumeClaim"),
    ("", "Namespace"),
    ("kafka.strimzi.io", "Kafka"),
    ("kafka.strimzi.io", "KafkaNodePool"),
    ("kafka.strimzi.io", "KafkaTopic"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"),
}
_COPIES = 3


def _claims(resource: objects.Resource) -> bool:
    return resource.kind == "StatefulSet" and bool(
        objects.items(resource.inputs, "spec", "volumeClaimTemplates")
    )


def _kept(resource: objects.Resource, stack: stacks.Stack) -> objects.Faults:
    del stack
    if not resource.is_object:
        return
    if (resource.group, resource.kind) in _KINDS or _claims(resource):
        if not resource.protect:
            yield objects.Fault("protect", "it holds state, and nothing protects it from deletion")
        if resource.retained is False:
            yield objects.Fault(
                "retainOnDelete", "it holds state, and goes when its declaration does"
            )
    yield from _volumes(resource)


def _volumes(resource: objects.Resource) -> objects.Faults:
    spec = objects.mapping(resource.inputs, "spec")
    if _claims(resource):
        retention = objects.mapping(spec, "persistentVolumeClaimRetentionPolicy")
        for key in ("whenDeleted", "whenScaled"):
            if retention.get(key, "Retain") != "Retain":
                yield objects.Fault(
                    f"spec.persistentVolumeClaimRetentionPolicy.{key}", "its volumes are deleted"
                )
    if resource.group == "kafka.strimzi.io" and resource.kind == "KafkaNodePool":
        storage = objects.mapping(spec, "storage")
        if storage.get("type") == "ephemeral":
            yield objects.Fault("spec.storage.type", "records are kept in the pod alone")
        if storage.get("deleteClaim") is True:
            yield objects.Fault("spec.storage.deleteClaim", "its volumes are deleted")
    if resource.kind == "Prometheus" and not objects.mapping(
        spec, "storage", "volumeClaimTemplate"
    ):
        yield objects.Fault("spec.storage", "metrics are kept in the pod alone")


def _backed_up(
    resources: collections.abc.Sequence[objects.Resource], stack: stacks.Stack
) -> rule.Found:
    del stack
    jobs = {(each.namespace, each.object_name) for each in resources if each.kind == "CronJob"}
    for each in resources:
        if str(each.annotations.get(BACKUP, "")).strip():
            continue
        if _claims(each) and (each.namespace, f"{each.object_name}-backup") not in jobs:
            yield (
                each,
                objects.Fault(
                    "spec.volumeClaimTemplates",
                    f"nothing takes its data away: there is no CronJob `{each.object_name}-backup`",
                ),
            )
        if each.kind == "KafkaNodePool" and each.is_object:
            copies = objects.at(each.inputs, "spec", "replicas", default=0)
            if copies < _COPIES:
                yield each, objects.Fault("spec.replicas", f"records have at most {copies} copies")
        if each.kind == "Kafka" and each.is_object:
            yield from ((each, fault) for fault in _replication(each))


def _replication(kafka: objects.Resource) -> objects.Faults:
    config = objects.mapping(kafka.inputs, "spec", "kafka", "config")
    if objects.at(config, "default.replication.factor", default=1) < _COPIES:
        yield objects.Fault(
            "spec.kafka.config.default.replication.factor", "records have fewer than three copies"
        )
    if objects.at(config, "min.insync.replicas", default=1) < _COPIES - 1:
        yield objects.Fault(
            "spec.kafka.config.min.insync.replicas", "a record counts as written with one copy"
        )


RULES = (
    rule.Rule(
        "stateful-kept",
        "What holds state is protected, kept when its declaration goes, and on volumes that stay.",
        "A renamed resource would otherwise take its data with it.",
        "register it with `keep=True`, volumes that are retained, `deleteClaim: false`",
        one=_kept,
    ),
    rule.Rule(
        "backed-up",
        "What holds state is taken away by a CronJob, kept in three copies, or says how it is made again.",
        "Protection does not help against a lost zone or a wrong write.",
        f"add a CronJob `<name>-backup`, or say in the annotation `{BACKUP}` how it is made again",
        whole=_backed_up,
    ),
)
