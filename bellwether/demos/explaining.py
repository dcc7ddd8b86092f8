"""The third demo: why a model forecast what it did, on days of a period, by one of three methods."""

import dataclasses
import typing

import numpy as np
import rich.console
import typer

from bellwether import demos, environment
from models import sources
from runtimes import contract

from . import (
    command,
    documents,
    explained,
    explanation_picture,
    gateway,
    live,
    pace,
    periods,
)

PREDICTOR = "enhanced-predictor"

DAYS_PER_SECOND = {
    documents.Method.SHAP: 1.0,
    documents.Method.LIME: 1.0,
    documents.Method.COUNTERFACTUAL: 0.5,
}
"""So that a person can follow; a day that takes longer is waited for."""


def spread(days: periods.Days, count: int) -> periods.Days:
    """Choose `count` days that are evenly spread over all, the first and the last among them."""
    chosen = np.unique(np.linspace(0, len(days) - 1, min(count, len(days))).round().astype(int))
    inputs = days.inputs
    return dataclasses.replace(
        days,
        inputs=dataclasses.replace(
            inputs,
            date=inputs.date[chosen],
            close=inputs.close[chosen],
            features=inputs.features[chosen],
            history=inputs.history[chosen],
        ),
        log_volatility=days.log_volatility[chosen],
        last_value=days.last_value[chosen],
    )


def collect(
    inquirer: explained.Inquirer,
    days: periods.Days,
    seconds: float,
    screen: live.Screen,
) -> tuple[explained.Explained, ...]:
    """Explain day after day, so that they fill `seconds`; what was not reached is left out."""
    found: list[explained.Explained] = []
    with screen:
        for which in pace.Pace(len(days), seconds).frames():
            found.extend(inquirer.explain(day) for day in range(which.start, which.stop))
            screen.show(lambda: live_table(found, len(days)), lambda: line(found))
    if not found:
        raise demos.DemoError("no day was explained: the duration is over")
    return tuple(found)


def live_table(found: list[explained.Explained], of_days: int) -> rich.console.RenderableType:
    """Make the table that changes while the demo runs: the newest day."""
    day = found[-1]
    rows = [
        ("forecast", f"{day.volatility:.1%} a year"),
        *((name, value) for name, value in _measured(day)),
        ("took", f"{day.document.milliseconds:.1f} ms, the request {day.milliseconds:.1f} ms"),
    ]
    head = command.table(("", day.date), rows, title=f"day {len(found)} of {of_days}")
    return rich.console.Group(head, parts(day))


def _measured(day: explained.Explained) -> typing.Iterator[tuple[str, str]]:
    match day.document:
        case documents.Shap() as shap:
            yield "usual (background)", f"{np.exp(shap.base_value):.1%} a year"
            yield "completeness error", f"{shap.completeness_error:.1e}"
            yield "confidence", f"{shap.confidence:.2f}"
        case documents.Lime() as lime:
            yield "line gives", f"{np.exp(lime.output_of_line):.1%} a year"
            yield "fidelity, R²", f"{lime.r_squared:.3f}"
        case documents.Counterfactuals():
            confirmed = sum(flip.confirmed for flip in day.flips)
            yield "flips, asked again", f"{confirmed} of {len(day.flips)} confirmed"
    if day.agreement is not None:
        yield "SHAP and LIME agree on", f"{day.agreement * explained.TOP:.0f} of {explained.TOP}"


def parts(day: explained.Explained) -> rich.console.RenderableType:
    """Make the table of a day's largest parts, or of its counterfactuals."""
    match day.document:
        case documents.Shap() as shap:
            return command.table(
                ("feature", "value", "unit", "contribution", "effect on volatility"),
                [
                    (
                        each.feature,
                        f"{each.value:.4g}",
                        each.unit,
                        f"{each.contribution:+.4f}",
                        f"{each.effect_percent:+.1f} %",
                    )
                    for each in shap.attributions[: explained.TOP]
                ],
            )
        case documents.Lime() as lime:
            return command.table(
                ("feature", "value", "unit", "weight of a standard deviation"),
                [
                    (each.feature, f"{each.value:.4g}", each.unit, f"{each.weight:+.4f}")
                    for each in lime.attributions[: explained.TOP]
                ],
            )
        case documents.Counterfactuals():
            return command.table(
                ("wish", "what of today", "from", "to", "unit", "deployed model then"),
                [row for flip in day.flips for row in _flip_rows(flip)],
            )


