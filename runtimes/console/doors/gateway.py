"""Predictions and explanations, asked for as any client asks: the inference protocol over HTTP."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from . import http

SECONDS = 30.0


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    id: str
    """The request's `x-request-id`."""
    outputs: Mapping[str, list[Any]]
    """Flat data by tensor."""
    shapes: Mapping[str, tuple[int, ...]]
    route: tuple[str, ...]
    """Model versions that ran, in order; a pipeline's last."""
    milliseconds: float


class Gateway(http.Door):
    """The address for predictions."""

    def __init__(self, url: str) -> None:
        super().__init__("gateway", httpx.AsyncClient(base_url=url, timeout=SECONDS))

    async def infer(self, target: str, inputs: Sequence[Mapping[str, Any]]) -> Answer:
        """Ask `<model>`, `<pipeline>.pipeline` or `<experiment>.experiment`.

        Raises as `http.Door.ask` does.
        """
        name = target.partition(".")[0]
        began = time.perf_counter()
        answer = await self.ask(
            "POST",
            f"/v2/models/{name}/infer",
            json={"inputs": list(inputs)},
            headers={"seldon-model": target},
        )
        elapsed = (time.perf_counter() - began) * 1000
        outputs = answer.json()["outputs"]
        return Answer(
            id=answer.headers.get("x-request-id", ""),
            outputs={each["name"]: each["data"] for each in outputs},
            shapes={each["name"]: tuple(each["shape"]) for each in outputs},
            route=tuple(each.strip(":") for each in answer.headers.get_list("x-seldon-route")),
            milliseconds=elapsed,
        )


def text(name: str, value: str) -> dict[str, Any]:
    """Write a tensor of one text."""
    return {"name": name, "shape": [1], "datatype": "BYTES", "data": [value]}


def number(name: str, value: float) -> dict[str, Any]:
    """Write a tensor of one number."""
    return {"name": name, "shape": [1], "datatype": "FP64", "data": [value]}


def numbers(name: str, shape: Sequence[int], data: Sequence[float]) -> dict[str, Any]:
    """Write a tensor of numbers."""
    return {"name": name, "shape": list(shape), "datatype": "FP64", "data": list(data)}
