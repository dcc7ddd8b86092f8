"""A workload of ours, hardened: the one way in which a pod is declared here.

It fits Pod Security's `restricted` (https://kubernetes.io/docs/concepts/security/pod-security-standards/).
"""

import collections.abc
import dataclasses
import hashlib

import pulumi

from infra.cluster import component, labels, manifest, network, sizes

USER = 10001
"""Who our images run as."""

CONFIGURATION = "/etc/bellwether"
"""Where a workload's files lie."""

ANY_ADDRESS = "0.0.0.0"  # noqa: S104  a pod's ports are opened by network policies
"""What a process in a pod listens on."""

CONTAINER_SECURITY: manifest.Manifest = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def pod_security(user: int = USER) -> manifest.Manifest:
    """Write a pod's security context."""
    return {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


@dataclasses.dataclass(frozen=True, slots=True)
class Probe:
    """A page that answers 200, or a command that succeeds."""

    port: int = 0
    path: str = ""
    command: tuple[str, ...] = ()
    start_seconds: int = 120
    """How long it may take until the first success."""

    def manifest(self) -> manifest.Manifest:
        """Write what is asked."""
        if self.command:
            return {"exec": {"command": list(self.command)}}
        return {"httpGet": {"path": self.path, "port": self.port}}


@dataclasses.dataclass(frozen=True, slots=True)
class Mount:
    """A Secret's keys as files, or an empty folder to write in."""

    path: str
    secret: str | None = None
    keys: tuple[str, ...] = ()
    """Only these of the secret."""
    name: str | None = None
    """The volume's, where somebody else has to know it."""
    size: str = "64Mi"
    """Of the empty folder."""

    def volume(self, number: int) -> str:
        """Give the volume's name."""
        return self.name or f"mount-{number}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What runs, and all that it may."""

    name: str
    image: str
    command: tuple[str, ...]
    resources: sizes.Resources
    ready: Probe
    alive: Probe
    ports: collections.abc.Mapping[str, int] = dataclasses.field(default_factory=dict)
    replicas: int = 1
    environment: collections.abc.Mapping[str, str] = dataclasses.field(default_factory=dict)
    files: collections.abc.Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Rendered into CONFIGURATION; a change starts the pods anew."""
    mounts: tuple[Mount, ...] = ()
    storage: str | None = None
    """With it, a StatefulSet; mounted at `storage_path`."""
    storage_path: str = "/data"
    storage_class: str | None = None
    ingress: tuple[network.Way, ...] = ()
    egress: tuple[network.Way, ...] = ()
    rules: tuple[manifest.Manifest, ...] = ()
    """Rights in its namespace; with any, its token is mounted."""
    alone: bool = False
    """One at a time: the old pod ends before the new one begins."""
    user: int = USER
    pull_secret: str | None = None
    annotations: collections.abc.Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Of the set of its pods, such as an exception from a policy."""
    init: tuple[manifest.Manifest, ...] = ()
    sidecars: tuple[manifest.Manifest, ...] = ()
    grace_seconds: int = 30


def declare(
    owner: component.Component, work: Workload, after: component.Resources = ()
) -> manifest.Object:
    """Register a workload with everything that it needs; give the set of its pods."""
    first: list[pulumi.Resource] = [
        owner.add(account(work.name), workload=work.name),
        owner.add(
            network.policy(
                work.name,
                labels.selector(work.name),
                ingress=work.ingress,
                egress=work.egress,
            ),
            workload=work.name,
        ),
    ]
    if work.rules:
        first += [owner.add(each, workload=work.name) for each in _rights(work)]
    if work.files:
        first.append(owner.add(_files(work), workload=work.name))
    if work.ports:
        first.append(owner.add(service(work), workload=work.name))
    if work.replicas > 1:
        owner.add(budget(work.name, labels.selector(work.name)), workload=work.name)
    made = _stateful(work, owner) if work.storage is not None else _stateless(work, owner)
    if work.annotations:
        made["metadata"]["annotations"] = dict(sorted(work.annotations.items()))
    return owner.add(made, after=[*first, *after], keep=work.storage is not None)


def budget(name: str, pods: collections.abc.Mapping[str, str]) -> manifest.Manifest:
    """Write a disruption budget: one pod at a time may be moved."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name},
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": dict(pods)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def spread(pods: collections.abc.Mapping[str, str]) -> list[manifest.Manifest]:
    """Write that pods are spread over zones and nodes, where there are several."""
    return [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": dict(pods)},
        }
        for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
    ]


def service(work: Workload) -> manifest.Manifest:
    """Write the name under which a workload's ports are reached; headless for a StatefulSet."""
    spec: manifest.Manifest = {
        "selector": labels.selector(work.name),
        "ports": [
            {"name": name, "port": port, "targetPort": name, "protocol": "TCP"}
            for name, port in work.ports.items()
        ],
    }
    if work.storage is not None:
        spec["clusterIP"] = "None"
        spec["publishNotReadyAddresses"] = True
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": work.name},
        "spec": spec,
    }


