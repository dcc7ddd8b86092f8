import copy
import json
import struct
from typing import Any

import pytest
import small_platform

from loadtests import open_inference
from loadtests.journeys import answers

ROUTE = ":one-predictor_1:"
GOOD = small_platform.forecast("one-predictor")


def check(document: Any = GOOD, status: int = 200, route: str | None = ROUTE) -> str:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    headers = {"x-seldon-route": route} if route else {}
    answer = answers.rest(status, headers, body)
    return answers.forecast(answer, frozenset({"one-predictor", "two-predictor"}))


def changed(output: int, **change: Any) -> dict[str, Any]:
    document = copy.deepcopy(GOOD)
    document["outputs"][output] |= change
    return document


def test_a_good_answer_names_its_arm() -> None:
    assert check() == "one-predictor"


def test_any_arm_is_taken_where_none_is_expected() -> None:
    answer = answers.rest(200, {"x-seldon-route": ":other_2:"}, json.dumps(GOOD).encode())
    assert answers.forecast(answer, frozenset()) == "other"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"status": 503}, "status 503"),
        ({"route": None}, "names no arm"),
        ({"route": ":three-predictor_1:"}, "was not asked"),
        ({"document": b"<html>"}, "no inference answer"),
        ({"document": []}, "no inference answer"),
        ({"document": {"outputs": GOOD["outputs"][:2]}}, "missing or of another shape"),
        ({"document": changed(0, shape=[2], data=[0.1, 0.2])}, "missing or of another shape"),
        ({"document": changed(0, data=[])}, "missing or of another shape"),
        ({"document": changed(0, data=[None])}, "no number"),
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


def read(document: dict[str, Any]) -> answers.Answer:
    return answers.rest(200, {"x-seldon-route": ":reward_1:"}, json.dumps(document).encode())


def test_a_decision_names_the_model_that_forecast() -> None:
    assert answers.decision(read(small_platform.decision())) == "one-predictor"


def test_an_explanation_names_the_model_that_is_explained() -> None:
    assert answers.explanation(read(small_platform.explanation())) == "one-predictor"


def test_an_explanation_that_does_not_add_up_is_a_failure() -> None:
    document = small_platform.explanation()
    text = document["outputs"][0]["data"][0]
    document["outputs"][0]["data"] = [text.replace("0.4", "0.3")]
    with pytest.raises(answers.WrongAnswer, match="do not add up"):
        answers.explanation(read(document))


def test_a_decision_without_its_explanation_is_a_failure() -> None:
    document = small_platform.decision()
    document["outputs"][-1]["data"] = ['{"missing": "the explainer failed"}']
    with pytest.raises(answers.WrongAnswer, match="explanation is missing"):
        answers.decision(read(document))


@pytest.mark.parametrize("count", [0.0, 2.0])
def test_a_reward_that_is_not_acknowledged_is_a_failure(count: float) -> None:
    document = {"outputs": [{"name": "acknowledged", "shape": [1], "data": [count]}]}
    with pytest.raises(answers.WrongAnswer, match="not acknowledged"):
        answers.reward(read(document))


def test_tensors_are_the_same_over_both_protocols() -> None:
    message = open_inference.messages["ModelInferResponse"]()
    message.outputs.add(name="a", datatype="FP64", shape=[2]).contents.fp64_contents.extend([1, 2])
    message.outputs.add(name="b", datatype="BYTES", shape=[1]).contents.bytes_contents.append(b"x")
    written = open_inference.outputs(message)
    raw = open_inference.messages["ModelInferResponse"]()
    raw.outputs.add(name="a", datatype="FP64", shape=[2])
    raw.outputs.add(name="b", datatype="BYTES", shape=[1])
    raw.raw_output_contents.extend([struct.pack("<2d", 1, 2), struct.pack("<I", 1) + b"x"])
    assert open_inference.outputs(raw) == written
    assert written["a"] == open_inference.Output([2], [1.0, 2.0])
    assert written["b"] == open_inference.Output([1], ["x"])
