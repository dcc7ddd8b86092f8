"""What has to be true of every answer: its status, its arm, its numbers.

The words of a failure are few and fixed, because Locust counts failures by their words.
"""

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

from loadtests import endpoints, open_inference
from runtimes import contract

_OK = 200
_SHAP = ("base_value", "output", "attributions", "rest")
_TOLERANCE = 1e-6


class WrongAnswer(Exception):  # noqa: N818  (named as people say it)
    """An answer that a caller could not use."""


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What came back, over either protocol."""

    route: str | None
    request_id: str
    outputs: Mapping[str, open_inference.Output]


def rest(status: int, headers: Mapping[str, str] | None, body: bytes) -> Answer:
    """Read an answer over REST; raises `WrongAnswer`."""
    if status != _OK:
        raise WrongAnswer(f"status {status}")
    given = headers or {}
    try:
        outputs = {
            each["name"]: open_inference.Output(list(each["shape"]), list(each["data"]))
            for each in json.loads(body)["outputs"]
        }
    except (ValueError, KeyError, TypeError) as error:
        raise WrongAnswer("the body is no inference answer") from error
    return Answer(given.get("x-seldon-route"), given.get("x-request-id") or "", outputs)


def forecast(answer: Answer, expected: frozenset[str]) -> str:
    """Return the model that forecast one row, after everything was checked.

    `expected` are the models that may answer; empty if they are not known.
    """
    answered = _arm(answer)
    if expected and answered not in expected:
        raise WrongAnswer("an arm answered that was not asked")
    volatility = _number(answer, contract.VOLATILITY)
    direction = _number(answer, contract.DIRECTION)
    lower, upper = _numbers(answer, contract.INTERVAL, [1, 2])
    if volatility <= 0:
        raise WrongAnswer("volatility is not positive")
    if not 0 <= direction <= 1:
        raise WrongAnswer("direction is no probability")
    if not 0 < lower < upper:
        raise WrongAnswer("the interval's ends are not in order")
    return answered


def decision(answer: Answer) -> str:
    """Return the model that forecast in a pipeline, after forecast and explanation were checked."""
    if _number(answer, contract.PREDICTION) <= 0:
        raise WrongAnswer("the prediction is not positive")
    if not 0 <= _number(answer, contract.CONFIDENCE) <= 1:
        raise WrongAnswer("confidence is no share")
    if "missing" in _document(answer):
        raise WrongAnswer("the explanation is missing")
    name, _, _ = _texts(answer, contract.MODEL, [1, 3])
    return name


def explanation(answer: Answer) -> str:
    """Return the model that is explained, after its attributions were seen to add up."""
    document = _document(answer)
    try:
        base, output, attributions, rest = (document[name] for name in _SHAP)
        total = base + rest + sum(each["contribution"] for each in attributions)
        name = str(document["model"]["name"])
    except (KeyError, TypeError) as error:
        raise WrongAnswer("the explanation has no attributions") from error
    if not abs(total - output) <= _TOLERANCE:
        raise WrongAnswer("the attributions do not add up")
    return name


def reward(answer: Answer) -> str:
    """Return the model that took a reward, after it acknowledged it."""
    if _number(answer, "acknowledged") != 1:
        raise WrongAnswer("the reward is not acknowledged")
    return _arm(answer)


def _arm(answer: Answer) -> str:
    answered = endpoints.arm(answer.route)
    if answered is None:
        raise WrongAnswer("x-seldon-route names no arm")
    return answered.model


def _document(answer: Answer) -> dict[str, Any]:
    (text,) = _texts(answer, contract.EXPLANATION, [1])
    try:
        document = json.loads(text)
    except ValueError as error:
        raise WrongAnswer("the explanation is no JSON") from error
    if not isinstance(document, dict):
        raise WrongAnswer("the explanation is no JSON")
    return document


def _number(answer: Answer, name: str) -> float:
    return _numbers(answer, name, [1])[0]


def _numbers(answer: Answer, name: str, shape: list[int]) -> list[float]:
    try:
        values = [float(value) for value in _values(answer, name, shape)]
    except (ValueError, TypeError) as error:
        raise WrongAnswer("an output is no number") from error
    if not all(map(math.isfinite, values)):
        raise WrongAnswer("an output is not finite")
    return values


def _texts(answer: Answer, name: str, shape: list[int]) -> list[str]:
    return [str(value) for value in _values(answer, name, shape)]


def _values(answer: Answer, name: str, shape: list[int]) -> list[Any]:
    output = answer.outputs.get(name)
    if output is None or output.shape != shape or len(output.data) != math.prod(shape):
        raise WrongAnswer("an output is missing or of another shape")
    return output.data
