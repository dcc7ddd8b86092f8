"""Copies of what answers, and budgets that keep some of them through maintenance."""

import collections.abc

from policies import objects, pods, rule, stacks

_LEAST = 2


def _replicas(resource: objects.Resource, stack: stacks.Stack) -> objects.Faults:
    del stack
    for pod in pods.of(resource):
        if pod.replicas is None or pod.alone:
            continue
        if pod.replicas < _LEAST:
            path = pod.path.replace("template.spec", "replicas").replace("podSpec", "replicas")
            yield objects.Fault(
                path if path.endswith("replicas") else "spec.replicas",
                f"{pod.name} has {pod.replicas} replica{'s' * (pod.replicas != 1)}",
            )


def _budgets(
    resources: collections.abc.Sequence[objects.Resource], stack: stacks.Stack
) -> rule.Found:
    del stack
    budgets = [each for each in resources if each.kind == "PodDisruptionBudget"]
    for each in budgets:
        yield from ((each, fault) for fault in _blocking(each))
    for resource in resources:
        for pod in pods.of(resource):
            if pod.replicas is None or pod.replicas < _LEAST:
                continue
            if not any(
                budget.namespace == resource.namespace and _selects(budget, pod.labels)
                for budget in budgets
            ):
                yield (
                    resource,
                    objects.Fault(pod.path, f"no disruption budget selects the pods of {pod.name}"),
                )


def _selects(budget: objects.Resource, labels: objects.Values) -> bool:
    wanted = objects.mapping(budget.inputs, "spec", "selector", "matchLabels")
    return bool(wanted) and all(labels.get(key) == value for key, value in wanted.items())


def _blocking(budget: objects.Resource) -> objects.Faults:
    spec = objects.mapping(budget.inputs, "spec")
    if str(spec.get("maxUnavailable")) in {"0", "0%"}:
        yield objects.Fault(
            "spec.maxUnavailable", "the budget lets no pod go: nodes cannot be drained"
        )
    if str(spec.get("minAvailable")) == "100%":
        yield objects.Fault(
            "spec.minAvailable", "the budget lets no pod go: nodes cannot be drained"
        )


RULES = (
    rule.Rule(
        "replicas",
        "What answers requests has at least two replicas.",
        "With one, every update and every drained node is an outage.",
        "set `replicas` to 2 or more (`infra/cluster/sizes.py`); what must be alone says so by the "
        "strategy `Recreate`",
        one=_replicas,
    ),
    rule.Rule(
        "disruption-budget",
        "Pods of which there are several have a disruption budget that lets some of them go.",
        "Without one, an upgrade of the nodes may take all replicas at once; one of zero blocks it.",
        "register `workload.budget(name, pods)`: `maxUnavailable: 1` over the pods' labels",
        whole=_budgets,
    ),
)
