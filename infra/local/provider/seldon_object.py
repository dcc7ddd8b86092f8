"""Resource type `SeldonObject`: a custom resource in the mesh, at Kubernetes' own paths.

The weights of an experiment that a bandit policy owns are the policy's, not the declaration's:
Pulumi's `ignoreChanges` would keep changed candidates from being deployed as well,
so it is decided here, where it is known whether the candidates are the same.
"""

import typing

import httpx
import pydantic

from infra.local.provider import awaiting, handler, values

_REQUEST_SECONDS = 30.0
_WRITE_ATTEMPTS = 5
_PLURALS = {
    "Model": "models",
    "Experiment": "experiments",
    "Pipeline": "pipelines",
    "Server": "servers",
    "BanditPolicy": "banditpolicies",
}


class SeldonObjectInputs(handler.Inputs):
    """A manifest, and where to apply it."""

    endpoint: str = pydantic.Field(pattern=r"^http://127\.0\.0\.1:\d+$", description="the mesh")
    manifest: dict[str, typing.Any]
    keep_weights: bool = pydantic.Field(
        default=False, description="leave the weights of the same candidates as they are"
    )

    @pydantic.field_validator("manifest")
    @classmethod
    def _has_an_address(cls, manifest: dict[str, typing.Any]) -> dict[str, typing.Any]:
        kind = manifest.get("kind")
        if kind not in _PLURALS:
            message = f"kind {kind!r} is not served here; known: {', '.join(_PLURALS)}"
            raise ValueError(message)
        for key in ("name", "namespace"):
            if not (manifest.get("metadata") or {}).get(key):
                message = f"metadata.{key} is missing"
                raise ValueError(message)
        return manifest

    @property
    def url(self) -> str:
        """The object's own address."""
        metadata = self.manifest["metadata"]
        return (
            f"{self.endpoint}/apis/{self.manifest['apiVersion']}/namespaces/"
            f"{metadata['namespace']}/{_PLURALS[self.manifest['kind']]}/{metadata['name']}"
        )

    @property
    def title(self) -> str:
        """The object's kind and name, for messages."""
        return f"{self.manifest['kind']} {self.manifest['metadata']['name']}"


class SeldonObjectHandler(handler.Handler[SeldonObjectInputs]):
    """Applied by PUT, awaited until `status.conditions` says `Ready`."""

    inputs = SeldonObjectInputs

    def identify(self, wanted: SeldonObjectInputs) -> str:
        """An object is its kind, namespace and name."""
        metadata = wanted.manifest["metadata"]
        return f"{wanted.manifest['kind']}/{metadata['namespace']}/{metadata['name']}"

    def create(self, wanted: SeldonObjectInputs, timeout: float) -> values.Plain:
        """Apply the manifest and wait until the object is ready."""
        for _ in range(_WRITE_ATTEMPTS):
            answer = httpx.put(wanted.url, json=_to_write(wanted), timeout=_REQUEST_SECONDS)
            # The weights' owner may have written them since they were read.
            if answer.status_code != httpx.codes.CONFLICT or not wanted.keep_weights:
                break
        if answer.is_error:
            raise handler.ResourceError(f"{wanted.title} is refused: {_message(answer)}")
        generation = answer.json()["metadata"]["generation"]
        awaiting.until(lambda: _not_ready(wanted, generation), timeout, wanted.title)
        return {}

    def read(self, last: SeldonObjectInputs) -> values.Plain | None:
        """Give the manifest as the mesh has it, in the fields that a declaration can have."""
        try:
            answer = httpx.get(last.url, timeout=_REQUEST_SECONDS)
        except httpx.TransportError:
            return (
                None  # the mesh is away; its own resource says so, and applying again is harmless
            )
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        answer.raise_for_status()
        live = answer.json()
        metadata = {
            key: live["metadata"][key]
            for key in ("name", "namespace", "labels", "annotations")
            if live["metadata"].get(key)
        }
        spec = live["spec"]
        if last.keep_weights and _candidates(spec) == _candidates(last.manifest["spec"]):
            spec = {**spec, "candidates": last.manifest["spec"]["candidates"]}
        return {
            "manifest": {
                "apiVersion": live["apiVersion"],
                "kind": live["kind"],
                "metadata": metadata,
                "spec": spec,
            }
        }

    def update(
        self, old: SeldonObjectInputs, wanted: SeldonObjectInputs, timeout: float
    ) -> values.Plain:
        """Apply the new manifest; under another name, the old object goes once the new one is ready.

        A mesh that moved to another port took its objects along: there is nothing to remove.
        """
        outputs = self.create(wanted, timeout)
        if old.endpoint == wanted.endpoint and old.url != wanted.url:
            self.delete(old, timeout)
        return outputs

    def delete(self, last: SeldonObjectInputs, timeout: float) -> None:
        """Remove it."""
        try:
            answer = httpx.delete(last.url, timeout=_REQUEST_SECONDS)
        except httpx.TransportError as error:
            raise handler.ResourceError(
                f"{last.title} cannot be removed, the mesh does not answer ({error}): "
                "run `bellwether up` to bring it back first"
            ) from error
        if answer.status_code == httpx.codes.NOT_FOUND:
            return
        if answer.is_error:
            raise handler.ResourceError(f"{last.title} is not removed: {_message(answer)}")
        awaiting.until(
            lambda: (
                None
                if httpx.get(last.url, timeout=_REQUEST_SECONDS).status_code
                == httpx.codes.NOT_FOUND
                else "it is still there"
            ),
            timeout,
            f"the removal of {last.title}",
        )


def _candidates(spec: dict[str, typing.Any]) -> set[str]:
    return {each["name"] for each in spec.get("candidates") or []}


def _to_write(wanted: SeldonObjectInputs) -> dict[str, typing.Any]:
    """Give the manifest, with the weights that are there if they are to be kept."""
    if not wanted.keep_weights:
        return wanted.manifest
    answer = httpx.get(wanted.url, timeout=_REQUEST_SECONDS)
    if answer.status_code == httpx.codes.NOT_FOUND:
        return wanted.manifest
    answer.raise_for_status()
    live = answer.json()
    if _candidates(live["spec"]) != _candidates(wanted.manifest["spec"]):
        return wanted.manifest
    version = live["metadata"]["resourceVersion"]
    return {
        **wanted.manifest,
        "metadata": {**wanted.manifest["metadata"], "resourceVersion": version},
        "spec": {**wanted.manifest["spec"], "candidates": live["spec"]["candidates"]},
    }


def _not_ready(wanted: SeldonObjectInputs, generation: int) -> str | None:
    live = httpx.get(wanted.url, timeout=_REQUEST_SECONDS).json()
    status = live.get("status") or {}
    if status.get("observedGeneration", generation) < generation:
        return "it was not looked at yet"
    for condition in status.get("conditions") or []:
        if condition["type"] == "Ready":
            if condition["status"] == "True":
                return None
            return str(condition.get("message") or condition.get("reason") or "no reason is given")
    return "it has no condition `Ready` yet"


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return f"{answer.status_code} {answer.text[:500]}"
