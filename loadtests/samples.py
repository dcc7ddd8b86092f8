"""Real requests to send: days of a symbol, as a caller would ask for their forecasts."""

import collections.abc
import json

import numpy as np
from numpy.typing import NDArray

from loadtests import endpoints
from models import requests, sources
from runtimes import contract

Array = NDArray[np.float64]

SYMBOL = "SPX"
DAYS = 64


def bodies(symbol: str = SYMBOL, days: int = DAYS) -> list[bytes]:
    """Return inference requests of one row each, for the newest days of a symbol."""
    try:
        known = requests.days(symbol, sources.Source(), last=days)
    except sources.DataError as error:
        raise endpoints.LoadTestError(f"no requests to send: {error}") from error
    return [
        _body(features, history)
        for features, history in zip(known.features, known.history, strict=True)
    ]


def _body(features: Array, history: Array) -> bytes:
    tensors = ((contract.FEATURES, features), (contract.HISTORY, history))
    return json.dumps({"inputs": [_tensor(name, values) for name, values in tensors]}).encode()


def _tensor(name: str, values: Array) -> collections.abc.Mapping[str, object]:
    return {
        "name": name,
        "shape": [1, *values.shape],
        "datatype": "FP64",
        "data": values.ravel().tolist(),
    }
