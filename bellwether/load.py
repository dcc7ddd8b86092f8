"""`bellwether load`: a load test with its reports, and thresholds that fail it."""

import dataclasses
import json
import pathlib
import sys

import rich.markup
import rich.table

from bellwether import decide, environment, explain, predict, steps
from infra.catalogue import models
from loadtests import (
    baseline,
    comparison,
    course,
    durations,
    endpoints,
    headless,
    itinerary,
    picture,
    plan,
    report,
    summary,
)

USUAL_RATE = 10.0
"""Requests a second of a caller who asks for forecasts."""

_FORMERLY = {"models": itinerary.Journey.MODEL}


class ThresholdsBrokenError(Exception):
    """A load test ran, and its thresholds do not hold: the message names each with its value."""


@dataclasses.dataclass(frozen=True, slots=True)
class Baselines:
    """Where baselines are, and which are compared with and added to."""

    folder: pathlib.Path
    compare: str | None = None
    save: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """What a person gives; None where nothing was said."""

    journey: str
    shape: str
    protocol: str
    users: int
    duration: str | None
    rate: float | None
    against: str | None
    host: str | None
    ca_file: str | None
    models: tuple[str, ...]


def command(
    stack: environment.Stack,
    wanted: Wanted,
    *,
    baseline: str | None,
    save_baseline: str | None,
    as_json: bool,
) -> None:
    """Do what `bellwether load` does; see `run`."""
    what, shape = journey(wanted.journey), shape_of(wanted.shape)
    local = wanted.against is None
    order = headless.Order(
        journey=what,
        shape=shape,
        protocol=protocol(wanted.protocol),
        users=wanted.users,
        seconds=seconds(wanted.duration or shape.duration),
        rate=usual_rate(what) if wanted.rate is None else wanted.rate,
        stack=stack.name,
        experiment=predict.EXPERIMENT,
        pipeline=decide.PIPELINE,
        explainer=explain.EXPLAINER,
        reward=models.REWARD.name,
        objects=local,
        # Only the mesh can say which predictors there are; elsewhere it is the catalogue's.
        models=wanted.models or (() if local else tuple(each.name for each in models.MODELS)),
        host=wanted.host,
        ca_file=wanted.ca_file,
        data=stack.settings().data if local else None,
    )
    elsewhere = endpoints.Endpoints(wanted.against or "", "", "", "")
    run(
        stack.endpoints() if local else elsewhere,
        order,
        stack.home / "reports",
        as_json=as_json,
        baselines=Baselines(stack.home / "baselines", baseline, save_baseline),
    )


def journey(name: str) -> itinerary.Journey:
    """Return a journey by name; raises `LoadTestError` naming those that there are."""
    try:
        return _FORMERLY.get(name) or itinerary.Journey(name)
    except ValueError as error:
        raise endpoints.LoadTestError(
            f"journey {name!r} is unknown; there are {', '.join(itinerary.Journey)}"
        ) from error


def shape_of(name: str) -> course.Shape:
    """Return a shape by name; raises `LoadTestError` naming those that there are."""
    try:
        return course.Shape(name)
    except ValueError as error:
        raise endpoints.LoadTestError(
            f"shape {name!r} is unknown; there are {', '.join(course.Shape)}"
        ) from error


def protocol(name: str) -> itinerary.Protocol:
    """Return a protocol by name; raises `LoadTestError` naming those that there are."""
    try:
        return itinerary.Protocol(name.lower())
    except ValueError as error:
        raise endpoints.LoadTestError(
            f"protocol {name!r} is unknown; there are {', '.join(itinerary.Protocol)}"
        ) from error


def usual_rate(of: itinerary.Journey) -> float:
    """Return the requests a second of a user unless somebody says otherwise."""
    return USUAL_RATE * of.pace


def run(
    where: endpoints.Endpoints,
    order: headless.Order,
    reports: pathlib.Path,
    *,
    as_json: bool,
    baselines: Baselines | None = None,
) -> None:
    """Run a load test, leave its reports in a folder below `reports`, and print its summary.

    Raises:
        LoadTestError: it could not run, or what is to be asked does not answer.
        ThresholdsBrokenError: it ran, and a threshold does not hold, or it is slower than its
            baseline.

    """
    kept = _kept(baselines)
    made = headless.prepare(where, order, reports)
    if kept is not None:
        kept.check(made)
    if baselines is not None and baselines.save is not None:
        baseline.check(baselines.folder, baselines.save, made)
    with steps.step(f"load test, {order.journey}") as step:
        step.total(order.seconds)
        shown = [0.0]

        def progress(now: headless.Progress) -> None:
            step.advance(now.seconds - shown[0])
            shown[0] = now.seconds
            step.describe(
                f"{now.requests:,} requests, {now.per_second:.0f}/s, {now.failed:,} failed"
            )

        came_out = headless.run(made, progress)
        compared = comparison.compare(made, kept) if kept is not None else None
        drawn = picture.draw(made, kept)
        page = report.write(made, came_out, drawn, compared)
        step.note = str(page)
    if baselines is not None and baselines.save is not None:
        baseline.save(baselines.folder, baselines.save, made)
    if as_json:
        _print(made, came_out, compared)
    else:
        _show(came_out, compared)
    _judge(order, came_out, compared)


def seconds(duration: str) -> int:
    """Return the seconds of a duration such as 30s, 2m or 1m30s."""
    return durations.seconds(duration)


def _kept(baselines: Baselines | None) -> baseline.Baseline | None:
    if baselines is None:
        return None
    if baselines.save is not None:
        baseline.check_name(baselines.save)
    if baselines.compare is None:
        return None
    return baseline.read(baselines.folder, baselines.compare)


def _print(
    of: plan.Plan, came_out: summary.Summary, compared: comparison.Comparison | None
) -> None:
    document = came_out.document() | {
        "folder": str(of.folder),
        "comparison": None if compared is None else compared.document(),
        "comment": report.comment(of, came_out, compared),
    }
    json.dump(document, sys.stdout, indent=2)
    sys.stdout.write("\n")


def _judge(
    order: headless.Order,
    came_out: summary.Summary,
    compared: comparison.Comparison | None,
) -> None:
    problems = []
    if not came_out.holds:
        problems += [f"thresholds of {order.stack!r} do not hold:", *_listed(came_out.broken)]
    if compared is not None and compared.slower:
        problems += [f"slower than the baseline {compared.baseline!r}:"]
        problems += _listed(compared.regressions)
    if problems:
        raise ThresholdsBrokenError("\n".join(problems))


def _listed(sentences: tuple[str, ...]) -> list[str]:
    return [f"  - {sentence}" for sentence in sentences]


def _show(came_out: summary.Summary, compared: comparison.Comparison | None) -> None:
    steps.console.print(_table("", report.journey_columns(), report.journey_rows(came_out)))
    if came_out.split:
        title = f"split: {report.split_sentence(came_out.split)}"
        columns = report.split_columns()
        steps.console.print(_table(title, columns, report.split_rows(came_out.split)))
    steps.console.print(_table("", report.verdict_columns(), report.verdict_rows(came_out)))
    if compared is not None:
        title = report.comparison_sentence(compared).replace("*", "").replace("`", "")
        columns = report.comparison_columns()
        steps.console.print(_table(title, columns, report.comparison_rows(compared)))


def _table(title: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> rich.table.Table:
    table = rich.table.Table(title=title or None, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if 0 < number < len(columns) - 1 else "left")
    for row in rows:
        table.add_row(*map(rich.markup.escape, row))
    return table
