"""Experiments and policies at an API server: Kubernetes' own or the mesh, the same calls."""

import dataclasses
import pathlib
import ssl
from collections.abc import Mapping
from typing import Any

import httpx

from runtimes.bandit import declaration

from .parts import AwayError

EXPERIMENTS = "/apis/mlops.seldon.io/v1alpha1/namespaces/{namespace}/experiments"
POLICIES = f"/apis/{declaration.API_VERSION}/namespaces/{{namespace}}/{declaration.PLURAL}"

LEASES = "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
FIELD_MANAGER = "bellwether-bandit"
"""Under which name the API server notes what the controller writes."""

_MERGE_PATCH = {"content-type": "application/merge-patch+json"}
_SECONDS = 5.0

Weights = dict[str, int]
"""Weight by arm, in the order of the experiment's candidates."""


class NotFoundError(Exception):
    """There is no such object; the message says which there are."""


class ConflictError(Exception):
    """The object has changed since it was read."""


class RefusedError(Exception):
    """The API server does not take the object as it would be."""


@dataclasses.dataclass(frozen=True)
class Experiment:
    """An experiment's split, and the version of the object that has it."""

    name: str
    weights: Weights
    resource_version: str

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> "Experiment":
        """Read a custom resource."""
        candidates = (body.get("spec") or {}).get("candidates") or []
        return cls(
            body["metadata"]["name"],
            {each["name"]: int(each.get("weight") or 0) for each in candidates},
            body["metadata"]["resourceVersion"],
        )


class Cluster:
    """One namespace of an API server.

    With a `token` in `service_account`, it is sent; it is read anew, because it is renewed there.
    """

    def __init__(self, api: str, namespace: str, service_account: pathlib.Path) -> None:
        self._namespace = namespace
        self._token = service_account / "token"
        authority = service_account / "ca.crt"
        self._client = httpx.Client(
            base_url=api,
            timeout=_SECONDS,
            verify=ssl.create_default_context(cafile=authority if authority.exists() else None),
        )

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def experiment(self, name: str) -> Experiment:
        """Read an experiment."""
        try:
            return Experiment.of(self._call("GET", f"{self._at(EXPERIMENTS)}/{name}"))
        except NotFoundError:
            items = self._call("GET", self._at(EXPERIMENTS)).get("items") or []
            there = ", ".join(sorted(each["metadata"]["name"] for each in items))
            raise NotFoundError(
                f"there is no experiment {name!r} in namespace {self._namespace}, "
                f"there are: {there or 'none'}"
            ) from None

    def write_weights(self, known: Experiment, weights: Weights) -> Experiment:
        """Write all weights of the experiment that was read as `known`.

        Raises:
            ConflictError: somebody else has written it since.

        """
        body = {
            "metadata": {"resourceVersion": known.resource_version},
            "spec": {"candidates": [{"name": k, "weight": v} for k, v in weights.items()]},
        }
        path = f"{self._at(EXPERIMENTS)}/{known.name}"
        return Experiment.of(self._call("PATCH", path, body))

    def write_status(self, name: str, status: Mapping[str, Any]) -> None:
        """Write a policy's status."""
        self._call("PATCH", f"{self._at(POLICIES)}/{name}/status", {"status": dict(status)})

    def lease(self, name: str) -> dict[str, Any]:
        """Read a Lease."""
        return self._call("GET", f"{self._at(LEASES)}/{name}")

    def write_lease(
        self, name: str, known: Mapping[str, Any] | None, spec: Mapping[str, Any]
    ) -> None:
        """Write a Lease that was read as `known`, or make it.

        Raises:
            ConflictError: somebody else has written or made it since.

        """
        metadata = {"name": name} if known is None else known["metadata"]
        body = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": dict(spec),
        }
        if known is None:
            self._call("POST", self._at(LEASES), body)
        else:
            self._call("PUT", f"{self._at(LEASES)}/{name}", body)

    def kinds_served(self) -> None:
        """Ask for experiments and policies.

        Raises:
            NotFoundError: the API server does not know a kind (yet).
            RefusedError: one may not be read.

        """
        for path in (EXPERIMENTS, POLICIES):
            self._call("GET", self._at(path))

    def _at(self, path: str) -> str:
        return path.format(namespace=self._namespace)

    def _call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        headers = dict(_MERGE_PATCH) if method == "PATCH" else {}
        if self._token.exists():
            headers["authorization"] = f"Bearer {self._token.read_text().strip()}"
        address = str(self._client.base_url)
        writer = None if method == "GET" else {"fieldManager": FIELD_MANAGER}
        try:
            answer = self._client.request(method, path, json=body, headers=headers, params=writer)
        except httpx.HTTPError as error:
            raise AwayError("mesh", f"{address} does not answer ({error})") from error
        if answer.is_success:
            read: dict[str, Any] = answer.json()
            return read
        message = _message(answer)
        match answer.status_code:
            case httpx.codes.NOT_FOUND:
                raise NotFoundError(message)
            case httpx.codes.CONFLICT:
                raise ConflictError(message)
            case code if code in {400, 403, 422}:
                raise RefusedError(message)
        raise AwayError("mesh", f"{address} answers {answer.status_code}: {message}")


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:300]
