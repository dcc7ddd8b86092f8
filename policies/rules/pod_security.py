"""Pods: Kubernetes' `restricted` standard, a read-only root, what they ask for.

https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

import collections.abc
import re

from policies import objects, pods, rule, stacks

_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
_LEVELS = {"baseline", "restricted"}
_PROVIDER = "STRIMZI_POD_SECURITY_PROVIDER_CLASS"
_ENFORCE = "pod-security.kubernetes.io/enforce"


def _restricted(resource: objects.Resource, stack: stacks.Stack) -> objects.Faults:
    del stack
    if resource.is_object and resource.kind == "Namespace":
        level = resource.labels.get(_ENFORCE)
        if level not in _LEVELS:
            yield objects.Fault(
                f"metadata.labels.{_ENFORCE}", "the namespace enforces no Pod Security standard"
            )
    if resource.is_release and resource.inputs.get("chart") == "strimzi-kafka-operator":
        yield from _strimzi(resource)
    for pod in pods.of(resource):
        yield from _of_pod(pod)
        for path, container in pod.containers():
            yield from _of_container(pod, path, container)


def _strimzi(release: objects.Resource) -> objects.Faults:
    """Kafka's pods fit the standard when their operator is told to make them so."""
    told = objects.items(release.inputs, "values", "extraEnvs")
    if not any(
        objects.at(each, "name") == _PROVIDER and each.get("value") == "restricted" for each in told
    ):
        yield objects.Fault(
            "values.extraEnvs", f"`{_PROVIDER}` does not make Kafka's pods restricted"
        )


def _of_pod(pod: pods.Pod) -> objects.Faults:
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.spec.get(key) is True:
            yield objects.Fault(f"{pod.path}.{key}", "the pod shares a namespace of its node")
    for number, volume in enumerate(objects.items(pod.spec, "volumes")):
        kinds = set(volume) - {"name"} if isinstance(volume, collections.abc.Mapping) else set()
        for kind in sorted(kinds - _VOLUMES):
            yield objects.Fault(
                f"{pod.path}.volumes[{number}].{kind}", f"volumes of type {kind} are not allowed"
            )
    yield from _identity(pod)


def _identity(pod: pods.Pod) -> objects.Faults:
    """Who the pod's processes run as, and which system calls they may make."""
    path, security = f"{pod.path}.securityContext", objects.mapping(pod.spec, "securityContext")
    each = [objects.mapping(one, "securityContext") for _, one in pod.containers()]
    strict = pod.manner != "operated"
    if security.get("runAsUser") == 0:
        yield objects.Fault(f"{path}.runAsUser", "the pod runs as root")
    said = strict or "runAsNonRoot" in security
    for_all = bool(each) and all(one.get("runAsNonRoot") is True for one in each)
    if said and security.get("runAsNonRoot") is not True and not for_all:
        yield objects.Fault(f"{path}.runAsNonRoot", "nothing keeps the pod from running as root")
    profile, *own = [objects.at(one, "seccompProfile", "type") for one in (security, *each)]
    if "Unconfined" in (profile, *own):
        yield objects.Fault(f"{path}.seccompProfile", "system calls are not confined")
    elif strict and profile is None and (None in own or not own):
        yield objects.Fault(f"{path}.seccompProfile", "no seccomp profile is set")


def _of_container(pod: pods.Pod, path: str, container: objects.Values) -> objects.Faults:
    name = container.get("name", "container")
    security = objects.mapping(container, "securityContext")
    where, strict = f"{path}.securityContext", pod.manner != "operated"
    if security.get("privileged") is True:
        yield objects.Fault(f"{where}.privileged", f"container {name} is privileged")
    if security.get("runAsUser") == 0:
        yield objects.Fault(f"{where}.runAsUser", f"container {name} runs as root")
    if security.get("runAsNonRoot") is False:
        yield objects.Fault(f"{where}.runAsNonRoot", f"container {name} may run as root")
    escalates = security.get("allowPrivilegeEscalation", None if strict else False)
    if escalates is not False:
        yield objects.Fault(
            f"{where}.allowPrivilegeEscalation", f"container {name} may gain privileges"
        )
    dropped = objects.items(security, "capabilities", "drop")
    if "ALL" not in dropped and (strict or dropped):
        yield objects.Fault(f"{where}.capabilities.drop", f"container {name} keeps capabilities")
    if added := set(objects.items(security, "capabilities", "add")) - {"NET_BIND_SERVICE"}:
        listed = ", ".join(sorted(added))
        yield objects.Fault(f"{where}.capabilities.add", f"container {name} is given {listed}")
    if any(objects.at(port, "hostPort") for port in objects.items(container, "ports")):
        yield objects.Fault(f"{path}.ports", f"container {name} takes a port of its node")


def _read_only(resource: objects.Resource, stack: stacks.Stack) -> objects.Faults:
    del stack
    for pod in pods.of(resource):
        for path, container in pod.containers():
            ours = container.get("image") is not None
            set_to = objects.at(container, "securityContext", "readOnlyRootFilesystem")
            if set_to is False or (ours and set_to is not True):
                yield objects.Fault(
                    f"{path}.securityContext.readOnlyRootFilesystem",
                    f"container {container.get('name', 'container')} can write its own root",
                )


_QUANTITY = re.compile(r"^(\d+(?:\.\d+)?)([a-zA-Z]*)$")
_UNITS = {
    "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40,
}  # fmt: skip


def _quantity(given: object) -> float | None:
    found = _QUANTITY.match(str(given))
    if found is None or found[2] not in _UNITS:
        return None
    return float(found[1]) * _UNITS[found[2]]


def _sized(resource: objects.Resource, stack: stacks.Stack) -> objects.Faults:
    del stack
    for path, name, resources in pods.sized(resource):
        for group, key in (("requests", "cpu"), ("requests", "memory"), ("limits", "memory")):
            given = objects.at(resources, group, key)
            if given is None:
                yield objects.Fault(f"{path}.{group}.{key}", f"{name} has no {group[:-1]} of {key}")
            elif not _quantity(given):
                yield objects.Fault(f"{path}.{group}.{key}", f"`{given}` is no amount of {key}")
        asked = _quantity(objects.at(resources, "requests", "memory"))
        most = _quantity(objects.at(resources, "limits", "memory"))
        if asked and most and asked > most:
            yield objects.Fault(f"{path}.limits.memory", f"{name} asks for more than its limit")


RULES = (
    rule.Rule(
        "restricted-pod",
        "Pods fit Pod Security's `restricted`, and every namespace enforces a standard.",
        "A process that is broken into shall gain nothing by it: no root, no node, no capability.",
        "set `runAsNonRoot`, a seccomp profile, `allowPrivilegeEscalation: false` and drop `ALL` "
        "capabilities; `infra/cluster/workload.py` does all of it",
        one=_restricted,
    ),
    rule.Rule(
        "read-only-root",
        "Containers cannot write their own root.",
        "What cannot be written cannot be replaced by what an attacker brings.",
        "set `readOnlyRootFilesystem: true`, and mount an `emptyDir` where it has to write",
        one=_read_only,
    ),
    rule.Rule(
        "requests-and-limits",
        "Containers ask for CPU and memory, and have a limit of memory.",
        "Without requests the scheduler packs nodes blindly; without a limit one leak takes a node down.",
        "set `resources.requests.cpu`, `.requests.memory` and `.limits.memory` "
        "(no limit of CPU: throttling costs latency)",
        one=_sized,
    ),
)
