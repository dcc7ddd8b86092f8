"""Pipelines in MLServer: its data plane answers for the steps, its gateway's requests come here."""

import logging
from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import pydantic
from mlserver import MLModel, types
from mlserver.errors import MLServerError, ModelNotFound, ModelNotReady
from mlserver.handlers import DataPlane
from mlserver.parallel.errors import WorkerError

from infra.local.dataflow import wire
from infra.local.dataflow.errors import ModelFailed, NotServed
from infra.local.dataflow.executor import Executor
from infra.local.dataflow.plan import PIPELINE_INPUTS, Plan
from infra.local.dataflow.tensors import Content, Given, Headers, StepRequest, Tensor
from runtimes.contract import step as contract_step

logger = logging.getLogger(__name__)

REQUEST_ID = "x-request-id"
SUFFIX = ".pipeline"

_NOT_ECHOED = ("x-forwarded", "x-envoy", "x-seldon-route", REQUEST_ID)
"""What Envoy adds, what would make a model's caller stick to an arm, and what is said apart."""

_CODES = {400: "InvalidArgument", 404: "NotFound", 422: "FailedPrecondition", 500: "Internal"}
_SERVER_ERROR = 500

_TEXT = {"content_type": contract_step.TEXT.content_type}

# One validation a step, of objects that are validated already: about 2 µs a tensor.
_REQUEST = pydantic.TypeAdapter(types.InferenceRequest)


def own_headers(pairs: Iterable[tuple[str, str]]) -> Headers:
    """Pick the headers that travel along and come back: the caller's own `x-*`."""
    return tuple(
        [
            (name, value)
            for name, value in pairs
            if name.startswith("x-") and not name.startswith(_NOT_ECHOED)
        ]
    )


class Plane(Protocol):
    """MLServer's data plane, as far as it is asked here."""

    async def infer(self, payload: types.InferenceRequest, name: str) -> types.InferenceResponse:
        """Ask a model. Raises `WorkerError`, `ModelNotFound`, `ModelNotReady`."""

    async def model(self, name: str, version: str | None) -> MLModel:
        """Give a model that can answer. Raises `ModelNotFound`, `ModelNotReady`."""

    def around(self, name: str) -> AbstractAsyncContextManager[MLModel]:
        """Do what `infer` does around a call of a model: count, time, tell its errors."""


class Models:
    """Asks models through MLServer's data plane.

    A step of ours is asked inside what the data plane does around a call, but without MLServer's
    objects for tensors: between two of them a tensor stays what it is.
    """

    def __init__(self, plane: Plane) -> None:
        self._plane = plane

    async def __call__(self, version: str, asked: StepRequest) -> Given:
        """Ask one model version. Raises `ModelFailed`, `NotServed`."""
        try:
            model = await self._plane.model(version, None)
            if isinstance(model, contract_step.InProcess):
                return await self._exchange(model, version, asked)
            return await self._infer(version, asked)
        except WorkerError as error:
            if error.status_code >= _SERVER_ERROR:
                logger.exception("%s failed in a pipeline", version)
            raise ModelFailed(_CODES.get(error.status_code, "Unknown"), str(error)) from error
        except (ModelNotFound, ModelNotReady) as error:
            raise NotServed(str(error)) from error

    async def _exchange(
        self, model: contract_step.InProcess, version: str, asked: StepRequest
    ) -> Given:
        async with self._plane.around(version):
            made = await model.exchange(asked, [_passed(each) for each in asked.tensors])
        return Given(
            tuple([_made(each) for each in made]),
            model.identity or None,
            model_name=model.name,
            model_version=model.version or "",
            answered_by=version,
        )

    async def _infer(self, version: str, asked: StepRequest) -> Given:
        headers = dict(asked.headers)
        headers[REQUEST_ID] = asked.id
        request = _REQUEST.validate_python(
            {
                "id": asked.id,
                "parameters": {**(asked.parameters or {}), "headers": headers},
                "inputs": [_input(each) for each in asked.tensors],
            }
        )
        return _given(await self._plane.infer(request, version), version)


