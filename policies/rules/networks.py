"""Network policies: deny by default, and no way that is open to all."""

import collections.abc

from policies import objects, pods, rule, stacks

_METADATA = "169.254."
_DIRECTIONS = (("Ingress", "ingress", "from"), ("Egress", "egress", "to"))


def _deny_by_default(
    resources: collections.abc.Sequence[objects.Resource], stack: stacks.Stack
) -> rule.Found:
    del stack
    denied: dict[str, set[str]] = {}
    for each in resources:
        if each.is_object and each.kind == "NetworkPolicy":
            denied.setdefault(each.namespace, set()).update(_denies(each))
    told: set[str] = set()
    for each in resources:
        if not (pods.of(each) or each.is_release) or each.namespace in told:
            continue
        for direction, *_ in _DIRECTIONS:
            if direction not in denied.get(each.namespace, set()):
                told.add(each.namespace)
                yield (
                    each,
                    objects.Fault(
                        "metadata.namespace",
                        f"namespace `{each.namespace}` has workloads, and nothing denies "
                        f"{direction.lower()} by default",
                    ),
                )


def _denies(policy: objects.Resource) -> set[str]:
    spec = objects.mapping(policy.inputs, "spec")
    selector = objects.mapping(spec, "podSelector")
    if any(selector.get(key) for key in ("matchLabels", "matchExpressions")):
        return set()
    return {
        direction
        for direction, rules, _ in _DIRECTIONS
        if direction in objects.items(spec, "policyTypes") and not objects.items(spec, rules)
    }


def _narrow(resource: objects.Resource, stack: stacks.Stack) -> objects.Faults:
    del stack
    if not resource.is_object or resource.kind != "NetworkPolicy":
        return
    spec = objects.mapping(resource.inputs, "spec")
    for direction, rules, peers in _DIRECTIONS:
        for number, each in enumerate(objects.items(spec, rules)):
            path = f"spec.{rules}[{number}]"
            if not objects.items(each, peers):
                yield objects.Fault(path, f"{direction.lower()} is open to everybody")
            elif not objects.items(each, "ports"):
                yield objects.Fault(path, f"{direction.lower()} is open on every port")
            for peer_number, peer in enumerate(objects.items(each, peers)):
                yield from _peer(peer, f"{path}.{peers}[{peer_number}]", direction)


def _peer(peer: objects.Values, path: str, direction: str) -> objects.Faults:
    block = objects.mapping(peer, "ipBlock")
    if not str(block.get("cidr", "")).endswith("/0"):
        return
    if direction == "Ingress":
        yield objects.Fault(path, "ingress is open to every address")
    elif not any(str(each).startswith(_METADATA) for each in objects.items(block, "except")):
        yield objects.Fault(
            path, "it leads to the nodes' metadata service, which hands out credentials"
        )


RULES = (
    rule.Rule(
        "deny-by-default",
        "Every namespace with workloads denies all traffic that no policy allows.",
        "Without it, one pod that is broken into reaches Kafka, Valkey and every model.",
        "register `network.deny_all(namespace)`: an empty `podSelector`, both `policyTypes`, no rules",
        whole=_deny_by_default,
    ),
    rule.Rule(
        "narrow-network-policy",
        "An allowed way names who is at its other end, and on which ports.",
        "A rule without peers or ports undoes the denial for the pods that it selects.",
        "name pods, a namespace or addresses, and ports (`network.Way`); "
        "leave 169.254.0.0/16 out of `0.0.0.0/0`",
        one=_narrow,
    ),
)
