"""`python -m models.train`: trains every model that is not up to date.

Runs in the training environment.
Progress goes to standard error; standard output holds the table, or JSON with `--json`.
"""

import argparse
import contextlib
import json
import pathlib
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import rich.console
import rich.progress
import rich.table

from . import card, discovery, processes, sources, steps, training

HEADINGS = {
    "rmse_log_volatility": "RMSE ln",
    "qlike": "QLIKE",
    "brier": "Brier",
    "utility": "utility",
}


def main(arguments: list[str] | None = None) -> int:
    """Run the command; give its exit status."""
    options = _parser().parse_args(arguments)
    source = sources.Source(options.data)
    started = time.perf_counter()
    processes.interrupt_when_terminated()
    try:
        names = discovery.select(options.only)
        wanted_steps = steps.folders() if options.only is None else {}
        with _progress(len(training.wanted(names)) + len(wanted_steps)) as report:
            results = training.run(source, options.seed, names, report)
            built = training.build_steps(source, options.seed, report) if wanted_steps else {}
    except (sources.DataError, discovery.UnknownModelError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: what was trained is kept, run the command again to go on\n")
        return 130
    document = _document(source, options.seed, results, time.perf_counter() - started)
    document["steps"] = {name: _of_step(result) for name, result in built.items()}
    if options.json:
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    else:
        rich.console.Console().print(_table(document))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models.train", description=__doc__)
    add_source(parser)
    parser.add_argument("--only", metavar="NAMES", help="models, separated by commas")
    return parser


def add_source(parser: argparse.ArgumentParser) -> None:
    """Add the options that training and evaluation share."""
    parser.add_argument(
        "--data",
        type=lambda text: pathlib.Path(text).expanduser().resolve(),
        metavar="DIR",
        help="a folder of OHLCV CSV files, one a symbol, instead of the arch package's data",
    )
    parser.add_argument("--seed", type=int, default=1, help="of everything random (1)")
    parser.add_argument("--json", action="store_true", help="print JSON")


@contextlib.contextmanager
def _progress(total: int) -> Iterator[training.Report]:
    console = rich.console.Console(stderr=True)
    columns = (
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TimeElapsedColumn(),
    )
    with rich.progress.Progress(*columns, console=console) as progress:
        task = progress.add_task("models", total=total)

        running: list[str] = []

        def report(name: str, state: str) -> None:
            if state == "training":
                running.append(name)
            else:
                progress.advance(task)
                running[:] = [other for other in running if other != name]
            progress.update(task, description=f"training {', '.join(running)}")

        yield report
        progress.update(task, description="models are up to date")


def _document(
    source: sources.Source,
    seed: int,
    results: Mapping[str, training.Result],
    seconds: float,
) -> dict[str, Any]:
    return {
        "data": {
            "folder": None if source.folder is None else str(source.folder),
            "digest": source.digest(),
        },
        "seed": seed,
        "seconds": round(seconds, 2),
        "models": {name: _of_model(result) for name, result in results.items()},
    }


def _of_model(result: training.Result) -> dict[str, Any]:
    folder = result.record.folder
    described = json.loads((folder / card.DOCUMENT).read_text(encoding="utf-8"))
    return {
        "artifact": str(folder),
        "trained": result.trained,
        "seconds": result.record.seconds,
        "regime": described["regime"],
        "held_out": described["held_out"],
    }


def _of_step(result: training.Result) -> dict[str, Any]:
    record = result.record
    return {
        "artifact": str(record.folder),
        "trained": result.trained,
        "seconds": record.seconds,
    }


def _table(document: dict[str, Any]) -> rich.table.Table:
    table = rich.table.Table(
        title=f"models, seed {document['seed']}, {document['seconds']:.1f} s",
        caption="measures on the days held out",
    )
    table.add_column("model")
    table.add_column("artifact")
    for heading in HEADINGS.values():
        table.add_column(heading, justify="right")
    table.add_column("seconds", justify="right")
    for name, model in document["models"].items():
        table.add_row(
            name,
            pathlib.Path(model["artifact"]).name.removeprefix("sha256-")[:8],
            *(f"{model['held_out']['measures'][measure]:.4f}" for measure in HEADINGS),
            f"{model['seconds']:.1f}" if model["trained"] else "unchanged",
        )
    for name, step in document["steps"].items():
        table.add_row(
            f"{name} (step)",
            pathlib.Path(step["artifact"]).name.removeprefix("sha256-")[:8],
            *[""] * len(HEADINGS),
            f"{step['seconds']:.1f}" if step["trained"] else "unchanged",
        )
    held = next(iter(document["models"].values()))["held_out"]
    table.add_section()
    table.add_row("last value", "", *(f"{held['naive'][measure]:.4f}" for measure in HEADINGS), "")
    return table


if __name__ == "__main__":
    sys.exit(main())
