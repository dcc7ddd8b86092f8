"""The explanation demo against a gateway that serves a line and explains it, on real days."""

import io
import json

import numpy as np
import pytest
import rich.console
import small_gateway

from bellwether import demos
from bellwether.demos import (
    documents,
    explained,
    explaining,
    explanation_picture,
    gateway,
    live,
    periods,
)
from models import features, sources

COLUMNS = tuple(column.name for column in features.FEATURES)
UNITS = tuple(column.unit for column in features.FEATURES)
MODEL = "enhanced-predictor"
SLOPES = np.linspace(0.4, -0.3, len(COLUMNS)) * 0.1
CHANNEL_SLOPE = 0.5
ARTIFACT = "sha256-abc"


class Line:
    """A forecast that is a line in features and in the newest return; its explanation is exact."""

    def __init__(self, whole):
        self.mean = whole.inputs.features.mean(axis=0)
        self.deviation = whole.inputs.features.std(axis=0)
        self.base = -1.2
        self.gap = 0.0
        self.artifact = ARTIFACT
        self.flips = True

    def parts(self, tensors):
        scaled = (tensors["features"][0] - self.mean) / self.deviation
        return np.append(SLOPES * scaled, CHANNEL_SLOPE * tensors["history"][0, -1, 0])

    def output(self, tensors):
        return self.base + self.parts(tensors).sum()

    def forecast(self, tensors):
        return {
            "volatility": np.array([np.exp(self.output(tensors))]),
            "direction": np.array([0.5]),
            "interval": np.array([[0.1, 0.2]]),
            "model": [MODEL, "1", ARTIFACT],
        }, [f":{MODEL}_1:"]

    def explanations(self, tensors):
        assert tensors["model"] == [ARTIFACT]
        document = getattr(self, tensors["method"][0])(tensors) | {
            "model": {"name": MODEL, "artifact": self.artifact},
            "milliseconds": 1.5,
        }
        return {"explanation": [json.dumps(document)]}, [":explanations_1:"]

    def shap(self, tensors):
        parts = self.parts(tensors).tolist()
        names = (*COLUMNS, "history.log_return")
        values = [*tensors["features"][0].tolist(), float(tensors["history"][0, -1, 0])]
        order = sorted(range(len(parts)), key=lambda at: -abs(parts[at]))
        return {
            "method": "tree",
            "base_value": self.base,
            "output": self.output(tensors),
            "attributions": [
                {
                    "feature": names[at],
                    "value": values[at],
                    "unit": "u",
                    "contribution": parts[at] + (self.gap if at == order[0] else 0),
                    "effect_percent": 100 * np.expm1(parts[at]),
                }
                for at in order
            ],
            "rest": 0.0,
            "completeness_error": 0.0,
            "confidence": 0.9,
        }

    def lime(self, tensors):
        order = np.argsort(-np.abs(SLOPES), kind="stable").tolist()
        return {
            "output": self.output(tensors),
            "output_of_line": self.output(tensors) + 0.01,
            "r_squared": 0.93,
            "attributions": [
                {
                    "feature": COLUMNS[at],
                    "value": float(tensors["features"][0, at]),
                    "unit": UNITS[at],
                    "weight": float(SLOPES[at]),
                }
                for at in order
            ],
        }

    def counterfactual(self, tensors):
        before = float(np.exp(self.output(tensors)))
        changed = tensors["features"][0].copy()
        changed[0] += np.log(1.2) / SLOPES[0] * self.deviation[0]
        newest = tensors["history"][0, -1].tolist()
        after = before * 1.2 if self.flips else before * 1.3
        change = {"from": float(tensors["features"][0, 0]), "to": float(changed[0]), "unit": "u"}
        return {
            "counterfactuals": [
                {
                    "wish": f"volatility above {before * 1.2:.6g}",
                    "found": True,
                    "distance": 2.0,
                    "before": {"volatility": before, "direction": 0.5},
                    "after": {"volatility": after, "direction": 0.5},
                    "chosen": [{"what": "return", **change}],
                    "changes": [{"feature": COLUMNS[0], **change}],
                    "features": changed.tolist(),
                    "history_last_day": newest,
                },
                {"wish": "volatility below 0.1", "found": False, "reason": "the past decides it"},
            ]
        }


@pytest.fixture(scope="module")
def whole():
    return periods.days(periods.Market.VOLATILE, "SPX", sources.Source())


