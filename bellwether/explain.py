"""Why a forecast is what it is: asked for as any client would, at the gateway.

First the forecast, then its explanation: of the same features, and of the very artifact that the
forecast names; the two volatilities have to be the same.
"""

import pathlib
import time
from typing import Any

import httpx
import pydantic
import rich.table

from bellwether import predict
from models import requests
from runtimes import contract

EXPLAINER = "explanations"
"""The model that explains on demand."""

BASELINE = "baseline-predictor"

TOP = 5
"""Features that are printed."""

DRAWN = 10
"""Features that a picture shows one by one."""

TOLERANCE = 1e-6
"""How far the explained volatility may be from the forecast's, relatively."""


class ExplanationError(Exception):
    """No explanation came back; the message says why and what to do."""


class Explanation(pydantic.BaseModel):
    """A forecast and its explanation."""

    symbol: str
    date: str
    """The day that the forecast is made on."""
    method: str
    """What was asked for."""
    model: str
    version: str
    artifact: str
    volatility: float
    """The forecast that is explained, annualised."""
    milliseconds: float
    """From asking for the explanation to its answer."""
    document: dict[str, Any]
    """What the explainer says; its content is by method, see `runtimes/explainer/README.md`."""


def explain(  # noqa: PLR0913  # each is a different thing
    gateway: str,
    request: requests.Request,
    *,
    model: str = BASELINE,
    method: str = "shap",
    target: str | None = None,
    target_volatility: float | None = None,
    seed: int | None = None,
) -> Explanation:
    """Ask `model` for a forecast of one day, and for its explanation.

    `target` and `target_volatility` say what a counterfactual flips.

    Raises:
        ExplanationError: the gateway is away, or refuses, or explains another forecast.

    """
    body = predict.inference_request(request)
    with httpx.Client(base_url=gateway, timeout=60) as client:
        forecast = _infer(client, model, body["inputs"])
        name, version, artifact = forecast[contract.MODEL]
        more = [
            _text(contract.MODEL, artifact),
            _text("method", method),
            *([] if target is None else [_text("target", target)]),
            *(
                []
                if target_volatility is None
                else [_number("target_volatility", target_volatility)]
            ),
            *([] if seed is None else [_number("seed", float(seed))]),
        ]
        started = time.perf_counter()
        answer = _infer(client, EXPLAINER, [*body["inputs"], *more])
        elapsed = (time.perf_counter() - started) * 1000
    (text,) = answer[contract.EXPLANATION]
    document: dict[str, Any] = pydantic.TypeAdapter(dict[str, Any]).validate_json(text)
    volatility = float(forecast[contract.VOLATILITY][0])
    explained = float(document["forecast"][contract.VOLATILITY])
    if abs(explained - volatility) > TOLERANCE * volatility:
        raise ExplanationError(
            f"{name} forecast {volatility:.9g}, what was explained is a forecast of "
            f"{explained:.9g}: the two are not the same model's"
        )
    return Explanation(
        symbol=request.symbol,
        date=str(request.date),
        method=method,
        model=name,
        version=version,
        artifact=artifact,
        volatility=volatility,
        milliseconds=elapsed,
        document=document,
    )


def tables(found: Explanation) -> list[rich.table.Table]:
    """Give what a person reads: the largest parts first, then where they come from."""
    document = found.document
    if "counterfactuals" in document:
        shown = [_counterfactual(each) for each in document["counterfactuals"]]
    elif "importances" in document:
        shown = [_importances(document)]
    elif "r_squared" in document:
        shown = [_weights(document)]
    else:
        shown = [_attributions(document)]
    return [*shown, _origin(found)]


def _attributions(document: dict[str, Any]) -> rich.table.Table:
    table = _table("feature", "value", "unit", "contribution", "effect")
    for each in document["attributions"][:TOP]:
        table.add_row(
            each["feature"],
            f"{each['value']:.4g}",
            each["unit"],
            f"{each['contribution']:+.4f}",
            f"{each['effect_percent']:+.1f} %",
        )
    rest = document["rest"] + sum(each["contribution"] for each in document["attributions"][TOP:])
    table.add_row("all others", "", "", f"{rest:+.4f}", "")
    table.add_section()
    table.add_row("usual", "", "ln(volatility)", f"{document['base_value']:+.4f}", "")
    table.add_row("forecast", "", "ln(volatility)", f"{document['output']:+.4f}", "")
    return table