def _flip_rows(flip: explained.Flip) -> typing.Iterator[tuple[str, ...]]:
    if not flip.found.found:
        yield flip.found.wish, flip.found.reason, "", "", "", "not found"
        return
    outcome = f"{flip.again:.1%}: {'flips' if flip.confirmed else 'does not flip'}"
    for place, change in enumerate(flip.found.chosen):
        yield (
            "" if place else flip.found.wish,
            change.name,
            f"{change.before:.4g}",
            f"{change.after:.4g}",
            change.unit,
            "" if place else outcome,
        )


def line(found: list[explained.Explained]) -> str:
    """Say the newest day in one line."""
    day = found[-1]
    measured = ", ".join(f"{name} {value}" for name, value in _measured(day))
    named = ""
    if not isinstance(day.document, documents.Counterfactuals):
        weights = day.document.weights()
        tops = documents.top(weights, explained.TOP)
        named = f"; {', '.join(f'{name} {weights[name]:+.3f}' for name in tops)}"
    return f"{day.date} forecast {day.volatility:.1%}, {measured}{named}"


def sentences(summary: explained.Summary, of_days: int) -> list[str]:
    """Say in words what came out."""
    median, longest = summary.milliseconds()
    took = (
        f"{len(summary.days)} days of {summary.symbol}, {summary.days[0].date} to "
        f"{summary.days[-1].date}: {summary.model} by {summary.method}; an explanation took "
        f"{median:.1f} ms (median; {longest:.1f} at most)."
    )
    said = [took]
    if len(summary.days) < of_days:
        said.append(f"{of_days - len(summary.days)} more days were not reached in the duration.")
    if summary.method is documents.Method.COUNTERFACTUAL:
        asked, found, confirmed = summary.flips
        said.append(
            f"{asked} counterfactuals were asked for, {found} found; the deployed model, asked "
            f"again with the changed day, flips on {confirmed} of them."
        )
        return said
    names = list(summary.mean_sizes)[: explained.TOP]
    said.append(f"Largest on average: {', '.join(names)}.")
    if summary.largest_gap is not None:
        verdict = "holds" if summary.largest_gap <= explained.ADDITIVE_TOLERANCE else "is broken"
        said.append(
            f"Contributions add up to the output within {summary.largest_gap:.1e}, relatively: "
            f"the limit of {explained.ADDITIVE_TOLERANCE:.0e} {verdict}."
        )
    if summary.r_squared:
        said.append(
            f"Fidelity of the lines, R²: {summary.r_squared[0]:.3f} (median), "
            f"{summary.r_squared[1]:.3f} at the least; a low one means that weights mean little."
        )
    if summary.agreement is not None:
        said.append(
            f"SHAP's and LIME's top five features share {summary.agreement * explained.TOP:.1f} of "
            f"{explained.TOP} on average; by chance {summary.by_chance * explained.TOP:.1f}."
        )
    return said


def main(  # noqa: PLR0913  each is an option of the command
    method: typing.Annotated[
        documents.Method, typer.Option(help="How forecasts are explained.")
    ] = documents.Method.SHAP,
    model: typing.Annotated[str, typer.Option(help="The predictor to explain.")] = PREDICTOR,
    market_conditions: typing.Annotated[
        periods.Market, typer.Option(help="Which stretch of history the days are from.")
    ] = periods.Market.VOLATILE,
    symbol: command.SymbolOption = command.SYMBOL,
    duration: command.DurationOption = command.DURATION,
    picture: command.PictureOption = None,
    stack: command.StackOption = environment.DEFAULT_STACK,
    json_: command.JsonOption = False,
) -> None:
    """Explain a model's forecasts on days of a period, and check what the explanations say."""
    selected, seconds = environment.Stack(stack), command.seconds(duration)
    path = command.picture_path(selected, picture, f"explainability-{method}")
    whole = periods.days(market_conditions, symbol, sources.Source(selected.settings().data))
    days = spread(whole, max(1, round(seconds * DAYS_PER_SECOND[method])))
    with gateway.Gateway(selected.endpoints().gateway) as asked:
        columns = tuple(name for name, _ in asked.columns(model, contract.FEATURES))
        inquirer = explained.Inquirer(asked, days, model, method)
        screen = live.Screen(f"explainability, {method}", seconds)
        found = collect(inquirer, days, seconds, screen)
    summary = explained.Summary(model, method, symbol, market_conditions, columns, found)
    explanation_picture.draw(summary, whole, path)
    command.say(parts(found[-1]), *sentences(summary, len(days)), f"picture: {path}")
    if json_:
        command.print_document(summary.document() | {"picture": str(path)})
