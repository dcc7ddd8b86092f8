"""A pipeline's steps as plain calls in one process: the limit that the pipeline is compared with.

`python -m loadtests.plain_steps REPOSITORY NAMESPACE PIPELINE`, in the serving
environment, loads the very models that the model server serves from `REPOSITORY`, and executes the
pipeline without a server, a gateway, or Kafka for its steps.
It reads one line of JSON at a time, `{"bodies": [inference request, …]}`, calls once for each,
and answers with one line, see `Plain.measure`.
"""

import asyncio
import contextlib
import json
import pathlib
import statistics
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

from infra.local import model_server
from infra.local.dataflow import errors, executor, serving, tensors, wire
from infra.local.mesh import artifacts, dataflow

ARGUMENTS = 4


class _Unmeasured:
    """Where the executor's own counts go: they are the model server's, here nobody reads them."""

    def step_took(self, pipeline: str, step: str, seconds: float) -> None:
        """Leave it: `Plain` times what the models themselves take."""

    def external_ended(self, pipeline: str, code: str, seconds: float) -> None:
        """Leave it."""

    def external_dropped(self, pipeline: str) -> None:
        """Leave it."""


class _Timed:
    """In the data plane's place: calls a model, and remembers how long it took."""

    def __init__(self, models: dict[str, Any]) -> None:
        self._models = models
        self.took: dict[str, list[float]] = {}
        self.sum = 0.0

    async def model(self, name: str, version: str | None) -> Any:
        """Give a model."""
        del version
        found = self._models.get(name)
        if found is None:
            raise errors.NotServed(f"{name} is not in the repository")
        return found

    async def infer(self, payload: Any, name: str) -> Any:
        """Call a model."""
        async with self.around(name) as model:
            return await model.predict(payload)

    @contextlib.asynccontextmanager
    async def around(self, name: str) -> AsyncIterator[Any]:
        """Time a call of a model."""
        began = time.perf_counter()
        yield self._models[name]
        taken = time.perf_counter() - began
        self.took.setdefault(name, []).append(taken)
        self.sum += taken


class Plain:
    """One pipeline over models that were loaded without a server."""

    def __init__(self, models: dict[str, Any], document: dataflow.Document, namespace: str) -> None:
        self._timed = _Timed(models)
        self._executor = executor.Executor(serving.Models(self._timed), namespace, _Unmeasured())
        self._executor.act_on(document)

    async def measure(self, pipeline: str, bodies: list[Any]) -> dict[str, Any]:
        """Call once for each body; give medians in ms.

        Of the whole, of the sum of the steps' own times, and of every step;
        `calls_per_second` is what this one caller gets.
        """
        self._timed.took.clear()
        whole, own = [], []
        for number, body in enumerate(bodies):
            read, parameters = wire.read_rest(json.dumps(body).encode())
            request = tensors.Request(f"plain-{number}", read, parameters)
            self._timed.sum = 0.0
            began = time.perf_counter()
            await self._executor.answer(pipeline, request)
            whole.append(time.perf_counter() - began)
            own.append(self._timed.sum)
        return {
            "whole_ms": statistics.median(whole) * 1e3,
            "steps_sum_ms": statistics.median(own) * 1e3,
            "calls_per_second": len(whole) / sum(whole),
            "steps_ms": {
                name.rpartition("_")[0]: statistics.median(taken) * 1e3
                for name, taken in self._timed.took.items()
            },
        }


async def _load(repository: pathlib.Path, names: set[str]) -> dict[str, Any]:
    models = {}
    for name in sorted(names):
        settings = model_server.model_settings(repository / name / artifacts.SETTINGS_FILE)
        model = settings.implementation(settings)
        await model.load()
        models[name] = model
    return models


async def _serve(repository: pathlib.Path, namespace: str, pipeline: str) -> None:
    text = await asyncio.to_thread(dataflow.path_of(repository).read_text)
    document = dataflow.Document.model_validate_json(text)
    shares = {share.internal_name for model in document.models.values() for share in model}
    plain = Plain(await _load(repository, shares), document, namespace)
    sys.stdout.write("{}\n")
    sys.stdout.flush()
    while line := await asyncio.to_thread(sys.stdin.readline):
        measured = await plain.measure(pipeline, json.loads(line)["bodies"])
        sys.stdout.write(json.dumps(measured) + "\n")
        sys.stdout.flush()


def main(arguments: list[str]) -> int:
    """Load the models, then measure until the input ends."""
    if len(arguments) != ARGUMENTS:
        sys.stderr.write("usage: python -m loadtests.plain_steps "
                         "REPOSITORY NAMESPACE PIPELINE\n")  # fmt: skip
        return 2
    asyncio.run(_serve(pathlib.Path(arguments[1]), arguments[2], arguments[3]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
