"""Labels by which objects are found, and their pods selected."""

from policies import objects, pods, rule, stacks

PREFIX = "app.kubernetes.io"
OF_OBJECTS = ("name", "component", "instance", "part-of", "managed-by")
OF_PODS = ("name", "part-of")


def _labels(resource: objects.Resource, stack: stacks.Stack) -> objects.Faults:
    del stack
    if not resource.is_object:
        return
    if missing := _missing(resource.labels, OF_OBJECTS):
        yield objects.Fault("metadata.labels", f"labels are missing: {missing}")
    for pod in pods.of(resource):
        if pod.manner == "own" and (missing := _missing(pod.labels, OF_PODS)):
            path = f"{pod.path.removesuffix('.spec')}.metadata.labels"
            yield objects.Fault(path, f"labels of its pods are missing: {missing}")


def _missing(labels: objects.Values, wanted: tuple[str, ...]) -> str:
    return ", ".join(f"{PREFIX}/{each}" for each in wanted if not labels.get(f"{PREFIX}/{each}"))


RULES = (
    rule.Rule(
        "labels",
        "Objects carry Kubernetes' recommended labels, and pods the two that select them.",
        "Network policies, budgets, monitors and people find things by them.",
        f"set `{PREFIX}/` {', '.join(OF_OBJECTS)} (`infra/cluster/labels.py`)",
        one=_labels,
    ),
)
