"""What the bandit's controller may do, and nothing beside it; `tests/cluster` proves both."""

import collections.abc

from infra.catalogue import bandits
from infra.cluster import manifest
from runtimes.bandit import declaration

LEASE = "bandit-controller"
"""The Lease by which one replica leads."""

EXPERIMENTS = tuple(sorted({each.spec.experiment for each in bandits.POLICIES}))
"""Those whose weights a declared policy owns."""


def rules(
    experiments: collections.abc.Sequence[str] = EXPERIMENTS,
) -> tuple[manifest.Manifest, ...]:
    """Write the rules of its Role, with rights to these experiments.

    What is listed, watched or made has no name by which it could be allowed.
    """
    return (
        {
            "apiGroups": ["mlops.seldon.io"],
            "resources": ["experiments"],
            "verbs": ["list", "watch"],
        },
        {
            "apiGroups": ["mlops.seldon.io"],
            "resources": ["experiments"],
            "resourceNames": list(experiments),
            "verbs": ["get", "patch"],
        },
        {
            "apiGroups": [declaration.GROUP],
            "resources": [declaration.PLURAL],
            "verbs": ["list", "watch"],
        },
        {
            "apiGroups": [declaration.GROUP],
            "resources": [f"{declaration.PLURAL}/status"],
            "verbs": ["patch"],
        },
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
        {
            "apiGroups": ["coordination.k8s.io"],
            "resources": ["leases"],
            "resourceNames": [LEASE],
            "verbs": ["get", "update"],
        },
    )
