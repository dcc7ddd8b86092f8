"""The first demo: each day of a period is sent through the router, and beside it to every branch.

What the routed forecast is worth is measured on these days, against every single model and against
the last value, and printed whatever comes out.
"""

import concurrent.futures
import time
import typing

import numpy as np
import rich.console
import typer

from bellwether import demos, environment
from infra.catalogue import pipelines
from models import evaluation, sources
from runtimes import contract

from . import command, comparison, gateway, live, pace, periods, routing_picture, walks

PIPELINE = pipelines.CONTEXTUAL_ROUTER.metadata.name
CALLERS = 4
ROLLING_DAYS = evaluation.BLOCK_DAYS


class Walker:
    """Asks for the days of a walk."""

    def __init__(self, asked: gateway.Gateway, walk: walks.Walk) -> None:
        self._asked = asked
        self._walk = walk

    def frame(self, which: slice, pool: concurrent.futures.Executor) -> None:
        """Ask for the days `which`: each through the router, all at once of every single model.

        Raises:
            DemoError: something does not answer, or answers by another model than the route says.

        """
        jobs: list[concurrent.futures.Future[None]] = [
            pool.submit(self._single, model, which) for model in self._walk.models.values()
        ]
        jobs += [pool.submit(self._routed, day) for day in range(which.start, which.stop)]
        for job in jobs:
            job.result()
        self._walk.done = which.stop

    def _inputs(self, which: slice) -> dict[str, gateway.Value]:
        inputs = self._walk.days.inputs
        return {
            contract.FEATURES: inputs.features[which],
            contract.HISTORY: inputs.history[which],
        }

    def _routed(self, day: int) -> None:
        answer = self._asked.pipeline(PIPELINE, self._inputs(slice(day, day + 1)))
        branch = answer.text(contract.MODEL)
        if branch not in answer.route:
            raise demos.DemoError(
                f"{PIPELINE} says that {branch!r} made the forecast, but its route is "
                f"{', '.join(answer.route) or 'empty'}"
            )
        walk = self._walk
        walk.branch[day] = branch
        walk.routed[day] = np.log(answer.number(contract.VOLATILITY))
        walk.interval[day] = answer.numbers(contract.INTERVAL).ravel()
        walk.seconds[day] = answer.seconds

    def _single(self, model: str, which: slice) -> None:
        answer = self._asked.model(model, self._inputs(which))
        self._walk.singles[model][which] = np.log(answer.numbers(contract.VOLATILITY).ravel())
        # Each row's three: name, version, artifact.
        self._walk.artifacts.add(answer.texts(contract.MODEL)[2])


def collect(
    asked: gateway.Gateway, days: periods.Days, seconds: float, screen: live.Screen
) -> walks.Walk:
    """walks.Walk through the days so that they fill `seconds`; what was not reached is left out."""
    walk = walks.Walk.of(days)
    walker = Walker(asked, walk)
    with concurrent.futures.ThreadPoolExecutor(CALLERS) as pool, screen:
        for which in pace.Pace(len(days), seconds).frames():
            walker.frame(which, pool)
            screen.show(lambda: _table(walk), lambda: _line(walk))
    return walk.only(walk.done)


def _table(walk: walks.Walk) -> rich.console.RenderableType:
    today = walk.done - 1
    inputs = walk.days.inputs
    head = command.table(
        ("day", "close", "regime", "branch", "forecast", "came true", "request"),
        [
            (
                f"{inputs.date[today]}  ({walk.done}/{len(inputs)})",
                f"{inputs.close[today]:,.2f}",
                str(walk.regime[today]),
                walks.short(str(walk.branch[today])),
                f"{np.exp(walk.routed[today]):.1%}",
                _came_true(walk, today),
                f"{walk.seconds[today] * 1000:.1f} ms",
            )
        ],
        title=f"{inputs.symbol}, {walk.days.period}",
    )
    last = walk.error(walk.days.last_value)
    rows = []
    for name, forecast in walk.forecasts.items():
        error = walk.error(forecast)
        model = next((each for each in walk.singles if walks.short(each) == name), None)
        rows.append(
            (
                name,
                f"{walk.share(model):.0%}" if model else "",
                f"{walk.error(forecast, ROLLING_DAYS):.3f}",
                f"{error:.3f}",
                f"{1 - error / last:+.1%}" if name != comparison.LAST_VALUE else "",
            )
        )
    table = command.table(
        (
            "forecaster",
            "share of days",
            f"error, last {ROLLING_DAYS} days",
            "error so far",
            "gain over last value",
        ),
        rows,
    )
    return rich.console.Group(head, table)


def _came_true(walk: walks.Walk, day: int) -> str:
    known = walk.days.log_volatility[day]
    return f"{np.exp(known):.1%}" if np.isfinite(known) else "not yet"


