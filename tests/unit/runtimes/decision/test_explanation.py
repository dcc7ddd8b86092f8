import json

import pytest

from runtimes.decision import explanation

MODEL = ("robust-predictor", "3", "sha256-aa")
ABOUT = {"name": "robust-predictor", "version": "3", "artifact": "sha256-aa"}


def test_an_explanation_of_the_forecasts_own_model_goes_on_untouched() -> None:
    text = json.dumps({"model": ABOUT, "features": [{"name": "return_1d", "value": 0.1}]})
    assert explanation.checked(text, MODEL) == ("given", text)


@pytest.mark.parametrize("part", ["name", "version", "artifact"])
def test_an_explanation_of_another_model_is_dropped_and_both_are_named(part: str) -> None:
    text = json.dumps({"model": {**ABOUT, part: "another"}})
    outcome, answer = explanation.checked(text, MODEL)
    assert outcome == "of_another_model"
    why = json.loads(answer)["missing"]
    assert "another" in why
    assert all(each in why for each in MODEL)


@pytest.mark.parametrize("text", ["{", "[]", "null", "{}", '{"model": "robust-predictor"}'])
def test_what_does_not_say_what_it_explains_is_not_passed_on(text: str) -> None:
    outcome, answer = explanation.checked(text, MODEL)
    assert outcome == "unreadable"
    assert "explainer's answer" in json.loads(answer)["missing"]


def test_a_missing_explanation_is_named() -> None:
    outcome, answer = explanation.checked(None, MODEL)
    assert outcome == "missing"
    assert json.loads(answer) == {"missing": "the explainer did not answer, or not in time"}
