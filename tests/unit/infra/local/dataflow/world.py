"""Pipelines over models that are plain functions, executed without MLServer."""

import asyncio
import collections
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from infra.local.dataflow import errors
from infra.local.dataflow.executor import Executor
from infra.local.dataflow.journal import Record
from infra.local.dataflow.tensors import Content, Given, Headers, Request, StepRequest, Tensor
from infra.local.mesh import dataflow

Values = dict[str, list[Any]]
Model = Callable[[Values], Values | Awaitable[Values]]

_Result = TypeVar("_Result")


def run(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Run a test's coroutine; what does not end is a failure, not a hang."""
    return asyncio.run(asyncio.wait_for(work, 20))


def tensors(values: Values) -> tuple[Tensor, ...]:
    return tuple(
        Tensor(name, Content("FP64", [len(data)], list(data))) for name, data in values.items()
    )


def values(given: tuple[Tensor, ...]) -> Values:
    return {name: content.data for name, content in given}


def step(name: str, *inputs: str, **more: Any) -> dataflow.Step:
    return dataflow.Step(name=name, inputs=inputs, **more)


def pipeline(
    name: str, *steps: dataflow.Step, output: tuple[str, ...] | None = None, **more: Any
) -> dataflow.Pipeline:
    """A pipeline; `output` are its output's steps, `stepsJoin` and the like come in `more`."""
    kept = {key: more.pop(key) for key in ("input", "version") if key in more}
    answer = dataflow.Output(steps=output, **more) if output is not None else None
    return dataflow.Pipeline(
        **{"name": name, "version": 1, "steps": steps, "output": answer, **kept}
    )


class Measured:
    """Counts what an executor counts."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.external: list[tuple[str, str]] = []
        self.dropped: list[str] = []

    def step_took(self, pipeline: str, step: str, seconds: float) -> None:
        del pipeline, seconds
        self.steps.append(step)

    def external_ended(self, pipeline: str, code: str, seconds: float) -> None:
        del seconds
        self.external.append((pipeline, code))

    def external_dropped(self, pipeline: str) -> None:
        self.dropped.append(pipeline)


class World:
    """An executor, its models, and what happened.

    A model that is given no function answers what it is asked.
    """

    def __init__(
        self,
        *pipelines: dataflow.Pipeline,
        models: dict[str, Model] | None = None,
        shares: dict[str, tuple[dataflow.Share, ...]] | None = None,
        missing: tuple[str, ...] = (),
    ) -> None:
        self.models = models or {}
        self.asked: list[str] = []
        self.requests: list[tuple[str, StepRequest]] = []
        self.routed: collections.Counter[str] = collections.Counter()
        self.records: list[Record] = []
        self.measured = Measured()
        self.executor = Executor(self._infer, "ns", self.measured, self.records.extend)
        self.act_on(*pipelines, shares=shares, missing=missing)

    def act_on(
        self,
        *pipelines: dataflow.Pipeline,
        shares: dict[str, tuple[dataflow.Share, ...]] | None = None,
        missing: tuple[str, ...] = (),
        version: int = 1,
    ) -> None:
        names = {each.name for one in pipelines for each in one.steps} - set(missing)
        known = {
            name: (dataflow.Share(internal_name=f"{name}_{version}", weight=1),) for name in names
        }
        self.executor.act_on(
            dataflow.Document(pipelines=pipelines, models={**known, **(shares or {})})
        )

    async def ask(
        self, name: str, given: Values, *, request_id: str = "r1", headers: Headers = ()
    ) -> Values:
        request = Request(request_id, tensors(given), None, headers)
        answer = await self.executor.answer(name, request)
        return values(answer.message.tensors)

    async def refused(self, name: str, given: Values) -> errors.CallError:
        try:
            answer = await self.ask(name, given)
        except errors.CallError as error:
            return error
        raise AssertionError(f"{name} answered {answer}")

    async def settle(self, until: Callable[[], object]) -> None:
        """Let what runs beside go on until a condition holds."""
        while not until():  # noqa: ASYNC110 - any condition, at each turn of the loop
            await asyncio.sleep(0)

    async def _infer(self, version: str, request: StepRequest) -> Given:
        name = version.rsplit("_", 1)[0]
        self.asked.append(name)
        self.routed[version] += 1
        self.requests.append((name, request))
        model = self.models.get(name)
        result: Any = values(request.tensors)
        if model is not None:
            result = model(result)
            if isinstance(result, Awaitable):
                result = await result
        return Given(tensors(result), None, (), version, "1", version)