class Pipelines:
    """What can be asked of pipelines beside an inference: are they ready, and what are they."""

    def __init__(self, executor: Executor, plane: DataPlane) -> None:
        self.executor = executor
        self._plane = plane

    async def why_not_ready(self, name: str) -> str | None:
        """Say what keeps a pipeline from answering, if anything does."""
        plan = self.executor.pipelines.get(name)
        if plan is None:
            return f"pipeline {name} is not served here"
        for step, choice in zip(plan.steps, plan.choices, strict=True):
            if choice is None:
                return f"pipeline {name}: model {step.name} is not loaded"
            for version in choice.versions:
                if not await self._is_ready(version):
                    return f"pipeline {name}: model version {version} is not ready"
        return None

    async def metadata(self, name: str) -> dict[str, Any] | None:
        """Describe a pipeline as a model is described, and its steps beside."""
        plan = self.executor.pipelines.get(name)
        if plan is None:
            return None
        models = {
            step.name: await self._described(choice.versions[0])
            for step, choice in zip(plan.steps, plan.choices, strict=True)
            if choice is not None
        }
        return {
            "name": name,
            "versions": [plan.version],
            "platform": "pipeline",
            "inputs": _taken(plan, models),
            "outputs": _answered(plan, models),
            "steps": [
                {
                    "name": step.name,
                    "versions": list(choice.versions) if choice is not None else [],
                    "inputs": list(declared.inputs),
                    "triggers": list(declared.triggers),
                }
                for step, declared, choice in zip(
                    plan.steps, plan.pipeline.steps, plan.choices, strict=True
                )
            ],
        }

    async def _is_ready(self, version: str) -> bool:
        try:
            return bool(await self._plane.model_ready(version))
        except MLServerError:
            return False

    async def _described(self, version: str) -> types.MetadataModelResponse | None:
        try:
            return await self._plane.model_metadata(version)
        except MLServerError:
            return None


_Described = Mapping[str, types.MetadataModelResponse | None]


def _taken(plan: Plan, models: _Described) -> list[dict[str, Any]]:
    """Put together what the steps take that read the pipeline's input."""
    found: dict[str, dict[str, Any]] = {}
    for step in plan.steps:
        described = models.get(step.name)
        for source in plan.joins[step.joins[0]].sources:
            if source.topic != PIPELINE_INPUTS or described is None:
                continue
            original = {new: old for old, new in source.names.items()}
            for tensor in described.inputs or []:
                name = original.get(tensor.name, tensor.name)
                if source.tensors is None or name in source.tensors:
                    found.setdefault(name, {**tensor.model_dump(), "name": name})
    return list(found.values())


def _answered(plan: Plan, models: _Described) -> list[dict[str, Any]]:
    """Put together what the steps give that make the answer."""
    found: dict[str, dict[str, Any]] = {}
    if not plan.has_output:
        return []
    for source in plan.joins[-1].sources:
        described = models.get(plan.steps[(source.topic - 1) // 2].name)
        if described is None:
            continue
        for tensor in described.outputs or []:
            if source.tensors is None or tensor.name in source.tensors:
                name = source.names.get(tensor.name, tensor.name)
                found.setdefault(name, {**tensor.model_dump(), "name": name})
    return list(found.values())


def _input(tensor: Tensor) -> dict[str, Any]:
    name, content = tensor
    native = content.native
    if native is None:
        native = content.native = types.TensorData(root=content.data)
    return {
        "name": name,
        "shape": content.shape,
        "datatype": content.datatype,
        "data": native,
        "parameters": content.parameters,
    }


def _passed(tensor: Tensor) -> contract_step.Given:
    name, content = tensor
    value = content.value
    return contract_step.Given(
        name, content.shape, content.datatype, content.data if value is None else value
    )


def _made(made: contract_step.Made) -> Tensor:
    parameters = _TEXT if made.datatype == "BYTES" else None
    return Tensor(
        made.name, Content(made.datatype, made.shape, made.data, parameters, value=made.value)
    )


def _given(response: types.InferenceResponse, version: str) -> Given:
    held = response.parameters
    headers: Headers = ()
    if held is not None and held.headers:
        headers = tuple(
            [
                (name.lower(), str(value))
                for name, value in held.headers.items()
                if name[:2] in {"x-", "X-"}
            ]
        )
    return Given(
        tuple([_output(each) for each in response.outputs]),
        wire.parameters(held),
        headers,
        response.model_name,
        response.model_version or "",
        version,
    )


def _output(given: types.ResponseOutput) -> Tensor:
    native = given.data
    data = getattr(native, "root", native)
    if not isinstance(data, list):
        # An array, or a text alone: MLServer lets a model answer either.
        data = data.tolist() if hasattr(data, "tolist") else [data]
        native = None
    elif native is data:
        native = None
    datatype = given.datatype
    return Tensor(
        given.name,
        Content(
            getattr(datatype, "value", datatype),
            list(given.shape),
            data,
            wire.parameters(given.parameters),
            native,
        ),
    )