def _line(walk: walks.Walk) -> str:
    today = walk.done - 1
    errors = ", ".join(
        f"{name} {walk.error(forecast, ROLLING_DAYS):.2f}"
        for name, forecast in walk.forecasts.items()
    )
    return (
        f"{walk.days.inputs.date[today]} {walk.regime[today]} → {walks.short(str(walk.branch[today]))} "
        f"{np.exp(walk.routed[today]):.1%}, came true {_came_true(walk, today)}; "
        f"rolling error: {errors}"
    )


def _estimate(estimate: comparison.Estimate) -> str:
    if not np.isfinite(estimate.low):
        return f"{estimate.value:+.1%}"
    return f"{estimate.value:+.1%} [{estimate.low:+.1%}, {estimate.high:+.1%}]"


def sentences(result: walks.Result) -> list[str]:
    """Say in words what came out."""
    whole, inputs = result.comparisons[0], result.walk.days.inputs
    took = (
        f"{len(inputs)} days of {inputs.symbol}, {inputs.date[0]} to {inputs.date[-1]}, "
        f"in {result.took:.0f} s; a routed request took {result.p50_ms:.1f} ms "
        f"(p99 {result.p99_ms:.1f} ms)."
    )
    direct = (
        f"The branch is the one that the definition of regimes gives on {result.direct} of "
        f"{len(inputs)} days."
    )
    measured = (
        f"Routing's error of log volatility against the best single model ({whole.best_single}, "
        f"picked with hindsight): {_estimate(whole.over_best_single)}; "
        f"against the last value: {_estimate(whole.over_last_value)}. Plus is better."
    )
    said = [took, direct, measured]
    if len(inputs) < result.of_days:
        said.append(
            f"Only {len(inputs)} of {result.of_days} days were reached: the environment was slower "
            "than the duration asks for; a longer --duration reaches them all."
        )
    volatile = result.volatile
    claim = f"Claim, {walks.CLAIMED:.0%} better in volatile markets: {walks.verdict(volatile)}"
    if volatile and np.isfinite(volatile.over_best_single.low):
        claim += (
            f"; on {volatile.days} volatile days {_estimate(volatile.over_best_single)} against "
            f"the best single model, {_estimate(volatile.over_last_value)} against the last value"
        )
    said.append(f"{claim}.")
    year = str(inputs.date[0])[:4]
    if result.seen:
        said.append(
            "The served models were fitted on these days, which flatters each of them: forecasts "
            f"of days that a model had not seen are `uv run bellwether evaluate --from-year {year}`."
        )
    elif result.seen is None:
        said.append(
            "Which days the served models were fitted on is not known here: their cards are not "
            "on this machine."
        )
    return said


def result_tables(result: walks.Result) -> rich.console.RenderableType:
    """Make two tables, a row a set of days: the errors, and the gains of routing."""
    names = tuple(result.comparisons[0].errors)
    errors = command.table(
        ("regime", "days", *names),
        [
            (each.regime, str(each.days), *(f"{each.errors[name].value:.3f}" for name in names))
            for each in result.comparisons
        ],
        title="root mean square error of log volatility",
    )
    gains = command.table(
        ("regime", "days", "best single", "routed over best single", "routed over last value"),
        [
            (
                each.regime,
                str(each.days),
                each.best_single,
                _estimate(each.over_best_single),
                _estimate(each.over_last_value),
            )
            for each in result.comparisons
        ],
        title="gain: by how much the error is smaller, with 95 % intervals",
    )
    return rich.console.Group(errors, gains)


def main(  # noqa: PLR0913  each is an option of the command
    market_conditions: typing.Annotated[
        periods.Market, typer.Option(help="Which stretch of history.")
    ] = periods.Market.VOLATILE,
    symbol: command.SymbolOption = command.SYMBOL,
    duration: command.DurationOption = command.DURATION,
    picture: command.PictureOption = None,
    stack: command.StackOption = environment.DEFAULT_STACK,
    json_: command.JsonOption = False,
) -> None:
    """Route each day of a period by its regime, and measure what that is worth."""
    selected, seconds = environment.Stack(stack), command.seconds(duration)
    configured = selected.settings()
    path = command.picture_path(selected, picture, f"contextual-routing-{market_conditions}")
    days = periods.days(market_conditions, symbol, sources.Source(configured.data))
    began = time.monotonic()
    with gateway.Gateway(selected.endpoints().gateway) as asked:
        walk = collect(asked, days, seconds, live.Screen("contextual routing", seconds))
    result = walks.summed_up(walk, len(days), configured.seed, time.monotonic() - began)
    routing_picture.draw(result, path)
    command.say(result_tables(result), *sentences(result), f"picture: {path}")
    if json_:
        command.print_document(result.document() | {"picture": str(path)})
