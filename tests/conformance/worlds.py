"""What a test declares in an environment, and how it asks."""

import collections
import json
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self

import httpx

from tests.conformance import apply
from tests.conformance.environment import Environment

Tensors = Mapping[str, Iterable[float]]
"""Values by tensor. Whole numbers make an INT32, others an FP32."""


class World:
    """Declares models, pipelines and experiments, asks the gateway, and removes what it declared."""

    def __init__(
        self, environment: Environment, applier: apply.Applier, artifacts: dict[str, str]
    ) -> None:
        self.environment = environment
        self.applier = applier
        self.artifacts = artifacts
        self.client = httpx.Client(base_url=environment.gateway_url, timeout=60)
        self._declared: dict[tuple[str, str], None] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for wanted in ("experiments", "pipelines", "models"):
            # What was declared last may use what was declared before.
            for plural, name in reversed(self._declared):
                if plural == wanted:
                    self.applier.delete(plural, name)
        self.client.close()

    def model(self, name: str, artifact: str = "", **spec: Any) -> apply.Outcome:
        """Declare a model from one of the artifacts (its namesake, if none is said)."""
        self._declared["models", name] = None
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
        self._declared["experiments", name] = None
        manifest = apply.experiment(name, candidates, default, mirror)
        manifest["spec"] |= spec
        return self.applier.apply(manifest)

    def pipeline(
        self, name: str, steps: Iterable[apply.JsonObject | str], *outputs: str, **spec: Any
    ) -> apply.Outcome:
        """Declare a pipeline; `outputs` are what it answers from."""
        self._declared["pipelines", name] = None
        if outputs:
            spec["output"] = {"steps": list(outputs), **spec.get("output", {})}
        return self.applier.apply(apply.pipeline(name, steps, **spec))

    def remove(self, plural: str, name: str) -> apply.Outcome:
        """Remove an object that was declared."""
        outcome = self.applier.delete(plural, name)
        if outcome.accepted:
            self._declared.pop((plural, name), None)
        return outcome

    def ask(self, name: str, tensors: Tensors, **headers: str) -> httpx.Response:
        """Ask a pipeline with named tensors; `x_lab` is written `x-lab`."""
        named = {
            "seldon-model": f"{name}.pipeline",
            **{k.replace("_", "-"): v for k, v in headers.items()},
        }
        return self.client.post("/v2/models/x/infer", json=request(tensors), headers=named)

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


def request(tensors: Tensors) -> dict[str, Any]:
    """Write an inference request over named tensors of one dimension."""
    inputs = []
    for name, given in tensors.items():
        data = list(given)
        whole = all(isinstance(each, int) for each in data)
        inputs.append(
            {
                "name": name,
                "shape": [len(data)],
                "datatype": "INT32" if whole else "FP32",
                "data": data,
            }
        )
    return {"inputs": inputs}


def tensors(response: httpx.Response) -> list[tuple[str, list[float]]]:
    """Read the tensors of an answer, in order."""
    assert response.status_code == 200, response.text
    return [(each["name"], each["data"]) for each in json.loads(response.text)["outputs"]]


def routes(response: httpx.Response) -> list[str]:
    """Say which models and pipelines an answer came through: their names, without versions."""
    lines = response.headers.get_list("x-seldon-route", split_commas=True)
    return [line.strip(":").rsplit("_", 1)[0] for line in lines]


def body(*values: float) -> dict[str, Any]:
    """Write an inference request over one FP32 tensor."""
    data = list(values) or [1.0]
    return {"inputs": [{"name": "INPUT", "shape": [len(data)], "datatype": "FP32", "data": data}]}


def values(response: httpx.Response) -> list[float]:
    """Read the one tensor of an answer."""
    assert response.status_code == 200, response.text
    found: list[float] = json.loads(response.text)["outputs"][0]["data"]
    return found
