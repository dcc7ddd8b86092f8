"""Two ways to apply Seldon objects: the mesh's API, and kubectl on a cluster."""

import json
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import httpx

from infra import seldon
from tests.conformance.environment import Environment, eventually

JsonObject = dict[str, Any]

_PENDING = {"ModelProgressing", "RoutesPending", "PipelineCreating"}


@dataclass(frozen=True)
class Outcome:
    """What became of an object: whether it was taken, and what was said about it."""

    accepted: bool
    message: str


class Applier(Protocol):
    """Applies objects and tells how they fare."""

    def apply(self, resource: JsonObject) -> Outcome:
        """Create or replace an object, and wait until it has been acted on."""

    def delete(self, plural: str, name: str) -> Outcome:
        """Delete an object."""

    def status(self, plural: str, name: str) -> JsonObject:
        """Read an object's status."""

    def names(self, plural: str) -> list[str]:
        """List the objects of a kind."""


class MeshApplier:
    """Applies objects through the mesh's API."""

    def __init__(self, environment: Environment) -> None:
        base = f"{environment.mesh_url}/apis/{seldon.API_VERSION}"
        self._client = httpx.Client(base_url=f"{base}/namespaces/{environment.namespace}")

    def apply(self, resource: JsonObject) -> Outcome:
        plural = seldon.KINDS[resource["kind"]].plural
        name = resource["metadata"]["name"]
        response = self._client.put(f"/{plural}/{name}", json=resource)
        body = response.json()
        if not response.is_success:
            return Outcome(accepted=False, message=body["message"])
        generation = body["metadata"]["generation"]
        ready = eventually(lambda: self._settled(plural, name, generation), f"{name} is settled")
        return Outcome(accepted=True, message=ready["message"])

    def delete(self, plural: str, name: str) -> Outcome:
        response = self._client.delete(f"/{plural}/{name}")
        body = response.json()
        return Outcome(accepted=response.is_success, message=body.get("message", ""))

    def status(self, plural: str, name: str) -> JsonObject:
        response = self._client.get(f"/{plural}/{name}")
        response.raise_for_status()
        status: JsonObject = response.json()["status"]
        return status

    def names(self, plural: str) -> list[str]:
        items = self._client.get(f"/{plural}").raise_for_status().json()["items"]
        return [item["metadata"]["name"] for item in items]

    def _settled(self, plural: str, name: str, generation: int) -> JsonObject | None:
        status = self.status(plural, name)
        ready = condition(status, "Ready")
        if status["observedGeneration"] != generation or ready["reason"] in _PENDING:
            return None
        return ready


class KubectlApplier:
    """Applies objects to the cluster that kubectl points to.

    There every object is taken, and its status says what is wrong with it.
    """

    def __init__(self, environment: Environment) -> None:
        self._namespace = environment.namespace

    def apply(self, resource: JsonObject) -> Outcome:
        plural = seldon.KINDS[resource["kind"]].plural
        name = resource["metadata"]["name"]
        applied = json.loads(
            self._run("apply", "-f", "-", "-o", "json", stdin=json.dumps(resource))
        )
        generation = applied["metadata"]["generation"]

        def settled() -> JsonObject | None:
            status = self.status(plural, name)
            if status.get("observedGeneration") != generation:
                return None
            return condition(status, "Ready")

        ready = eventually(settled, f"{name} is settled", 120, pause=0.5)
        said = ready.get("message") or ready.get("reason") or ""
        incomplete = any(each in said for each in ("no live replica", "models are not available"))
        return Outcome(accepted=ready["status"] == "True" or incomplete, message=said)

    def delete(self, plural: str, name: str) -> Outcome:
        try:
            self._run("delete", plural, name)
        except subprocess.CalledProcessError as error:
            return Outcome(accepted=False, message=error.stderr)
        return Outcome(accepted=True, message="")

    def status(self, plural: str, name: str) -> JsonObject:
        found = json.loads(self._run("get", plural, name, "-o", "json"))
        status: JsonObject = found.get("status", {})
        return status

    def names(self, plural: str) -> list[str]:
        found = json.loads(self._run("get", plural, "-o", "json"))
        return [item["metadata"]["name"] for item in found["items"]]

    def _run(self, *arguments: str, stdin: str = "") -> str:
        command = ["kubectl", "--namespace", self._namespace, *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=True)
        return done.stdout


def condition(status: JsonObject, kind: str) -> JsonObject:
    """Read one condition of a status; one that is not there yet is unknown."""
    for each in status.get("conditions", []):
        if each["type"] == kind:
            found: JsonObject = each
            return found
    return {"type": kind, "status": "Unknown", "reason": "", "message": ""}


def model(name: str, storage_uri: str, **spec: Any) -> JsonObject:
    """Write a model's manifest."""
    return _manifest("Model", name, {"storageUri": storage_uri, **spec})


def experiment(
    name: str,
    candidates: Iterable[tuple[str, int]],
    default: str | None = None,
    mirror: tuple[str, int] | None = None,
    resource_type: str | None = None,
) -> JsonObject:
    """Write an experiment's manifest."""
    listed = [{"name": each, "weight": weight} for each, weight in candidates]
    spec: JsonObject = {"candidates": listed}
    if resource_type is not None:
        spec["resourceType"] = resource_type
    if default is not None:
        spec["default"] = default
    if mirror is not None:
        spec["mirror"] = {"name": mirror[0], "percent": mirror[1]}
    return _manifest("Experiment", name, spec)


def pipeline(name: str, steps: Iterable[JsonObject | str], **spec: Any) -> JsonObject:
    """Write a pipeline's manifest; a step that is only a name is one without inputs."""
    listed = [{"name": each} if isinstance(each, str) else each for each in steps]
    return _manifest("Pipeline", name, {"steps": listed, **spec})


def _manifest(kind: str, name: str, spec: JsonObject) -> JsonObject:
    return {
        "apiVersion": seldon.API_VERSION,
        "kind": kind,
        "metadata": {"name": name},
        "spec": spec,
    }