@pytest.fixture
def line(whole):
    return Line(whole)


def collected(line, whole, method, count=8, seconds=1.0):
    served = small_gateway.Gateway({MODEL: line.forecast, "explanations": line.explanations})
    days = explaining.spread(whole, count)
    console = rich.console.Console(file=io.StringIO(), width=240)
    with small_gateway.running(served) as url, gateway.Gateway(url) as asked:
        found = explaining.collect(
            explained.Inquirer(asked, days, MODEL, method),
            days,
            seconds,
            live.Screen("explaining", seconds, console),
        )
    summary = explained.Summary(MODEL, method, "SPX", whole.period.market, COLUMNS, found)
    return summary, console.file.getvalue()


def test_days_are_spread_over_the_whole_period(whole):
    days = explaining.spread(whole, 8)
    assert len(days) == 8
    assert days.inputs.date[0] == whole.inputs.date[0]
    assert days.inputs.date[-1] == whole.inputs.date[-1]
    assert len(explaining.spread(whole, 10_000)) == len(whole)


@pytest.mark.parametrize("method", list(documents.Method))
def test_every_method_gives_table_lines_summary_and_picture(line, whole, method, tmp_path):
    summary, printed = collected(line, whole, method)
    assert len(summary.days) == 8
    assert "forecast" in printed
    console = rich.console.Console(file=io.StringIO(), width=200)
    console.print(explaining.live_table(list(summary.days), 8))
    assert COLUMNS[0] in console.file.getvalue() or "return" in console.file.getvalue()
    document = json.loads(json.dumps(summary.document(), allow_nan=False))
    assert document["days"] == 8
    assert document["artifact"] == ARTIFACT
    path = tmp_path / f"{method}.png"
    explanation_picture.draw(summary, whole, path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_contributions_are_added_up_here_and_a_gap_is_named(line, whole):
    summary, _ = collected(line, whole, documents.Method.SHAP)
    assert summary.largest_gap < 1e-12
    assert any("1e-06 holds" in each for each in explaining.sentences(summary, 8))
    line.gap = 0.01
    summary, _ = collected(line, whole, documents.Method.SHAP)
    assert summary.largest_gap > 1e-3
    assert any("1e-06 is broken" in each for each in explaining.sentences(summary, 8))


def test_agreement_is_over_the_features_that_both_methods_name(line, whole):
    summary, _ = collected(line, whole, documents.Method.LIME)
    assert summary.by_chance == pytest.approx(5 / len(COLUMNS))
    for day in summary.days:
        shap = documents.read(
            documents.Method.SHAP,
            json.dumps(
                line.shap(inputs(whole, day.date))
                | {"model": {"name": MODEL, "artifact": ARTIFACT}, "milliseconds": 1.0}
            ),
        )
        ours = set(documents.top(explained.features_only(shap.weights()), 5))
        theirs = set(documents.top(day.document.weights(), 5))
        assert day.agreement == len(ours & theirs) / 5


def inputs(whole, date):
    at = int(np.flatnonzero(whole.inputs.date == np.datetime64(date))[0])
    return {
        "features": whole.inputs.features[at : at + 1],
        "history": whole.inputs.history[at : at + 1],
    }


def test_a_counterfactual_counts_only_if_the_deployed_model_flips(line, whole):
    summary, _ = collected(line, whole, documents.Method.COUNTERFACTUAL)
    assert summary.flips == (16, 8, 8)
    line.flips = False
    summary, _ = collected(line, whole, documents.Method.COUNTERFACTUAL)
    assert summary.flips == (16, 8, 0)


def test_an_explanation_of_another_artifact_stops_the_demo(line, whole):
    line.artifact = "sha256-other"
    with pytest.raises(demos.DemoError, match=r"of artifact sha256-other.*sha256-abc"):
        collected(line, whole, documents.Method.SHAP)


def test_an_explanation_of_another_output_stops_the_demo(line, whole):
    honest = line.shap
    line.shap = lambda tensors: honest(tensors) | {"output": -1.0}
    with pytest.raises(demos.DemoError, match=r"the forecast is"):
        collected(line, whole, documents.Method.SHAP)


def test_what_is_no_explanation_is_named_with_its_place():
    with pytest.raises(demos.DemoError, match=r"no explanation by lime: model"):
        documents.read(documents.Method.LIME, '{"r_squared": 1.0}')
