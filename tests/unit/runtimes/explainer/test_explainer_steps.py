"""Both steps inside a real MLServer, beside the predictors that they explain."""

import concurrent.futures
import json
import math
import pathlib
import re
import subprocess

import explainer_process
import httpx
import mlserver_process
import numpy as np
import pytest


@pytest.fixture(scope="module")
def days(folder: pathlib.Path):
    with np.load(folder / "rows.npz") as stored:
        return stored["features"], stored["history"]


def tensor(name, values):
    return {
        "name": name,
        "shape": list(values.shape),
        "datatype": "FP64",
        "data": values.ravel().tolist(),
    }


def text(name, *values, shape=None):
    return {
        "name": name,
        "shape": shape or [len(values)],
        "datatype": "BYTES",
        "data": list(values),
    }


def row(days, at):
    features, history = days
    return [
        tensor("features", features[at : at + 1]),
        tensor("history", history[at : at + 1]),
    ]


def infer(client: httpx.Client, model: str, inputs) -> dict[str, dict]:
    answer = client.post(f"/v2/models/{model}/infer", json={"inputs": inputs})
    assert answer.status_code == 200, answer.text
    return {output["name"]: output for output in answer.json()["outputs"]}


def explained(client, forecast, inputs):
    """What the pipeline does: the forecast's own outputs go on to the explainer."""
    passed = [forecast["model"], forecast["volatility"]]
    (found,) = infer(client, "explainer", [*inputs, *passed])["explanation"]["data"]
    return json.loads(found)


@pytest.mark.parametrize("kind", explainer_process.PREDICTORS)
def test_a_forecast_and_its_explanation_agree_over_the_wire(kind, explaining, days, folders):
    inputs = row(days, 210)
    forecast = infer(explaining, f"{kind}-predictor", inputs)
    found = explained(explaining, forecast, inputs)
    assert found["model"]["artifact"] == pathlib.Path(folders[kind]).name
    assert found["model"]["name"] == f"{kind}-predictor"
    total = found["base_value"] + found["rest"]
    total += sum(each["contribution"] for each in found["attributions"])
    assert math.exp(total) == pytest.approx(forecast["volatility"]["data"][0], rel=1e-6)


def test_the_second_version_s_forecast_is_not_explained_by_the_first(explaining, days):
    inputs = row(days, 211)
    first = infer(explaining, "line-predictor", inputs)
    second = infer(explaining, "line-predictor_2", inputs)
    assert first["model"]["data"][0] == second["model"]["data"][0] == "line-predictor"
    assert first["volatility"]["data"] != second["volatility"]["data"]
    assert "attributions" in explained(explaining, first, inputs)
    refused = explained(explaining, second, inputs)
    assert refused["reason"] == "other_artifact"
    assert refused["model"]["version"] == "2"
    assert "attributions" not in refused
    mixed = {"model": first["model"], "volatility": second["volatility"]}
    assert explained(explaining, mixed, inputs)["reason"] == "mismatch"


def test_another_day_s_features_do_not_explain_a_forecast(explaining, days):
    forecast = infer(explaining, "lstm-predictor", row(days, 212))
    assert explained(explaining, forecast, row(days, 213))["reason"] == "mismatch"


def test_missing_data_reaches_the_explainer_as_null_and_is_named(explaining, days):
    inputs = row(days, 214)
    fallback = {
        "model": text("model", "fallback-predictor", "1", "none", shape=[1, 3]),
        "volatility": tensor("volatility", np.array([0.2])),
    }
    inputs[0]["data"][3] = None
    found = explained(explaining, fallback, inputs)
    assert found["reason"] == "fallback"
    assert found["model"]["name"] == "fallback-predictor"


def test_many_at_once_are_each_explained_by_their_own(explaining, days):
    kinds = [explainer_process.PREDICTORS[at % 5] for at in range(40)]

    def ask(at):
        inputs = row(days, 220 + at)
        forecast = infer(explaining, f"{kinds[at]}-predictor", inputs)
        found = explained(explaining, forecast, inputs)
        return found["output"], forecast["volatility"]["data"][0]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for output, volatility in pool.map(ask, range(len(kinds))):
            assert math.exp(output) == pytest.approx(volatility, rel=1e-9)


def test_a_wrong_tensor_is_a_400_that_names_it(explaining, days):
    inputs = [*row(days, 1), text("model", "a", "b", "c", shape=[1, 3])]
    answer = explaining.post("/v2/models/explainer/infer", json={"inputs": inputs})
    assert answer.status_code == 400
    assert "tensor 'volatility' is missing" in answer.json()["error"]


