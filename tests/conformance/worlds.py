"""What a test declares in an environment, and how it asks."""

import collections
import json
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

import httpx

from tests.conformance import apply
from tests.conformance.environment import Environment


class World:
    """Declares models and experiments, asks the gateway, and removes what it declared."""

    def __init__(
        self, environment: Environment, applier: apply.Applier, artifacts: dict[str, str]
    ) -> None:
        self.environment = environment
        self.applier = applier
        self.artifacts = artifacts
        self.client = httpx.Client(base_url=environment.gateway_url, timeout=60)
        self._experiments: list[str] = []
        self._models: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for name in self._experiments:
            self.applier.delete("experiments", name)
        for name in self._models:
            self.applier.delete("models", name)
        self.client.close()

    def model(self, name: str, artifact: str = "", **spec: Any) -> apply.Outcome:
        """Declare a model from one of the artifacts (its namesake, if none is said)."""
        self._models.append(name)
        uri = self.artifacts.get(artifact or name, artifact)
        return self.applier.apply(apply.model(name, uri, **spec))

    def serve(self, *names: str) -> None:
        """Declare models, each from its namesake artifact, and see that they are ready."""
        for name in names:
            outcome = self.model(name)
            assert outcome.message.endswith("serves"), outcome

    def experiment(
        self,
        name: str,
        candidates: Iterable[tuple[str, int]],
        default: str | None = None,
        mirror: tuple[str, int] | None = None,
        **spec: Any,
    ) -> apply.Outcome:
        """Declare an experiment."""
        self._experiments.append(name)
        manifest = apply.experiment(name, candidates, default, mirror)
        manifest["spec"] |= spec
        return self.applier.apply(manifest)

    def infer(self, name: str, *values: float, **headers: str) -> httpx.Response:
        """Ask what a header names; `x_seldon_route` is written `x-seldon-route`."""
        named = {"seldon-model": name, **{k.replace("_", "-"): v for k, v in headers.items()}}
        return self.client.post("/v2/models/x/infer", json=body(*values), headers=named)

    def route(self, name: str) -> str:
        """Ask, and say which route answered."""
        response = self.infer(name, 1)
        assert response.status_code == 200, response.text
        found: str = response.headers["x-seldon-route"]
        return found

    def split(self, name: str, count: int) -> collections.Counter[str]:
        """Ask often, and count the models that answered."""
        return collections.Counter(
            self.route(name).strip(":").rsplit("_", 1)[0] for _ in range(count)
        )


def body(*values: float) -> dict[str, Any]:
    """Write an inference request over one FP32 tensor."""
    data = list(values) or [1.0]
    return {"inputs": [{"name": "INPUT", "shape": [len(data)], "datatype": "FP32", "data": data}]}


def values(response: httpx.Response) -> list[float]:
    """Read the one tensor of an answer."""
    assert response.status_code == 200, response.text
    found: list[float] = json.loads(response.text)["outputs"][0]["data"]
    return found
