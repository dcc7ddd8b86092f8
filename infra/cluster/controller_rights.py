"""What the bandit's controller may do, and nothing beside it; `tests/cluster` proves both."""

from infra.cluster import manifest
from runtimes.bandit import declaration

LEASE = "bandit-controller"
"""The Lease by which one replica leads."""

RULES: tuple[manifest.Manifest, ...] = (
    {
        "apiGroups": ["mlops.seldon.io"],
        "resources": ["experiments"],
        "verbs": ["get", "list", "patch", "watch"],
    },
    {
        "apiGroups": ["mlops.seldon.io"],
        "resources": ["models"],
        "verbs": ["get", "list", "watch"],
    },
    {
        "apiGroups": [declaration.GROUP],
        "resources": [declaration.PLURAL],
        "verbs": ["get", "list", "patch", "watch"],
    },
    {
        "apiGroups": [declaration.GROUP],
        "resources": [f"{declaration.PLURAL}/status"],
        "verbs": ["get", "patch"],
    },
    {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]},
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
    {
        "apiGroups": ["coordination.k8s.io"],
        "resources": ["leases"],
        "resourceNames": [LEASE],
        "verbs": ["get", "patch", "update"],
    },
)