def account(name: str) -> manifest.Manifest:
    """Write a service account whose token is mounted only where a pod asks for it."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name},
        "automountServiceAccountToken": False,
    }


def _rights(work: Workload) -> list[manifest.Manifest]:
    group = "rbac.authorization.k8s.io"
    return [
        {
            "apiVersion": f"{group}/v1",
            "kind": "Role",
            "metadata": {"name": work.name},
            "rules": list(work.rules),
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": work.name},
            "roleRef": {"apiGroup": group, "kind": "Role", "name": work.name},
            "subjects": [{"kind": "ServiceAccount", "name": work.name}],
        },
    ]


def _files(work: Workload) -> manifest.Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": work.name},
        "data": dict(sorted(work.files.items())),
    }


def _stateless(work: Workload, owner: component.Component) -> manifest.Manifest:
    strategy: manifest.Manifest = {"type": "Recreate"}
    if not work.alone:
        strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": work.name},
        "spec": {
            "replicas": work.replicas,
            "revisionHistoryLimit": 3,
            "progressDeadlineSeconds": component.READY_MINUTES * 60,
            "selector": {"matchLabels": labels.selector(work.name)},
            "strategy": strategy,
            "template": template(work, owner),
        },
    }


def _stateful(work: Workload, owner: component.Component) -> manifest.Manifest:
    claim: manifest.Manifest = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": work.storage}},
    }
    if work.storage_class is not None:
        claim["storageClassName"] = work.storage_class
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": work.name},
        "spec": {
            "replicas": work.replicas,
            "revisionHistoryLimit": 3,
            "serviceName": work.name,
            "podManagementPolicy": "OrderedReady",
            "selector": {"matchLabels": labels.selector(work.name)},
            "template": template(work, owner),
            "persistentVolumeClaimRetentionPolicy": {
                "whenDeleted": "Retain" if owner.site.size.keep else "Delete",
                "whenScaled": "Retain",
            },
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": claim}],
        },
    }


def template(work: Workload, owner: component.Component) -> manifest.Manifest:
    """Write the pods of a workload."""
    digest = hashlib.sha256(repr(sorted(work.files.items())).encode()).hexdigest()
    spec: manifest.Manifest = {
        "serviceAccountName": work.name,
        "automountServiceAccountToken": bool(work.rules),
        "enableServiceLinks": False,
        "securityContext": pod_security(work.user),
        "terminationGracePeriodSeconds": work.grace_seconds,
        "topologySpreadConstraints": spread(labels.selector(work.name)),
        "containers": [_container(work), *work.sidecars],
        "volumes": _volumes(work),
    }
    if work.init:
        spec["initContainers"] = list(work.init)
    if work.pull_secret is not None:
        spec["imagePullSecrets"] = [{"name": work.pull_secret}]
    meta: manifest.Manifest = {
        "labels": labels.of(work.name, owner.component, owner.site.settings.environment)
    }
    if work.files:
        meta["annotations"] = {"bellwether.dev/configuration": digest}
    return {"metadata": meta, "spec": spec}


def _container(work: Workload) -> manifest.Manifest:
    probe = work.alive.manifest()
    made: manifest.Manifest = {
        "name": work.name,
        "image": work.image,
        "imagePullPolicy": "IfNotPresent",
        "command": list(work.command),
        "resources": work.resources.manifest(),
        "securityContext": CONTAINER_SECURITY,
        "startupProbe": {
            **probe,
            "periodSeconds": 2,
            "failureThreshold": max(1, work.alive.start_seconds // 2),
        },
        "livenessProbe": {**probe, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 3},
        "readinessProbe": {**work.ready.manifest(), "periodSeconds": 5, "timeoutSeconds": 3},
        "volumeMounts": mounts(work),
    }
    if work.environment:
        made["env"] = [{"name": k, "value": v} for k, v in sorted(work.environment.items())]
    if work.ports:
        made["ports"] = [
            {"name": name, "containerPort": port, "protocol": "TCP"}
            for name, port in work.ports.items()
        ]
    return made


def mounts(work: Workload) -> list[manifest.Manifest]:
    """Write what a container of a workload has mounted."""
    found: list[manifest.Manifest] = [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108  an own, empty volume
    if work.files:
        found.append({"name": "configuration", "mountPath": CONFIGURATION, "readOnly": True})
    if work.storage is not None:
        found.append({"name": "data", "mountPath": work.storage_path})
    return found + mounted(work.mounts)


def mounted(given: collections.abc.Sequence[Mount]) -> list[manifest.Manifest]:
    """Write mounts as a container's `volumeMounts`."""
    found: list[manifest.Manifest] = []
    for number, mount in enumerate(given):
        entry: manifest.Manifest = {"name": mount.volume(number), "mountPath": mount.path}
        if mount.secret is not None:
            entry["readOnly"] = True
        found.append(entry)
    return found


def _volumes(work: Workload) -> list[manifest.Manifest]:
    found: list[manifest.Manifest] = [{"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}]
    if work.files:
        found.append({"name": "configuration", "configMap": {"name": work.name}})
    return found + volumes(work.mounts)


def volumes(given: collections.abc.Sequence[Mount]) -> list[manifest.Manifest]:
    """Write mounts as a pod's `volumes`."""
    found: list[manifest.Manifest] = []
    for number, mount in enumerate(given):
        name = mount.volume(number)
        if mount.secret is None:
            found.append({"name": name, "emptyDir": {"sizeLimit": mount.size}})
            continue
        source: manifest.Manifest = {"secretName": mount.secret, "defaultMode": 0o440}
        if mount.keys:
            source["items"] = [{"key": key, "path": key} for key in mount.keys]
        found.append({"name": name, "secret": source})
    return found