def _weights(document: dict[str, Any]) -> rich.table.Table:
    table = _table("feature", "value", "unit", "weight of one standard deviation")
    for each in document["attributions"][:TOP]:
        table.add_row(
            each["feature"], f"{each['value']:.4g}", each["unit"], f"{each['weight']:+.4f}"
        )
    return table


def _importances(document: dict[str, Any]) -> rich.table.Table:
    table = _table("feature", "importance", "interval of 95 %")
    for each in document["importances"][:TOP]:
        low, high = each["interval"]
        table.add_row(each["feature"], f"{each['importance']:.4f}", f"{low:.4f} to {high:.4f}")
    return table


def _counterfactual(each: dict[str, Any]) -> rich.table.Table:
    table = _table("feature", "is", "would be", "unit", "why it can change")
    table.title = each["wish"]
    if not each["found"]:
        table.add_row("none was found", "", "", "", each["reason"])
        return table
    table.title += f": found, volatility {each['after']['volatility']:.1%}"
    for change in each["changes"]:
        table.add_row(
            change["feature"],
            f"{change['from']:.4g}",
            f"{change['to']:.4g}",
            change["unit"],
            change["reason"],
        )
    return table


def _origin(found: Explanation) -> rich.table.Table:
    document = found.document
    table = rich.table.Table(show_header=False)
    table.add_row("forecast", f"{found.symbol} on {found.date}: {found.volatility:.2%} a year")
    table.add_row("model", f"{found.model}, version {found.version}")
    table.add_row("artifact", found.artifact)
    table.add_row("method", document["method"])
    if background := document.get("background"):
        days = f"{background['rows']} days, {background['digest'][:19]}…"
        table.add_row("background", days)
    for key, label in (
        ("completeness_error", "completeness error"),
        ("sampling_error", "sampling error"),
        ("confidence", "confidence"),
        ("r_squared", "R² near the day"),
        ("mean_squared_error", "mean squared error"),
    ):
        if key in document:
            table.add_row(label, f"{document[key]:.3g}")
    table.add_row(
        "took", f"{found.milliseconds:.1f} ms ({document['milliseconds']:.1f} ms explaining)"
    )
    return table


def _table(*headings: str) -> rich.table.Table:
    table = rich.table.Table(title_justify="left")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def check_picture(path: pathlib.Path) -> None:
    """Raise ExplanationError if no picture can be written to `path`, before anything is asked."""
    if path.suffix not in {".png", ".svg"}:
        raise ExplanationError(f"{path}: a picture ends in .png or .svg")
    if not path.parent.is_dir():
        raise ExplanationError(f"{path.parent}: is no folder; make it first")


def draw(found: Explanation, path: pathlib.Path) -> None:
    """Draw the explanation into a PNG or SVG file."""
    # It takes half a second to import.
    from matplotlib import figure  # noqa: PLC0415  # only for a picture

    bars = _bars(found)
    page = figure.Figure(figsize=(9, 1.6 + 0.34 * len(bars.labels)), layout="constrained")
    axes = page.subplots()
    places = list(range(len(bars.labels)))[::-1]
    colours = ["#b3001b" if length > 0 else "#1f6fb4" for length in bars.lengths]
    errors = None
    if bars.intervals:
        pairs = zip(bars.lengths, bars.intervals, strict=True)
        sides = [(length - low, high - length) for length, (low, high) in pairs]
        errors = [[max(low, 0.0) for low, _ in sides], [max(high, 0.0) for _, high in sides]]
    axes.barh(places, bars.lengths, left=bars.starts, color=colours, xerr=errors)
    axes.set_yticks(places, bars.labels)
    # A bar that begins elsewhere than at 0 would be cut off at the axes' edge.
    axes.use_sticky_edges = False
    axes.margins(x=0.05, y=0.02)
    for at in bars.marks:
        axes.axvline(at, color="0.4", linewidth=0.8, linestyle=":")
    axes.set_xlabel(bars.axis)
    axes.set_title(
        f"{found.symbol} on {found.date}, {found.model}: {found.volatility:.1%} a year\n"
        f"{found.document['method']}",
        fontsize="medium",
    )
    axes.grid(visible=True, axis="x", alpha=0.25)
    page.savefig(path, dpi=110)


