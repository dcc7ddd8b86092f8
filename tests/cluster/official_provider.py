"""How the official Kubernetes provider creates and updates an object, as far as owners of fields go.

Read in pulumi/pulumi-kubernetes, `provider/pkg/await/await.go` (Creation, ssaUpdate,
fixCSAFieldManagers, handleSSAIgnoreFields); docs/adr/0018 says what follows from it.
Pulumi's engine has by then put the state's value of an ignored field in place of the program's.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tests.cluster.api_server import APPLY, Client, Manifest

CREATOR = "pulumi-kubernetes"
"""Who creates, for every object."""
MANAGER = "pulumi-kubernetes-5f2c9a1e"
"""Who updates: a name of the object's own, kept in the state."""

Fields = dict[str, Any]


def create(client: Client, inputs: Manifest) -> Manifest:
    """Create an object: a POST."""
    return client.create(inputs, fieldManager=CREATOR)


def update(
    client: Client,
    inputs: Manifest,
    ignore: Sequence[str],
    meanwhile: Callable[[], object] = lambda: None,
) -> Manifest:
    """Update an object: read, take the creator's fields over, apply without force.

    Args:
        client: who the provider is at the API server.
        inputs: what the engine gives it.
        ignore: `ignore_changes` of the resource.
        meanwhile: what happens between reading and applying.

    """
    live = _taken_over(client, client.get(inputs))
    sent = copy.deepcopy(inputs)
    for path in ignore:
        keys = path.split(".")
        owners = list(_owners(live, keys))
        if owners and MANAGER not in owners:
            _remove(sent, keys)
        else:
            _copy(live, sent, keys)
    meanwhile()
    told = {"fieldManager": MANAGER, "force": "false"}
    return client.call("PATCH", client.path(inputs), sent, APPLY, **told)


def _taken_over(client: Client, live: Manifest) -> Manifest:
    """Make the creator's fields those of the updating manager."""
    entries = live["metadata"]["managedFields"]
    old = [each for each in entries if (each["manager"], each["operation"]) == (CREATOR, "Update")]
    if not old:
        return live
    applied = [each for each in entries if each["manager"] == MANAGER]
    merged = {**old[0], "manager": MANAGER, "operation": "Apply"}
    for each in applied:
        merged["fieldsV1"] = _union(merged["fieldsV1"], each["fieldsV1"])
    kept = [each for each in entries if each not in old and each not in applied]
    version = live["metadata"]["resourceVersion"]
    patch = [
        {"op": "replace", "path": "/metadata/managedFields", "value": [*kept, merged]},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
    ]
    return client.call("PATCH", client.path(live), patch, "application/json-patch+json")


def _union(one: Fields, two: Fields) -> Fields:
    both = {**one, **two}
    return {key: _union(one.get(key, {}), two.get(key, {})) for key in both}


def _owners(live: Manifest, keys: Sequence[str]) -> Iterator[str]:
    for entry in live["metadata"]["managedFields"]:
        fields: Any = entry["fieldsV1"]
        for key in keys:
            fields = fields.get(f"f:{key}") if fields is not None else None
        if fields is not None:
            yield entry["manager"]


def _remove(manifest: Manifest, keys: Sequence[str]) -> None:
    for key in keys[:-1]:
        manifest = manifest.get(key, {})
    manifest.pop(keys[-1], None)


def _copy(live: Manifest, sent: Manifest, keys: Sequence[str]) -> None:
    for key in keys[:-1]:
        live, sent = live.get(key, {}), sent.setdefault(key, {})
    if keys[-1] in live:
        sent[keys[-1]] = live[keys[-1]]
