"""What the tests ask of the Seldon objects: which models there are, and an experiment's weights.

The paths are Kubernetes' own, so the same calls work against the local mesh and an API server.
"""

import collections.abc
import contextlib
import dataclasses
from typing import Any

import httpx

from loadtests import endpoints
from runtimes.bandit import declaration

PATCH_HEADERS = {"content-type": "application/merge-patch+json"}
"""What makes a PATCH a merge: the candidates are replaced, the rest stays."""

PREDICTOR = "bellwether-predictor"
"""What a model that takes a predictor's tensors requires of its server."""

_TIMEOUT = 10.0


@dataclasses.dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment's candidates with their declared weights, in order."""

    name: str
    weights: tuple[tuple[str, int], ...]

    @property
    def arms(self) -> tuple[str, ...]:
        """The candidates' names, in order."""
        return tuple(name for name, _ in self.weights)

    @property
    def shares(self) -> dict[str, float]:
        """The share of the traffic that each candidate is to get."""
        total = sum(weight for _, weight in self.weights)
        return {name: weight / total for name, weight in self.weights}


def predictors(where: endpoints.Endpoints) -> tuple[str, ...]:
    """Return the names of the models that are declared and take a predictor's tensors."""
    document = _get(where, _path(where, "models"))
    return tuple(
        item["metadata"]["name"]
        for item in document["items"]
        if PREDICTOR in (item["spec"].get("requirements") or ())
    )


def experiment(where: endpoints.Endpoints, name: str) -> Experiment:
    """Return an experiment as it is declared now."""
    document = _get(where, experiment_path(where, name))
    candidates = document["spec"]["candidates"]
    return Experiment(name, tuple((each["name"], int(each["weight"])) for each in candidates))


def weights_patch(weights: collections.abc.Iterable[tuple[str, int]]) -> dict[str, Any]:
    """Return the merge patch that gives an experiment these weights: the list as a whole."""
    return {"spec": {"candidates": [{"name": name, "weight": weight} for name, weight in weights]}}


def set_weights(
    where: endpoints.Endpoints, name: str, weights: collections.abc.Iterable[tuple[str, int]]
) -> None:
    """Write an experiment's weights."""
    path = experiment_path(where, name)
    _answered(
        where,
        path,
        lambda client: client.patch(path, json=weights_patch(weights), headers=PATCH_HEADERS),
    )


@contextlib.contextmanager
def left_alone(where: endpoints.Endpoints, name: str) -> collections.abc.Iterator[tuple[str, ...]]:
    """Freeze the bandit policies that own an experiment's weights meanwhile; give their names."""
    path = f"/apis/{declaration.API_VERSION}/namespaces/{where.namespace}/{declaration.PLURAL}"
    with httpx.Client(base_url=where.mesh, timeout=_TIMEOUT) as client:
        listed = client.get(path)
    found = {
        item["metadata"]["name"]: item["spec"].get("mode")
        # An API server that does not have the kind has no policy.
        for item in (listed.json()["items"] if listed.is_success else ())
        if item["spec"]["experiment"] == name and item["spec"].get("mode") != "frozen"
    }

    def write(policy: str, mode: str | None) -> None:
        at, body = f"{path}/{policy}", {"spec": {"mode": mode}}
        _answered(where, at, lambda client: client.patch(at, json=body, headers=PATCH_HEADERS))

    for policy in found:
        write(policy, "frozen")
    try:
        yield tuple(found)
    finally:
        for policy, mode in found.items():
            write(policy, mode)


def experiment_path(where: endpoints.Endpoints, name: str) -> str:
    """Return an experiment's path."""
    return f"{_path(where, 'experiments')}/{name}"


def _path(where: endpoints.Endpoints, plural: str) -> str:
    return f"/apis/mlops.seldon.io/v1alpha1/namespaces/{where.namespace}/{plural}"


def _get(where: endpoints.Endpoints, path: str) -> Any:
    return _answered(where, path, lambda client: client.get(path)).json()


def _answered(
    where: endpoints.Endpoints,
    path: str,
    ask: collections.abc.Callable[[httpx.Client], httpx.Response],
) -> httpx.Response:
    try:
        with httpx.Client(base_url=where.mesh, timeout=_TIMEOUT) as client:
            response = ask(client)
    except httpx.TransportError as error:
        raise endpoints.LoadTestError(
            f"the mesh does not answer at {where.mesh} ({error}): is the environment up? "
            "`bellwether status` tells, `bellwether up` brings it up"
        ) from error
    if not response.is_success:
        raise endpoints.LoadTestError(
            f"{where.mesh}{path} answers {response.status_code}: {response.text[:500]}"
        )
    return response
