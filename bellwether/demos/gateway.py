"""Models and pipelines, asked through Envoy as any client asks them."""

import collections.abc
import contextlib
import dataclasses
import re
import time
import typing

import httpx
import numpy as np
import numpy.typing as npt

from bellwether import demos

Array = npt.NDArray[np.float64]
Value = Array | list[str]
"""A tensor: numbers in its shape, or texts in row-major order."""

PATIENCE = 15.0
"""Seconds after which an answer that has not come is an error."""

_HOP = re.compile(r":(?P<name>[a-z0-9.-]+?)(?:_\d+|\.pipeline):")


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    outputs: collections.abc.Mapping[str, Value]
    route: tuple[str, ...]
    """The models and the pipeline that `x-seldon-route` names, in order."""
    request_id: str
    came: float
    """Seconds since 1970 when the whole answer was there."""
    seconds: float

    def numbers(self, name: str) -> Array:
        """Give a tensor of numbers.

        Raises:
            DemoError: the answer has none of this name.

        """
        value = self._value(name)
        if isinstance(value, list):
            raise demos.DemoError(f"tensor {name!r} of the answer holds texts, not numbers")
        return value

    def number(self, name: str) -> float:
        """Give the one number of a tensor."""
        return float(self.numbers(name).ravel()[0])

    def text(self, name: str) -> str:
        """Give the first text of a tensor; errors as in `texts`."""
        return self.texts(name)[0]

    def texts(self, name: str) -> list[str]:
        """Give a tensor of texts.

        Raises:
            DemoError: the answer has none of this name.

        """
        value = self._value(name)
        if not isinstance(value, list):
            raise demos.DemoError(f"tensor {name!r} of the answer holds numbers, not texts")
        return value

    def _value(self, name: str) -> Value:
        if name not in self.outputs:
            came = ", ".join(self.outputs) or "no tensor"
            raise demos.DemoError(f"the answer has no tensor {name!r}; it has {came}")
        return self.outputs[name]


class Refused(demos.DemoError):
    """An answer that is an error, with its status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Gateway:
    """A connection to Envoy; safe to use from several threads."""

    def __init__(self, url: str, callers: int = 8) -> None:
        self.url = url
        self._client = httpx.Client(
            base_url=url,
            timeout=PATIENCE,
            limits=httpx.Limits(max_connections=callers, max_keepalive_connections=callers),
        )

    def model(self, name: str, inputs: collections.abc.Mapping[str, Value]) -> Answer:
        """Ask a model.

        Raises:
            Refused: it answers with an error.
            DemoError: nothing answers.

        """
        return self._ask(f"/v2/models/{name}/infer", name, inputs)

    def pipeline(self, name: str, inputs: collections.abc.Mapping[str, Value]) -> Answer:
        """Ask a pipeline; errors as in `model`."""
        return self._ask(f"/v2/pipelines/{name}/infer", f"{name}.pipeline", inputs)

    def experiment(self, name: str, inputs: collections.abc.Mapping[str, Value]) -> Answer:
        """Ask whom an experiment's split chooses; errors as in `model`."""
        return self._ask(f"/v2/models/{name}/infer", f"{name}.experiment", inputs)

    def columns(self, model: str, tensor: str) -> tuple[tuple[str, str], ...]:
        """Give name and unit of each column of a model's input, as its metadata states them.

        Raises:
            DemoError: nothing answers, or the metadata names no columns.

        """
        with self._explained():
            answer = self._client.get(f"/v2/models/{model}", headers={"seldon-model": model})
        _refuse(answer, model)
        for each in answer.json().get("inputs", []):
            stated = each.get("parameters") or {}
            if each["name"] == tensor and "columns" in stated:
                names, units = stated["columns"].split(","), stated["units"].split("; ")
                return tuple(zip(names, units, strict=True))
        raise demos.DemoError(f"the metadata of {model} names no columns of {tensor!r}")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __enter__(self) -> typing.Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, path: str, target: str, inputs: collections.abc.Mapping[str, Value]) -> Answer:
        body = {"inputs": [tensor(name, value) for name, value in inputs.items()]}
        with self._explained():
            began = time.perf_counter()
            answer = self._client.post(path, json=body, headers={"seldon-model": target})
            came, seconds = time.time(), time.perf_counter() - began
        _refuse(answer, target)
        try:
            outputs = {each["name"]: _value(each) for each in answer.json()["outputs"]}
        except (ValueError, KeyError, TypeError) as error:
            raise demos.DemoError(
                f"{target} answers what is no inference response ({error!r}): {answer.text[:200]}"
            ) from error
        return Answer(
            outputs=outputs,
            route=route(answer.headers.get_list("x-seldon-route")),
            request_id=answer.headers.get("x-request-id", ""),
            came=came,
            seconds=seconds,
        )

    @contextlib.contextmanager
    def _explained(self) -> collections.abc.Iterator[None]:
        try:
            yield
        except httpx.TimeoutException as error:
            raise demos.DemoError(
                f"{self.url} gave no answer in {PATIENCE:g} s: "
                "`uv run bellwether status` says what is wrong"
            ) from error
        except httpx.TransportError as error:
            raise demos.DemoError(
                f"{self.url} does not answer ({error}): `make up` brings the environment up, "
                "`uv run bellwether status` says what is wrong"
            ) from error


def tensor(name: str, value: Value) -> dict[str, typing.Any]:
    """Write a tensor of the Open Inference Protocol."""
    if isinstance(value, list):
        return {"name": name, "shape": [len(value)], "datatype": "BYTES", "data": value}
    return {
        "name": name,
        "shape": list(value.shape),
        "datatype": "FP64",
        "data": value.ravel().tolist(),
    }


def route(headers: collections.abc.Sequence[str]) -> tuple[str, ...]:
    """Read what the header lines `x-seldon-route` name, `:<model>_<version>:` or `:<name>.pipeline:`."""
    return tuple(hop["name"] for header in headers for hop in _HOP.finditer(header))


def _value(document: collections.abc.Mapping[str, typing.Any]) -> Value:
    if document["datatype"] == "BYTES":
        return [str(each) for each in document["data"]]
    return np.array(document["data"], dtype=np.float64).reshape(document["shape"])


def _refuse(answer: httpx.Response, target: str) -> None:
    if not answer.is_error:
        return
    try:
        reason = str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        reason = answer.text[:500] or "no reason is given"
    advice = ""
    if answer.status_code in {404, 503}:
        advice = (
            "; `make up` brings up what is declared, `uv run bellwether status` says what is wrong"
        )
    raise Refused(f"{target} answers {answer.status_code}: {reason}{advice}", answer.status_code)
