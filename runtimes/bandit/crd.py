"""The custom resource definition of `BanditPolicy`, from the same classes that read one."""

from typing import Any

from runtimes.bandit import declaration


def manifest() -> dict[str, Any]:
    """Write the definition: a structural schema, a status subresource, columns for `kubectl get`."""
    columns = (
        ("Experiment", "string", ".spec.experiment"),
        ("Algorithm", "string", ".spec.algorithm.name"),
        ("Mode", "string", ".spec.mode"),
        ("Epoch", "integer", ".status.epoch"),
        ("Ready", "string", '.status.conditions[?(@.type=="Ready")].reason'),
        ("Age", "date", ".metadata.creationTimestamp"),
    )
    kind = declaration.KIND
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{declaration.PLURAL}.{declaration.GROUP}"},
        "spec": {
            "group": declaration.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": declaration.PLURAL,
                "singular": kind.lower(),
                "shortNames": ["bandit"],
            },
            "versions": [
                {
                    "name": declaration.VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        {"name": name, "type": type_, "jsonPath": path}
                        for name, type_, path in columns
                    ],
                    "schema": {"openAPIV3Schema": declaration.json_schema()},
                }
            ],
        },
    }
