import json

import httpx
import pytest

from bellwether import decide, predict
from runtimes import contract

EXPLANATION = {
    "method": "exact linear SHAP",
    "completeness_error": 2e-16,
    "attributions": [
        {"feature": "rsi_14d", "value": 42.0, "unit": "0..100", "effect_percent": 7.4}
    ],
}
RULE = {
    "name": "low_quality",
    "of": "confidence",
    "before": 0.7,
    "after": 0.6,
    "reason": "a feature is stale",
}


def answer(**changed):
    values = {
        **{name: [0.5] for name in contract.DECISION_OUTPUTS},
        "prediction_id": ["id-1"],
        "symbol": ["SPX"],
        "date": ["2018-12-31"],
        "interval": [0.1, 0.3],
        "rules": [json.dumps([RULE])],
        "explanation": [json.dumps(EXPLANATION)],
        "quality": [json.dumps({"reason": "all is there"})],
        "regime": ["calm"],
        "model": ["baseline-predictor", "3", "sha256-0"],
        **changed,
    }
    outputs = [{"name": name, "data": data} for name, data in values.items()]
    routes = [":enrichment_1:", ":decision_2:", f":{decide.PIPELINE}.pipeline:"]
    headers = [("x-seldon-route", route) for route in routes]
    return httpx.Response(200, json={"outputs": outputs}, headers=headers)


def text_of(found):
    tables = decide.tables(found)
    return " ".join(str(cell) for t in tables for column in t.columns for cell in column.cells)


def test_a_decision_is_read_with_its_rules_its_reasons_and_the_steps_that_ran():
    found = decide.read(answer(), 3.0)
    assert found.interval == (0.1, 0.3)
    assert found.rules == [RULE]
    assert found.model == ["baseline-predictor", "3", "sha256-0"]
    assert found.steps == ["enrichment_1", "decision_2"]
    shown = text_of(found)
    assert "low_quality" in shown
    assert "+7.4 %" in shown


def test_a_missing_explanation_is_shown_with_its_reason():
    missing = json.dumps({"missing": "the explainer did not answer"})
    assert "the explainer did not answer" in text_of(decide.read(answer(explanation=[missing]), 1))


def test_other_values_for_features_are_read_and_what_is_no_number_is_refused():
    assert decide.values(["rsi_14d=80", "return_1d=-0.01"]) == {"rsi_14d": 80, "return_1d": -0.01}
    for wrong in ("rsi_14d", "rsi_14d=high", "=1", "rsi_14d=nan", "rsi_14d=inf"):
        with pytest.raises(predict.PredictionError, match="expected name=number"):
            decide.values([wrong])
