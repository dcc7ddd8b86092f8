"""Service accounts, their tokens, and what roles allow."""

import collections.abc

from policies import objects, pods, rule, stacks

USES_API = "bellwether.dev/uses-api"
"""Annotation of a workload: why its pods hold a token of Kubernetes' API."""

_BINDINGS = {"RoleBinding", "ClusterRoleBinding"}


def _own_account(resource: objects.Resource, stack: stacks.Stack) -> objects.Faults:
    del stack
    for pod in pods.of(resource):
        name = pod.spec.get("serviceAccountName") or pod.spec.get("serviceAccount")
        # Seldon's own parts and Strimzi's have accounts that their operators give them.
        if name == "default" or (name is None and not _operators(resource, pod)):
            yield objects.Fault(
                f"{pod.path}.serviceAccountName", "the pod runs under the default service account"
            )


def _operators(resource: objects.Resource, pod: pods.Pod) -> bool:
    return pod.manner == "operated" or resource.group == "mlops.seldon.io"


def _tokens(
    resources: collections.abc.Sequence[objects.Resource], stack: stacks.Stack
) -> rule.Found:
    del stack
    bound = _bound(resources)
    for resource in resources:
        if str(resource.annotations.get(USES_API, "")).strip():
            continue
        for pod in pods.of(resource):
            if _operators(resource, pod) or pod.spec.get("automountServiceAccountToken") is False:
                continue
            account = str(pod.spec.get("serviceAccountName") or "default")
            if (resource.namespace, account) not in bound:
                yield (
                    resource,
                    objects.Fault(
                        f"{pod.path}.automountServiceAccountToken",
                        f"a token is mounted, and service account `{account}` is given no right",
                    ),
                )


def _bound(resources: collections.abc.Iterable[objects.Resource]) -> set[tuple[str, str]]:
    """Name the service accounts that a binding of this stack gives rights."""
    return {
        (str(objects.at(subject, "namespace", default=each.namespace)), str(subject.get("name")))
        for each in resources
        if each.kind in _BINDINGS
        for subject in objects.items(each.inputs, "subjects")
        if objects.at(subject, "kind") == "ServiceAccount"
    }


def _rights(resource: objects.Resource, stack: stacks.Stack) -> objects.Faults:
    del stack
    if not resource.is_object:
        return
    if resource.kind in {"Role", "ClusterRole"}:
        for number, given in enumerate(objects.items(resource.inputs, "rules")):
            for key in ("verbs", "resources", "apiGroups"):
                if "*" in objects.items(given, key):
                    yield objects.Fault(f"rules[{number}].{key}", f"the role allows all {key}")
    if resource.kind in _BINDINGS:
        if objects.at(resource.inputs, "roleRef", "name") == "cluster-admin":
            yield objects.Fault("roleRef.name", "it gives all rights over the cluster")
        for number, subject in enumerate(objects.items(resource.inputs, "subjects")):
            if objects.at(subject, "name") in {"system:anonymous", "system:unauthenticated"}:
                yield objects.Fault(f"subjects[{number}]", "it gives rights to anybody")


RULES = (
    rule.Rule(
        "service-account",
        "A workload has a service account of its own.",
        "Rights given to the default account are rights of everything in the namespace.",
        "set `serviceAccountName` to an account that this workload alone uses",
        one=_own_account,
    ),
    rule.Rule(
        "idle-token",
        "A token of Kubernetes' API is mounted only where a binding gives it rights.",
        "A token that nothing uses is there for whoever breaks in.",
        "set `automountServiceAccountToken: false`; where the pods do call the API, bind a role to "
        f"their account, or say why in the annotation `{USES_API}`",
        whole=_tokens,
    ),
    rule.Rule(
        "named-rights",
        "Roles name their verbs, groups and resources; nobody is bound to `cluster-admin`.",
        "A wildcard also allows what will be installed tomorrow.",
        "list what is used, as `infra/cluster/controller_rights.py` does",
        one=_rights,
    ),
)
