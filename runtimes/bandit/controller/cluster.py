"""Experiments and policies at an API server: Kubernetes' own or the mesh, the same calls."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import httpx

from runtimes.bandit import declaration

from .parts import AwayError

EXPERIMENTS = "/apis/mlops.seldon.io/v1alpha1/namespaces/{namespace}/experiments"
POLICIES = f"/apis/{declaration.API_VERSION}/namespaces/{{namespace}}/{declaration.PLURAL}"

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
            verify=str(authority) if authority.exists() else True,
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

    def policies(self) -> list[dict[str, Any]]:
        """Read all policies."""
        items: list[dict[str, Any]] = self._call("GET", self._at(POLICIES)).get("items") or []
        return items

    def write_status(self, name: str, status: Mapping[str, Any]) -> None:
        """Write a policy's status."""
        self._call("PATCH", f"{self._at(POLICIES)}/{name}/status", {"status": dict(status)})

    def _at(self, path: str) -> str:
        return path.format(namespace=self._namespace)

    def _call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        headers = dict(_MERGE_PATCH) if method == "PATCH" else {}
        if self._token.exists():
            headers["authorization"] = f"Bearer {self._token.read_text().strip()}"
        address = str(self._client.base_url)
        try:
            answer = self._client.request(method, path, json=body, headers=headers)
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
