"""`python -m models.evaluate`: walks forward and prints how good the forecasts were.

Runs in the training environment.
Progress goes to standard error; standard output holds the tables, or JSON with `--json`.
"""

import argparse
import contextlib
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import rich.console
import rich.progress
import rich.table

from . import (
    dataset,
    discovery,
    evaluation,
    procedure,
    processes,
    sources,
    train,
    training,
    walkforward,
)

WIDTH = 120
"""Columns of the tables where no terminal says how wide it is."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; give its exit status."""
    options = _parser().parse_args(arguments)
    source = sources.Source(options.data)
    started = time.perf_counter()
    processes.interrupt_when_terminated()
    try:
        asked = discovery.select(options.models)
        data = dataset.load(source)
        chosen = walkforward.years(data, options.from_year)
        names = training.wanted(asked)
        with _progress(len(names) * len(chosen)) as advance:
            walks = walkforward.walk_all(names, source, chosen, options.seed, advance)
            shown = {name: walks[name] for name in asked}
            found = evaluation.sections(data, shown, options.seed)
    except (sources.DataError, discovery.UnknownModelError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
    seconds = round(time.perf_counter() - started, 1)
    if options.json:
        document = _document(source, options.seed, chosen, seconds, found)
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    else:
        _print(chosen, seconds, found)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models.evaluate", description=__doc__)
    train.add_source(parser)
    parser.add_argument("--models", metavar="NAMES", help="models, separated by commas")
    parser.add_argument(
        "--from-year",
        type=int,
        metavar="YEAR",
        help=f"the first year to forecast (the last {walkforward.YEARS} years that can be)",
    )
    return parser


@contextlib.contextmanager
def _progress(total: int) -> Iterator[processes.Advance]:
    console = rich.console.Console(stderr=True)
    columns = (
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TimeElapsedColumn(),
        rich.progress.TimeRemainingColumn(),
    )
    with rich.progress.Progress(*columns, console=console) as progress:
        task = progress.add_task("years of models", total=total)
        yield lambda: progress.advance(task)


def _document(
    source: sources.Source,
    seed: int,
    chosen: Sequence[int],
    seconds: float,
    found: Sequence[evaluation.Section],
) -> dict[str, Any]:
    return {
        "data": {
            "folder": None if source.folder is None else str(source.folder),
            "digest": source.digest(),
        },
        "seed": seed,
        "years": list(chosen),
        "embargo": f"{procedure.EMBARGO.astype(int)} calendar days beyond the targets",
        "seconds": seconds,
        "confidence": evaluation.CONFIDENCE,
        "regimes": {section.regime: section.document() for section in found},
    }


def _print(chosen: Sequence[int], seconds: float, found: Sequence[evaluation.Section]) -> None:
    console = rich.console.Console()
    if not console.is_terminal:
        console = rich.console.Console(width=WIDTH)
    for section in found:
        console.print(_table(section))
    console.print(
        f"Years {chosen[0]} to {chosen[-1]}, refitted each year, embargo of "
        f"{procedure.EMBARGO.astype(int)} calendar days beyond the targets; {seconds:.0f} s.\n"
        f"Below, {evaluation.CONFIDENCE:.0%} intervals (stationary bootstrap over days, "
        f"blocks of {evaluation.BLOCK_DAYS}).\n"
        "RMSE: error of log volatility. QLIKE: Patton 2011. Brier: direction, 0.25 is a coin. "
        "Utility: volatility targeting, Bollerslev et al. 2018, 4 % is perfect.\n"
        f"Inside: share of days in the {evaluation.LEVEL:.0%} interval. "
        "*: best single model, picked with hindsight."
    )


COLUMNS: Mapping[str, tuple[Callable[[evaluation.Score], evaluation.Estimate], float, int]] = {
    "RMSE": (lambda score: score.measures["rmse_log_volatility"], 1, 3),
    "vs last, %": (lambda score: score.gain_over_last_value, 100, 1),
    "vs best, %": (lambda score: score.gain_over_best_single, 100, 1),
    "QLIKE": (lambda score: score.measures["qlike"], 1, 3),
    "Brier": (lambda score: score.measures["brier"], 1, 4),
    "utility, %": (lambda score: score.measures["utility"], 100, 2),
}
"""Headings, with where a column is taken from, its factor and its decimals."""


def _table(section: evaluation.Section) -> rich.table.Table:
    table = rich.table.Table(
        title=f"{section.regime} market{'' if section.regime == evaluation.EVERY else 's'}: "
        f"{section.rows} forecasts on {section.days} days"
    )
    table.add_column("model", no_wrap=True)
    for heading in (*COLUMNS, "inside"):
        table.add_column(heading, justify="right", no_wrap=True)
    for score in section.scores:
        table.add_row(
            score.model + ("*" if score.model == section.best_single else ""),
            *(_cell(take(score), factor, decimals) for take, factor, decimals in COLUMNS.values()),
            "" if score.coverage is None else f"{score.coverage:.0%}",
        )
    return table


def _cell(estimate: evaluation.Estimate, factor: float, decimals: int) -> str:
    def text(value: float) -> str:
        return f"{value * factor:.{decimals}f}"

    if estimate.low == estimate.high:
        return ""  # the model against itself
    if math.isnan(estimate.low):
        return text(estimate.value)
    return f"{text(estimate.value)}\n[dim]{text(estimate.low)} … {text(estimate.high)}[/]"


if __name__ == "__main__":
    sys.exit(main())
