"""`python -m models.steps.decision.evaluate`: walks forward and prints how true confidences were.

Runs in the training environment.
Each year the models are trained, and intervals and confidence learnt, on what was known a week
before it; then the year is forecast. The models are those of the market's regimes, as the
prediction pipeline routes to them; `routed` are their forecasts on the days of their own regime.
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import arch.bootstrap
import numpy as np
import rich.console
import rich.table

from models import (
    dataset,
    discovery,
    evaluate,
    evaluation,
    processes,
    regimes,
    sources,
    train,
    training,
    walkforward,
)

from . import confidence, reliability

MET, UNMET, ROUTED = "all, symbols met before", "all, symbols never met", "routed, symbols met"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; give its exit status."""
    options = _parser().parse_args(arguments)
    source = sources.Source(options.data)
    processes.interrupt_when_terminated()
    try:
        names = discovery.select(options.models) if options.models else tuple(_by_regime().values())
        data = dataset.load(source)
        chosen = walkforward.years(data, options.from_year)
        walked = training.wanted(names)
        walks = walkforward.walk_all(walked, source, chosen, options.seed, lambda: None)
    except (sources.DataError, discovery.UnknownModelError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
    years = _years(data, {name: walks[name] for name in dict.fromkeys(names)})
    found = {
        name: {
            **reliability.measure(part).document(),
            "brier_gain": gain(part, options.seed).document(),
        }
        for name, part in _parts(years).items()
    }
    fallback = {
        number: dataclasses.asdict(each)
        for number, each in reliability.of_usual(confidence.usual(data)).items()
    }
    if options.json:
        document = {"seed": options.seed, "years": chosen, "models": names}
        document |= {"confidence": found, "fallback": fallback}
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    else:
        _print(found, fallback)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m models.steps.decision.evaluate", description=__doc__
    )
    train.add_source(parser)
    parser.add_argument("--models", metavar="NAMES", help="models, separated by commas")
    parser.add_argument("--from-year", type=int, metavar="YEAR", help="the first year to forecast")
    return parser


def _by_regime() -> dict[str, str]:
    """Give the model that each regime is routed to."""
    made_for = {discovery.declared(name).regime: name for name in discovery.folders()}
    return {regime: made_for.get(regime, evaluation.CALM_MODEL) for regime in regimes.NAMES}


def _years(data: dataset.Dataset, walks: Mapping[str, walkforward.Walk]) -> list[reliability.Year]:
    result = []
    for steps in zip(*walks.values(), strict=True):
        named = list(zip(walks, steps, strict=True))
        past = [confidence.tried(data, name, step.past, step.interval) for name, step in named]
        now = [confidence.tried(data, name, step.forecasts, step.interval) for name, step in named]
        result.append(
            reliability.year(steps[0].year, confidence.together(past), confidence.together(now))
        )
    return result


def _parts(years: Sequence[reliability.Year]) -> dict[str, list[reliability.Year]]:
    takes = _by_regime()
    parts = {
        MET: [year.part(year.met) for year in years],
        UNMET: [year.part(~year.met) for year in years],
        ROUTED: [
            year.part(
                year.met
                & (np.array([takes[regime] for regime in year.tried.regime]) == year.tried.model)
            )
            for year in years
        ],
    }
    return {name: part for name, part in parts.items() if any(len(year.tried) for year in part)}


def _print(found: Mapping[str, Any], fallback: Mapping[int, Any]) -> None:
    console = rich.console.Console()
    if not console.is_terminal:
        console = rich.console.Console(width=evaluate.WIDTH)
    whole = rich.table.Table(
        title=f"confidence: to come out within a factor of {confidence.FACTOR:g}"
    )
    for heading in ("forecasts", "rows", "confidence", "near", "error", "Brier", "vs constant, %"):
        whole.add_column(heading, justify="left" if heading == "forecasts" else "right")
    for name, part in found.items():
        better = {
            key: 100 * (np.nan if value is None else value)
            for key, value in part["brier_gain"].items()
        }
        whole.add_row(
            name,
            str(part["rows"]),
            f"{part['confidence']:.3f}",
            f"{part['near']:.3f}",
            f"{part['expected_calibration_error']:.3f}",
            f"{part['brier']:.4f}",
            f"{better['value']:.1f} ({better['low']:.1f} to {better['high']:.1f})",
        )
    console.print(whole)
    for name, part in found.items():
        bins = {str(place): each for place, each in enumerate(part["bins"], start=1)}
        console.print(_table(f"{name}, by confidence", bins))
        console.print(_table(f"{name}, by year", part["years"]))
    console.print(_table("fallback, by year", {str(key): each for key, each in fallback.items()}))
    console.print(
        "Confidence, intervals and models are learnt anew before each year; near: share that came "
        "out near.\nError: expected calibration error over ten bins (Naeini et al. 2015). "
        "Brier, against the share in what was learnt from; in brackets "
        f"{evaluation.CONFIDENCE:.0%} intervals (stationary bootstrap over days, blocks of "
        f"{evaluation.BLOCK_DAYS})."
    )


def _table(title: str, rows: Mapping[str, Any]) -> rich.table.Table:
    table = rich.table.Table(title=title)
    for heading in ("", "rows", "confidence", "near"):
        table.add_column(heading, justify="right")
    for name, each in rows.items():
        table.add_row(name, str(each["rows"]), f"{each['confidence']:.3f}", f"{each['near']:.3f}")
    return table


def gain(years: Sequence[reliability.Year], seed: int) -> evaluation.Estimate:
    """Give by how much, as a share, the Brier score is below the constant's.

    With an interval as `models.evaluation` makes them: days are resampled in blocks.
    """
    dates = np.concatenate([year.tried.date for year in years])
    near = np.concatenate([year.tried.near for year in years]).astype(np.float64)
    sure = np.concatenate([year.sure for year in years])
    constant = np.concatenate([np.full(len(year.tried), year.constant) for year in years])
    days, place = np.unique(dates, return_inverse=True)
    sums = np.column_stack(
        [
            np.bincount(place, (each - near) ** 2, len(days)).astype(np.float64)
            for each in (sure, constant)
        ]
    )

    def statistic(sums: dataset.Array) -> dataset.Array:
        own, other = sums.sum(axis=0)
        return np.array([1 - own / other])

    low = high = np.nan
    if len(days) >= evaluation.FEWEST_DAYS:
        resamples = arch.bootstrap.StationaryBootstrap(
            evaluation.BLOCK_DAYS, sums, seed=seed
        ).apply(statistic, evaluation.REPETITIONS)
        tail = (1 - evaluation.CONFIDENCE) / 2
        low, high = np.quantile(resamples, [tail, 1 - tail])
    return evaluation.Estimate(float(statistic(sums)[0]), float(low), float(high))


if __name__ == "__main__":
    sys.exit(main())
