"""One real forecast, asked for as any client would: a symbol's newest data, over HTTP, at the gateway."""

import contextlib
import pathlib
import time
import typing
from collections.abc import Iterator

import httpx
import pydantic

from bellwether import environment
from models import requests, sources
from runtimes import contract

EXPERIMENT = "financial-mab-experiment"


class PredictionError(Exception):
    """No forecast came back; the message says why and what to do."""


class Prediction(pydantic.BaseModel):
    """A forecast, and who made it."""

    symbol: str
    date: str
    """The day that the forecast is made on; its data is the newest that it uses."""
    volatility: float
    """Annualised, over the next five trading days."""
    direction: float
    """Probability that the next close is above this one."""
    interval: tuple[float, float]
    """For `volatility`, at the model's stated level."""
    model: str
    """The arm that answered."""
    route: str
    request_id: str
    milliseconds: float


def newest(
    stack: environment.Stack, symbol: str, data: pathlib.Path | None = None
) -> requests.Request:
    """Read the newest day of `symbol` from `data`, or from the data that the stack is set to.

    Raises:
        sources.DataError: the symbol is unknown (the message names the known ones), or bad data.

    """
    return requests.latest(symbol, sources.Source(data or stack.settings().data))


@contextlib.contextmanager
def client(stack: environment.Stack) -> Iterator[httpx.Client]:
    """Give a client of the stack's gateway.

    Raises:
        PredictionError: inside the block, if the gateway does not answer.

    """
    gateway = f"http://127.0.0.1:{stack.settings().ports.gateway}"
    try:
        with httpx.Client(base_url=gateway, timeout=30) as caller:
            yield caller
    except httpx.TransportError as error:
        raise PredictionError(
            f"{gateway} does not answer ({error}): `make up` brings the environment up, "
            "`uv run bellwether status` says what is wrong"
        ) from error


def predict(stack: environment.Stack, request: requests.Request, target: str) -> Prediction:
    """Ask `target` (`<model>` or `<experiment>.experiment`) for a forecast of one day.

    Raises:
        PredictionError: the gateway is away, or refuses; the message says why.

    """
    body = inference_request(request)
    # An experiment is selected by its header alone; in the path it has no suffix.
    name = target.removesuffix(".experiment")
    with client(stack) as caller:
        started = time.perf_counter()
        answer = caller.post(
            f"/v2/models/{name}/infer", json=body, headers={"seldon-model": target}
        )
        elapsed = (time.perf_counter() - started) * 1000
    if answer.is_error:
        raise PredictionError(f"{target} answers {answer.status_code}: {message(answer)}")
    document = answer.json()
    outputs = {output["name"]: output["data"] for output in document["outputs"]}
    route = answer.headers["x-seldon-route"]
    return Prediction(
        symbol=request.symbol,
        date=str(request.date),
        volatility=outputs[contract.VOLATILITY][0],
        direction=outputs[contract.DIRECTION][0],
        interval=(outputs[contract.INTERVAL][0], outputs[contract.INTERVAL][1]),
        model=route.strip(":").rpartition("_")[0],
        route=route,
        request_id=answer.headers["x-request-id"],
        milliseconds=elapsed,
    )


def inference_request(request: requests.Request | requests.Days) -> dict[str, typing.Any]:
    """Write one day of a symbol, or many, as a request of the Open Inference Protocol."""
    return {
        "inputs": [
            _tensor(contract.FEATURES, request.features),
            _tensor(contract.HISTORY, request.history),
        ]
    }


def _tensor(name: str, values: typing.Any) -> dict[str, typing.Any]:
    return {
        "name": name,
        "shape": list(values.shape),
        "datatype": "FP64",
        "data": values.ravel().tolist(),
    }


def message(answer: httpx.Response) -> str:
    """Give the reason that a refusal carries."""
    try:
        return str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:2000] or "no reason is given"
