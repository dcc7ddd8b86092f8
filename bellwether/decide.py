"""A decision, asked for as any client would: a symbol in, everything that a risk officer reads out."""

import json
import math
import time
from collections.abc import Iterable, Mapping
from typing import Any

import httpx
import pydantic
import rich.table

from bellwether import environment, predict
from runtimes import contract

PIPELINE = "financial-prediction-pipeline"


class Decision(pydantic.BaseModel):
    """What the prediction pipeline answers for one symbol; see `contract.DECISION_OUTPUTS`."""

    prediction_id: str
    symbol: str
    date: str
    prediction: float
    """Volatility over the next five trading days, annualised."""
    interval: tuple[float, float]
    direction: float
    confidence: float
    position: float
    rules: list[dict[str, Any]]
    explanation: dict[str, Any]
    drift_score: float
    anomaly_score: float
    quality_score: float
    quality: dict[str, Any]
    regime: str
    model: list[str]
    steps: list[str]
    """The model versions that ran, in order."""
    milliseconds: float


def decide(stack: environment.Stack, symbol: str, base: Mapping[str, float]) -> Decision:
    """Ask the prediction pipeline; `base` replaces features of the store by name.

    Raises:
        PredictionError: the gateway is away, or refuses; the message says why.

    """
    inputs: list[dict[str, Any]] = [
        {"name": contract.SYMBOL, "shape": [1], "datatype": "BYTES", "data": [symbol]}
    ]
    inputs += [
        {"name": name, "shape": [1], "datatype": "FP64", "data": [value]}
        for name, value in base.items()
    ]
    with predict.client(stack) as client:
        started = time.perf_counter()
        answer = client.post(f"/v2/pipelines/{PIPELINE}/infer", json={"inputs": inputs})
        elapsed = (time.perf_counter() - started) * 1000
    if answer.is_error:
        raise predict.PredictionError(
            f"{PIPELINE} answers {answer.status_code}: {predict.message(answer)}"
        )
    return read(answer, elapsed)


def values(given: Iterable[str]) -> dict[str, float]:
    """Read `name=number` pairs; raise `PredictionError` for what is none."""
    found = {}
    for each in given:
        name, equals, text = each.partition("=")
        try:
            found[name.strip()] = float(text)
        except ValueError:
            equals = ""
        if not equals or not name.strip() or not math.isfinite(found[name.strip()]):
            raise predict.PredictionError(
                f"--feature {each!r}: expected name=number with a finite number, such as rsi_14d=80"
            )
    return found


def read(answer: httpx.Response, milliseconds: float) -> Decision:
    """Read an answer of the pipeline."""
    outputs: dict[str, list[Any]] = {
        each["name"]: each["data"] for each in answer.json()["outputs"]
    }
    single = {
        name: outputs[name][0]
        for name in contract.DECISION_OUTPUTS
        if name not in {contract.INTERVAL, contract.MODEL}
    }
    for name in (contract.RULES, contract.EXPLANATION, contract.QUALITY):
        single[name] = json.loads(single[name])
    routes = answer.headers.get_list("x-seldon-route")
    return Decision(
        **single,
        interval=(outputs[contract.INTERVAL][0], outputs[contract.INTERVAL][1]),
        model=outputs[contract.MODEL],
        steps=[route.strip(":") for route in routes if not route.endswith(".pipeline:")],
        milliseconds=milliseconds,
    )


def tables(found: Decision) -> list[rich.table.Table]:
    """Draw a decision for a person: what is decided, then why."""
    decision = rich.table.Table(
        show_header=False, title=f"{found.symbol} on {found.date}", title_justify="left"
    )
    name, version, artifact = found.model
    for row in (
        ("volatility, next 5 days", f"{found.prediction:.1%} a year"),
        ("interval", f"{found.interval[0]:.1%} to {found.interval[1]:.1%}"),
        ("confidence", f"{found.confidence:.1%}"),
        ("position", f"{found.position:.1%} of wealth"),
        ("rises tomorrow", f"{found.direction:.1%}"),
        ("regime", found.regime),
        ("model", f"{name}, version {version}, {artifact[:19]}"),
        ("quality, anomaly, drift", " / ".join(
            f"{score:.2f}" for score in (found.quality_score, found.anomaly_score, found.drift_score)
        )),
        ("data", str(found.quality.get("reason", ""))),
        ("prediction id", found.prediction_id),
        ("took", f"{found.milliseconds:.1f} ms, through {len(found.steps)} steps"),
    ):  # fmt: skip
        decision.add_row(*row)
    return [decision, _rules(found), _explanation(found.explanation)]


def _rules(found: Decision) -> rich.table.Table:
    table = rich.table.Table(title="rules that fired", title_justify="left")
    for heading in ("rule", "of", "before", "after", "because"):
        table.add_column(heading, overflow="fold")
    for rule in found.rules:
        table.add_row(
            rule["name"],
            rule["of"],
            f"{rule['before']:.3f}",
            f"{rule['after']:.3f}",
            rule["reason"],
        )
    if not found.rules:
        table.add_row("none", "", "", "", "")
    return table


def _explanation(explanation: Mapping[str, Any]) -> rich.table.Table:
    if "missing" in explanation:
        table = rich.table.Table(show_header=False, title="explanation", title_justify="left")
        table.add_row("missing", str(explanation["missing"]))
        return table
    table = rich.table.Table(
        title=f"why: {explanation['method']}, sums to the forecast within "
        f"{explanation['completeness_error']:.0e}",
        title_justify="left",
    )
    for heading in ("feature", "value", "unit", "effect on the forecast"):
        table.add_column(heading)
    for each in explanation["attributions"]:
        table.add_row(
            each["feature"],
            f"{each['value']:.4g}",
            each["unit"],
            f"{each['effect_percent']:+.1f} %",
        )
    return table
