"""Real requests to send: days of a symbol, as a caller would ask for their forecasts and reasons."""

import collections.abc
import dataclasses
import json
import pathlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadtests import endpoints, open_inference
from models import requests, sources
from runtimes import contract

Array = NDArray[np.float64]
Tensor = collections.abc.Mapping[str, Any]

SYMBOL = "SPX"
DAYS = 64

VARIED = "rsi_14d"
"""The feature that a pipeline's requests set, each to another value between 30 and 70."""

VARIATIONS = 1024
"""More than the explainer keeps: no explanation comes out of its memory."""


REWARD_METRIC = "load_test"
"""What is rewarded: a load test must not move the traffic of those who ask in earnest."""


@dataclasses.dataclass(frozen=True, slots=True)
class Body:
    """A request's tensors."""

    inputs: tuple[Tensor, ...]

    def rest(self) -> bytes:
        """Write it as REST's body."""
        return json.dumps({"inputs": list(self.inputs)}).encode()

    def grpc(self, model: str) -> bytes:
        """Write it as gRPC's message."""
        return open_inference.request(model, self.inputs)


def forecasts(
    data: pathlib.Path | None = None, symbol: str | None = None, days: int = DAYS
) -> list[Body]:
    """Return requests of one row each for a predictor, for the newest days of a symbol."""
    source = sources.Source(data)
    try:
        known = requests.days(symbol or symbol_of(data), source, last=days)
    except sources.DataError as error:
        raise endpoints.LoadTestError(f"no requests to send: {error}") from error
    return [
        Body(
            tuple(
                _numbers(name, values)
                for name, values in ((contract.FEATURES, features), (contract.HISTORY, history))
            )
        )
        for features, history in zip(known.features, known.history, strict=True)
    ]


def decisions(data: pathlib.Path | None = None) -> list[Body]:
    """Return requests for the prediction pipeline, no two of the same features."""
    symbol = texts(contract.SYMBOL, symbol_of(data))
    values = np.linspace(30.0, 70.0, VARIATIONS)
    # In an order that jumps: neighbours in time are no neighbours in value.
    values = values[np.random.default_rng(0).permutation(VARIATIONS)]
    return [Body((symbol, _numbers(VARIED, np.array(value)))) for value in values]


def explanations(data: pathlib.Path | None = None) -> list[Body]:
    """Return requests for an explanation by SHAP, for the newest days of a symbol."""
    return [Body((*each.inputs, texts("method", "shap"))) for each in forecasts(data)]


def reward(prediction_id: str) -> Body:
    """Return a reward of 0 for a prediction, under a metric that no policy learns from."""
    return Body(
        (
            texts("prediction_id", prediction_id),
            _numbers("value", np.array(0.0)),
            texts("metric", REWARD_METRIC),
        )
    )


def bodies(symbol: str = SYMBOL, days: int = DAYS) -> list[bytes]:
    """Return REST bodies of `forecasts`."""
    return [each.rest() for each in forecasts(None, symbol, days)]


def symbol_of(data: pathlib.Path | None) -> str:
    """Return the symbol whose days are asked for: SPX if it is there."""
    try:
        known = tuple(sources.Source(data).files())
    except sources.DataError as error:
        raise endpoints.LoadTestError(f"no requests to send: {error}") from error
    return SYMBOL if SYMBOL in known else known[0]


def write(path: pathlib.Path, bodies: collections.abc.Iterable[Body]) -> None:
    """Write requests, one a line."""
    path.write_bytes(b"".join(each.rest() + b"\n" for each in bodies))


def read(path: pathlib.Path) -> list[Body]:
    """Read what `write` wrote."""
    return [Body(tuple(json.loads(line)["inputs"])) for line in path.read_text().splitlines()]


def texts(name: str, *values: str) -> Tensor:
    """Return a tensor of texts."""
    return {"name": name, "shape": [len(values)], "datatype": "BYTES", "data": list(values)}


def _numbers(name: str, values: Array) -> Tensor:
    return {
        "name": name,
        "shape": [1, *values.shape],
        "datatype": "FP64",
        "data": values.ravel().tolist(),
    }
