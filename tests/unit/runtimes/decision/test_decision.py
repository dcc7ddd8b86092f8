"""The decision inside a real MLServer."""

import json
import math
import pathlib
from typing import Any

import pytest
import small_calibration
from steps_process import Server, numbers, texts

from runtimes import contract

DECISION = "runtimes.decision.runtime.Decision"
MODEL = ("robust-predictor", "3", "sha256-aa")

INPUTS = {
    each["name"]: each
    for each in [
        texts("symbol", "SPX"),
        texts("date", "2018-12-26"),
        numbers("quality_score", [1.0]),
        texts("quality", "{}"),
        numbers("anomaly_score", [0.4]),
        numbers("drift_score", [0.2]),
        texts("regime", "calm"),
        numbers("volatility", [0.2]),
        numbers("direction", [0.53]),
        numbers("interval", [[0.15, 0.15 * math.e]]),
        texts("model", *MODEL),
    ]
}
SURE = 1 / (1 + math.exp(-(1.0 + 0.25 + 0.05)))


def tensors(*changed: dict[str, Any], without: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    named = INPUTS | {each["name"]: each for each in changed}
    return [each for name, each in named.items() if name not in without]


def fired(answer: dict[str, Any]) -> list[str]:
    return [rule["name"] for rule in json.loads(answer["rules"][0])]


def test_a_decision_answers_everything_that_the_contract_names_one_row_each(
    server: Server,
) -> None:
    response = server.infer("decision_1", *tensors(), id="a-request").json()
    shapes = {each["name"]: each["shape"] for each in response["outputs"]}
    assert tuple(shapes) == contract.DECISION_OUTPUTS
    assert shapes == {key: [1] for key in contract.DECISION_OUTPUTS} | {
        "interval": [1, 2],
        "model": [1, 3],
    }
    answer = {each["name"]: each["data"] for each in response["outputs"]}
    assert answer["prediction_id"] == ["a-request"]
    assert answer["symbol"] == ["SPX"]
    assert answer["date"] == ["2018-12-26"]
    assert answer["prediction"] == [0.2]
    assert answer["interval"] == [0.15, 0.15 * math.e]
    assert answer["direction"] == [0.53]
    assert answer["confidence"] == pytest.approx([SURE], rel=1e-12)
    assert answer["position"] == pytest.approx([0.5], rel=1e-12)
    assert answer["rules"] == ["[]"]
    assert answer["regime"] == ["calm"]
    assert answer["model"] == list(MODEL)
    assert (answer["anomaly_score"], answer["drift_score"]) == ([0.4], [0.2])
    assert (answer["quality_score"], answer["quality"]) == ([1.0], ["{}"])


def test_a_request_without_an_id_is_given_one_that_the_answer_carries(server: Server) -> None:
    response = server.infer("decision_1", *tensors()).json()
    given = next(each for each in response["outputs"] if each["name"] == "prediction_id")
    assert given["data"] == [response["id"]]


def test_rules_come_with_their_reason_before_and_after(server: Server) -> None:
    answer = server.outputs(
        "decision_1", *tensors(texts("symbol", "WTI"), numbers("anomaly_score", [0.6]))
    )
    unusual, blocked = json.loads(answer["rules"][0])
    assert unusual == {
        "name": "unusual",
        "of": "confidence",
        "reason": "anomaly score 0.6 is above 0.5: less by what it is beyond",
        "before": pytest.approx(SURE),
        "after": pytest.approx(0.9 * SURE),
    }
    assert blocked == {
        "name": "blocked_symbol",
        "of": "position",
        "reason": "WTI is blocked: no position",
        "before": pytest.approx(0.5),
        "after": 0.0,
    }
    assert answer["position"] == [0.0]
    assert answer["confidence"] == [unusual["after"]]


def test_the_fallbacks_word_is_marked_and_worth_half(server: Server) -> None:
    answer = server.outputs(
        "decision_1",
        *tensors(
            texts("fallback", "quality 0.42 is below 0.8"),
            numbers("quality_score", [0.42]),
            numbers("volatility", [0.16]),
            texts("model", "fallback-predictor", "1", "sha256-ff"),
            without=("regime",),
        ),
    )
    assert answer["regime"] == ["fallback"]
    assert answer["confidence"] == [0.55]
    assert answer["position"] == [0.5]
    assert fired(answer) == ["fallback_position"]
    assert "quality 0.42 is below 0.8" in answer["rules"][0]


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("symbol", "enrichment"),
        ("date", "enrichment"),
        ("quality_score", "enrichment"),
        ("quality", "enrichment"),
        ("anomaly_score", "guard"),
        ("drift_score", "guard"),
        ("volatility", "forecast"),
        ("direction", "forecast"),
        ("interval", "forecast"),
        ("model", "forecast"),
    ],
)
def test_what_is_missing_is_named_with_the_step_that_did_not_answer(
    server: Server, name: str, source: str
) -> None:
    reason = server.refusal("decision_1", *tensors(without=(name,)))
    assert f"tensor {name!r} is missing: the step {source!r} did not answer" in reason


