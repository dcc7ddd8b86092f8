"""What has to be true of every answer: its status, its arm, its numbers.

The words of a failure are few and fixed, because Locust counts failures by their words.
"""

import json
import math
from typing import Any

from loadtests import endpoints
from runtimes import contract

_OK = 200


class WrongAnswer(Exception):  # noqa: N818  (named as people say it)
    """An answer that a caller could not use."""


def arm(status: int, route: str | None, body: bytes, expected: frozenset[str]) -> str:
    """Return the model that answered a request of one row, after everything was checked.

    `expected` are the models that may answer; empty if they are not known.
    """
    if status != _OK:
        raise WrongAnswer(f"status {status}")
    answered = endpoints.arm(route)
    if answered is None:
        raise WrongAnswer("x-seldon-route names no arm")
    if expected and answered.model not in expected:
        raise WrongAnswer("an arm answered that was not asked")
    try:
        outputs = {output["name"]: output for output in json.loads(body)["outputs"]}
        volatility = _numbers(outputs[contract.VOLATILITY], [1])[0]
        direction = _numbers(outputs[contract.DIRECTION], [1])[0]
        lower, upper = _numbers(outputs[contract.INTERVAL], [1, 2])
    except (ValueError, KeyError, TypeError) as error:
        raise WrongAnswer("the body is no forecast") from error
    if not all(map(math.isfinite, (volatility, direction, lower, upper))):
        raise WrongAnswer("an output is not finite")
    if volatility <= 0:
        raise WrongAnswer("volatility is not positive")
    if not 0 <= direction <= 1:
        raise WrongAnswer("direction is no probability")
    if not 0 < lower < upper:
        raise WrongAnswer("the interval's ends are not in order")
    return answered.model


def _numbers(output: dict[str, Any], shape: list[int]) -> list[float]:
    if output["shape"] != shape or len(output["data"]) != math.prod(shape):
        raise ValueError(output["shape"])
    return [float(value) for value in output["data"]]
