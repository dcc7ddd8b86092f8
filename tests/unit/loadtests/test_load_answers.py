import copy
import json
from typing import Any

import pytest
import small_platform

from loadtests.journeys import answers

ROUTE = ":one-predictor_1:"
GOOD = small_platform.forecast("one-predictor")


def check(document: Any = GOOD, status: int = 200, route: str | None = ROUTE) -> str:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return answers.arm(status, route, body, frozenset({"one-predictor", "two-predictor"}))


def changed(output: int, **change: Any) -> dict[str, Any]:
    document = copy.deepcopy(GOOD)
    document["outputs"][output] |= change
    return document


def test_a_good_answer_names_its_arm() -> None:
    assert check() == "one-predictor"


def test_any_arm_is_taken_where_none_is_expected() -> None:
    assert answers.arm(200, ":other_2:", json.dumps(GOOD).encode(), frozenset()) == "other"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"status": 503}, "status 503"),
        ({"route": None}, "names no arm"),
        ({"route": ":three-predictor_1:"}, "was not asked"),
        ({"document": b"<html>"}, "no forecast"),
        ({"document": []}, "no forecast"),
        ({"document": {"outputs": GOOD["outputs"][:2]}}, "no forecast"),
        ({"document": changed(0, shape=[2], data=[0.1, 0.2])}, "no forecast"),
        ({"document": changed(0, data=[])}, "no forecast"),
        ({"document": changed(0, data=[None])}, "no forecast"),
        ({"document": changed(0, data=[float("nan")])}, "not finite"),
        ({"document": changed(0, data=[-0.1])}, "not positive"),
        ({"document": changed(1, data=[1.5])}, "no probability"),
        ({"document": changed(2, data=[0.3, 0.1])}, "not in order"),
    ],
)
def test_an_answer_that_a_caller_could_not_use_is_a_failure(
    given: dict[str, Any], words: str
) -> None:
    with pytest.raises(answers.WrongAnswer, match=words):
        check(**given)