def test_without_a_regime_and_without_a_fallback_the_router_is_named(server: Server) -> None:
    assert "the step 'router'" in server.refusal("decision_1", *tensors(without=("regime",)))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (numbers("quality_score", [1.2]), "'quality_score' of the step 'enrichment'"),
        (numbers("anomaly_score", [-0.1]), "'anomaly_score' of the step 'guard'"),
        (numbers("direction", [2.0]), "between 0 and 1, got 2.0"),
        (numbers("volatility", [0.0]), "expected a volatility above 0"),
        (numbers("interval", [[0.3, 0.1]]), "ends that ascend above 0"),
        (texts("regime", "sideways"), "known are volatile, rising, falling, calm"),
        (texts("model", "robust-predictor"), "tensor 'model': expected shape [1, 3]"),
        (numbers("positon", [1.0]), "tensor 'positon' is unknown"),
    ],
)
def test_what_makes_no_sense_is_refused(
    server: Server, changed: dict[str, Any], words: str
) -> None:
    assert words in server.refusal("decision_1", *tensors(changed))


def test_an_explanation_goes_on_only_with_its_own_forecast(server: Server) -> None:
    def explained(**about: str) -> str:
        whole = dict(zip(("name", "version", "artifact"), MODEL, strict=True)) | about
        text = json.dumps({"model": whole, "method": "shap"})
        answer = server.outputs("decision_1", *tensors(texts("explanation", text)))
        found: str = answer["explanation"][0]
        return found

    assert json.loads(explained())["method"] == "shap"
    dropped = json.loads(explained(version="2"))
    assert list(dropped) == ["missing"]
    assert "robust-predictor version 2" in dropped["missing"]
    absent = server.outputs("decision_1", *tensors())["explanation"][0]
    assert json.loads(absent) == {"missing": "the explainer did not answer, or not in time"}


def test_rules_that_fire_are_counted(server: Server) -> None:
    labels = {"model": "decision", "rule": "low_quality"}
    before = server.count("bellwether_decision_rules_total", **labels)
    server.outputs("decision_1", *tensors(numbers("quality_score", [0.95])))
    assert server.count("bellwether_decision_rules_total", **labels) == before + 1


def test_a_blocked_symbol_that_nobody_knows_is_warned_of_and_blocked(server: Server) -> None:
    assert "blocked_symbols names XAU" in server.log.read_text()
    answer = server.outputs("decision_1", *tensors(texts("symbol", "xau")))
    assert fired(answer)[-1] == "blocked_symbol"


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("target_volatility", "0", "above 0"),
        ("target_volatility", "10", "write 0.1 for 10 %"),
        ("largest_position", "-1", "above 0"),
        ("largest_position", "100", "write 1 for all of it"),
        ("minimum_confidence", "50", "between 0 and 1"),
        ("fallback_share", "1.5", "between 0 and 1"),
        ("maximum_anomaly", "nan", "between 0 and 1"),
        ("blocked_symbols", "SPX,,WTI", "empty name"),
        ("largest_positon", "1", "known are target_volatility, largest_position"),
    ],
)
def test_rules_out_of_bounds_are_refused_with_the_remedy(
    server: Server, tmp_path: pathlib.Path, key: str, value: str, words: str
) -> None:
    folder = small_calibration.write(tmp_path)
    refused = server.load("wrong-decision_1", DECISION, folder, **{key: value})
    assert refused.status_code == 422, refused.text
    assert words in refused.json()["error"]


def test_a_decision_without_a_calibration_is_refused(
    server: Server, tmp_path: pathlib.Path
) -> None:
    refused = server.load("empty-decision_1", DECISION, tmp_path)
    assert refused.status_code == 422
    assert "`bellwether train` writes it" in refused.json()["error"]
