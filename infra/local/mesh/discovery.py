"""What the mesh says it has, as Kubernetes' discovery writes it: kopf and kubectl ask for it."""

from typing import Any

from infra import seldon
from infra.local.mesh import policies
from infra.local.mesh.objects import PLURALS
from runtimes.bandit import declaration

JsonObject = dict[str, Any]

_VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]


def seldon_resources() -> JsonObject:
    """List Seldon's kinds."""
    return _resources(
        seldon.API_VERSION,
        [_resource(plural, kind.__name__, _VERBS) for plural, kind in PLURALS.items()],
    )


def policy_resources() -> JsonObject:
    """List our own kind, and its subresource."""
    kind = declaration.KIND
    return _resources(
        policies.API_VERSION,
        [
            _resource(policies.PLURAL, kind, _VERBS),
            _resource(f"{policies.PLURAL}/status", kind, ["get", "patch", "update"]),
        ],
    )


def documents(namespace: str) -> dict[str, JsonObject]:
    """Give what else discovery begins with, by path."""
    space = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": namespace},
        "status": {"phase": "Active"},
    }
    return {
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/api/v1": _resources(
            "v1",
            [
                {
                    **_resource("namespaces", "Namespace", ["get", "list"]),
                    "namespaced": False,
                }
            ],
        ),
        "/api/v1/namespaces": {
            "apiVersion": "v1",
            "kind": "NamespaceList",
            "metadata": {"resourceVersion": "1"},
            "items": [space],
        },
        f"/api/v1/namespaces/{namespace}": space,
        "/apis": {
            "apiVersion": "v1",
            "kind": "APIGroupList",
            "groups": [_group(seldon.API_VERSION), _group(policies.API_VERSION)],
        },
    }


def _group(api_version: str) -> JsonObject:
    group, _, version = api_version.rpartition("/")
    only = {"groupVersion": api_version, "version": version}
    return {"name": group, "versions": [only], "preferredVersion": only}


def _resources(api_version: str, resources: list[JsonObject]) -> JsonObject:
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": api_version,
        "resources": resources,
    }


def _resource(name: str, kind: str, verbs: list[str]) -> JsonObject:
    return {
        "name": name,
        "singularName": kind.lower(),
        "namespaced": True,
        "kind": kind,
        "verbs": verbs,
    }
