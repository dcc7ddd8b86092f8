"""Names, labels and annotations of every object, after Kubernetes' recommended ones.

https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/
"""

PART_OF = "bellwether"
MANAGED_BY = "pulumi"

NAME = "app.kubernetes.io/name"
COMPONENT = "app.kubernetes.io/component"


def selector(name: str) -> dict[str, str]:
    """Give the labels by which a workload's pods are found; they never change."""
    return {NAME: name, "app.kubernetes.io/part-of": PART_OF}


def of(name: str, component: str, environment: str) -> dict[str, str]:
    """Give the labels of an object: `name` of the workload, `component` of the architecture."""
    return {
        **selector(name),
        COMPONENT: component,
        "app.kubernetes.io/instance": environment,
        "app.kubernetes.io/managed-by": MANAGED_BY,
    }