def test_explanations_on_demand_are_of_the_artifact_that_forecast(explaining, days):
    inputs = row(days, 215)
    forecast = infer(explaining, "trees-predictor", inputs)
    name, _, artifact = forecast["model"]["data"]
    asked = [*inputs, text("model", artifact), text("method", "counterfactual")]
    (document,) = infer(explaining, "explanations", asked)["explanation"]["data"]
    found = json.loads(document)
    assert found["model"] == {"name": name, "artifact": artifact}
    assert found["forecast"]["volatility"] == forecast["volatility"]["data"][0]
    flipped = [each for each in found["counterfactuals"] if each["found"]]
    assert flipped
    for each in flipped:
        changed = row(days, 215)
        changed[0]["data"] = each["features"]
        changed[1]["data"][-len(each["history_last_day"]) :] = each["history_last_day"]
        after = infer(explaining, "trees-predictor", changed)["volatility"]["data"][0]
        border = float(each["wish"].rpartition(" ")[2])
        assert after > border if "above" in each["wish"] else after < border


def test_an_unknown_method_is_a_400_that_names_the_known_ones(explaining, days):
    inputs = [*row(days, 1), text("method", "tea leaves")]
    answer = explaining.post("/v2/models/explanations/infer", json={"inputs": inputs})
    assert answer.status_code == 400
    for word in ("'tea leaves' is unknown", "lime", "counterfactual"):
        assert word in answer.json()["error"]


def test_long_explanations_do_not_hold_up_forecasts(explaining, days):
    """An importance takes hundreds of milliseconds; a forecast beside it does not wait for it."""
    asked = [*row(days, 5), text("model", "transformer"), text("method", "importances")]

    def explain(_):
        (document,) = infer(explaining, "explanations", asked)["explanation"]["data"]
        return json.loads(document)["milliseconds"]

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        slow = [pool.submit(explain, each) for each in range(2)]
        forecasts = 0
        while not slow[0].done():
            infer(explaining, "line-predictor", row(days, 5))
            forecasts += 1
        assert slow[0].result() > 0
        slow[1].result()
    assert forecasts >= 3


def test_metadata_lists_the_tensors_with_what_they_are(explaining):
    inputs = explaining.get("/v2/models/explanations").json()["inputs"]
    by_name = {each["name"]: each for each in inputs}
    assert by_name["features"]["shape"] == [1, 18]
    assert by_name["method"]["parameters"]["required"] == "false"
    assert "lime" in by_name["method"]["parameters"]["description"]


def test_explanations_and_what_is_missing_are_counted(explaining, days):
    def counted(outcome):
        lines = httpx.get(explaining.headers["x-metrics"]).text.splitlines()
        pattern = re.compile(r"bellwether_explanations_total\{(.*)\} (\S+)")
        total = 0.0
        for line in lines:
            match = pattern.fullmatch(line)
            if match and f'outcome="{outcome}"' in match[1] and 'model="explainer"' in match[1]:
                total += float(match[2])
        return total

    before = {outcome: counted(outcome) for outcome in ("made", "cached", "mismatch")}
    inputs = row(days, 216)
    forecast = infer(explaining, "line-predictor", inputs)
    explained(explaining, forecast, inputs)
    explained(explaining, forecast, inputs)
    explained(explaining, forecast, row(days, 217))
    assert {outcome: counted(outcome) - was for outcome, was in before.items()} == {
        "made": 1,
        "cached": 1,
        "mismatch": 1,
    }


def test_the_room_imports_nothing_of_another_but_the_reader_of_artifacts():
    """See docs/adr/0008."""
    program = (
        "import sys, runtimes.explainer.runtime, runtimes.explainer.on_demand; "
        "print(*sorted(name for name in sys.modules "
        "if name.split('.')[0] in {'infra', 'models', 'runtimes'}))"
    )
    finished = subprocess.run(
        [mlserver_process.environment_python("serving"), "-c", program],
        env={"PYTHONPATH": str(mlserver_process.ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    allowed = re.compile(
        r"runtimes(\.contract(\..+)?|\.explainer(\..+)?|\.predictor(\.(artifact|forecast_\w+))?)?"
    )
    assert [name for name in finished.stdout.split() if not allowed.fullmatch(name)] == []