class _Bars(pydantic.BaseModel):
    """What a picture shows, from top to bottom."""

    axis: str
    labels: list[str]
    lengths: list[float]
    starts: list[float]
    intervals: list[tuple[float, float]] = []
    marks: list[float] = []


def _bars(found: Explanation) -> _Bars:
    document = found.document
    if "counterfactuals" in document:
        return _changed(document)
    if "importances" in document:
        parts = document["importances"]
        return _Bars(
            axis="increase of the mean squared error of ln(volatility)",
            labels=[each["feature"] for each in parts],
            lengths=[each["importance"] for each in parts],
            starts=[0.0] * len(parts),
            intervals=[each["interval"] for each in parts],
        )
    if "r_squared" in document:
        parts = document["attributions"]
        return _Bars(
            axis="ln(volatility) by one standard deviation",
            labels=[f"{each['feature']} = {each['value']:.3g}" for each in parts],
            lengths=[each["weight"] for each in parts],
            starts=[0.0] * len(parts),
        )
    return _waterfall(document)


def _waterfall(document: dict[str, Any]) -> _Bars:
    """From what is usual to the forecast, one contribution after the other."""
    parts = document["attributions"][:DRAWN]
    base, output = document["base_value"], document["output"]
    lengths = [each["contribution"] for each in parts]
    lengths.append(output - base - sum(lengths))
    starts = [base + sum(lengths[:at]) for at in range(len(lengths))]
    return _Bars(
        axis=f"ln(volatility), from {base:.3f} (usual) to {output:.3f} (forecast)",
        labels=[f"{each['feature']} = {each['value']:.3g}" for each in parts] + ["all others"],
        lengths=lengths,
        starts=starts,
        marks=[base, output],
    )


def _changed(document: dict[str, Any]) -> _Bars:
    """The largest changes of each wish, against what training observed."""
    ranges = document["may_change"]
    labels: list[str] = []
    lengths: list[float] = []
    for each in document["counterfactuals"]:
        moved = {}
        for change in each.get("changes", []):
            observed = ranges[change["feature"]]
            width = observed["most"] - observed["least"]
            moved[change["feature"]] = (change["to"] - change["from"]) / width if width else 0.0
        largest = sorted(moved, key=lambda name: -abs(moved[name]))[:DRAWN]
        labels += [f"{each['wish']}: {name}" for name in largest]
        lengths += [moved[name] for name in largest]
        if not each["found"]:
            labels.append(f"{each['wish']}: none found")
            lengths.append(0.0)
    return _Bars(
        axis="change, as a share of the range observed in training",
        labels=labels,
        lengths=lengths,
        starts=[0.0] * len(lengths),
    )


def _infer(client: httpx.Client, model: str, inputs: list[dict[str, Any]]) -> dict[str, Any]:
    try:
        answer = client.post(
            f"/v2/models/{model}/infer", json={"inputs": inputs}, headers={"seldon-model": model}
        )
    except httpx.TransportError as error:
        raise ExplanationError(
            f"{client.base_url} does not answer ({error}): `make up` brings the environment up, "
            "`uv run bellwether status` says what is wrong"
        ) from error
    if answer.is_error:
        raise ExplanationError(f"{model} answers {answer.status_code}: {predict.message(answer)}")
    outputs: dict[str, Any] = {
        output["name"]: output["data"] for output in answer.json()["outputs"]
    }
    return outputs


def _text(name: str, value: str) -> dict[str, Any]:
    return {"name": name, "shape": [1], "datatype": "BYTES", "data": [value]}


def _number(name: str, value: float) -> dict[str, Any]:
    return {"name": name, "shape": [1], "datatype": "FP64", "data": [value]}
