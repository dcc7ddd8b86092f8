"""`bellwether load`: a load test with its reports, and thresholds that fail it."""

import json
import pathlib
import sys

import rich.markup
import rich.table

from bellwether import steps
from loadtests import durations, endpoints, headless, picture, report, summary, thresholds


class ThresholdsBrokenError(Exception):
    """A load test ran, and its thresholds do not hold: the message names each with its value."""


def journey(name: str) -> thresholds.Journey:
    """Return a journey by name; raises `LoadTestError` naming those that there are."""
    try:
        return thresholds.Journey(name)
    except ValueError as error:
        raise endpoints.LoadTestError(
            f"journey {name!r} is unknown; there are {', '.join(thresholds.Journey)}"
        ) from error


def run(
    where: endpoints.Endpoints, order: headless.Order, reports: pathlib.Path, *, as_json: bool
) -> None:
    """Run a load test, leave its reports in a folder below `reports`, and print its summary.

    Raises:
        LoadTestError: it could not run, or what is to be asked does not answer.
        ThresholdsBrokenError: it ran, and a threshold does not hold.

    """
    plan = headless.prepare(where, order, reports)
    with steps.step(f"load test, {order.journey}") as step:
        step.total(order.seconds)
        shown = [0.0]

        def progress(now: headless.Progress) -> None:
            step.advance(now.seconds - shown[0])
            shown[0] = now.seconds
            step.describe(
                f"{now.requests:,} requests, {now.per_second:.0f}/s, {now.failed:,} failed"
            )

        came_out = headless.run(plan, progress)
        drawn = picture.draw(plan, summary.read_samples(plan))
        page = report.write(plan, came_out, drawn)
        step.note = str(page)
    if as_json:
        document = came_out.document() | {"folder": str(plan.folder)}
        json.dump(document, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        _show(came_out)
    if not came_out.holds:
        listed = "\n".join(f"  - {sentence}" for sentence in came_out.broken)
        raise ThresholdsBrokenError(f"thresholds of {order.stack!r} do not hold:\n{listed}")


def seconds(duration: str) -> int:
    """Return the seconds of a duration such as 30s, 2m or 1m30s."""
    return durations.seconds(duration)


def _show(came_out: summary.Summary) -> None:
    steps.console.print(_table("", report.journey_columns(), report.journey_rows(came_out)))
    if came_out.split:
        title = f"split: {report.split_sentence(came_out.split)}"
        columns = report.split_columns()
        steps.console.print(_table(title, columns, report.split_rows(came_out.split)))
    steps.console.print(_table("", report.verdict_columns(), report.verdict_rows(came_out)))


def _table(title: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> rich.table.Table:
    table = rich.table.Table(title=title or None, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if 0 < number < len(columns) - 1 else "left")
    for row in rows:
        table.add_row(*map(rich.markup.escape, row))
    return table
