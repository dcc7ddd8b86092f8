"""`bellwether simulate router`: runs it with its progress, and writes what came out."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import rich.console
import rich.table

from bellwether import router_history, router_simulation, steps
from infra import settings
from models import evaluation, sources

_PERCENT = 100


@dataclasses.dataclass(frozen=True, slots=True)
class MadeUp:
    """What came out in each made-up world."""

    repetitions: int
    worlds: Mapping[str, router_simulation.Outcome]

    def document(self) -> dict[str, Any]:
        """Give it as JSON's types."""
        return {
            "repetitions": self.repetitions,
            "unit": "mean reward of a decision",
            "worlds": {
                name: {"what": router_simulation.WORLDS[name].what, **each.document()}
                for name, each in self.worlds.items()
            },
        }

    def table(self) -> rich.console.RenderableType:
        """Write it for people: gains of the contextual policy, in hundredths of a percent."""
        shown = rich.table.Table(
            title="what the contextual policy earned more a decision, in 0.01 %, ± standard error",
            caption="whole: with exploring and the cold start; late: the last quarter",
        )
        shown.add_column("world")
        others = (router_simulation.RULE, router_simulation.FIXED, router_simulation.ORACLE)
        for other in others:
            shown.add_column(f"than the {other}, whole", justify="right")
            shown.add_column("late", justify="right")
        for name, each in self.worlds.items():
            cells = [
                _with_error(gains[other])
                for other in others
                for gains in (each.gains, each.late_gains)
            ]
            shown.add_row(name, *cells)
        return shown


@dataclasses.dataclass(frozen=True, slots=True)
class OnHistory:
    """What came out on real days."""

    found: router_history.History

    def document(self) -> dict[str, Any]:
        """Give it as JSON's types."""
        return {"unit": "realised utility, a share of wealth a year", **self.found.document()}

    def table(self) -> rich.console.RenderableType:
        """Write it for people."""
        gains = self.found.gains
        shown = rich.table.Table(
            title=(
                f"realised utility, % of wealth a year, on {self.found.rows} forecasts of unseen "
                f"days, {self.found.first} to {self.found.last}, 95 % intervals"
            )
        )
        shown.add_column("")
        shown.add_column("earned", justify="right")
        shown.add_column("the contextual policy earned more", justify="right")
        for name, each in gains.earned.items():
            shown.add_row(name, _interval(each), _interval(gains.over.get(name), sign="+"))
        return shown


def run(stack: settings.Settings | None, repetitions: int) -> MadeUp | OnHistory:
    """Run on the history of a stack's data, or in all made-up worlds without one.

    Raises:
        sources.DataError: there is no history, or no model of it.

    """
    if stack is not None:
        with steps.step("real days") as step:
            step.total(float(repetitions))
            return OnHistory(
                router_history.compare(
                    sources.Source(stack.data),
                    stack.seed,
                    repetitions=repetitions,
                    said=lambda: step.advance(1.0),
                )
            )
    with steps.step("made-up markets") as step:
        step.total(float(repetitions * len(router_simulation.WORLDS)))
        return MadeUp(
            repetitions,
            {
                name: router_simulation.simulate(
                    name, repetitions=repetitions, said=lambda: step.advance(1.0)
                )
                for name in router_simulation.WORLDS
            },
        )


def _with_error(estimate: router_simulation.Estimate) -> str:
    unit = _PERCENT * _PERCENT
    return f"{unit * estimate.mean:+.1f} ± {unit * estimate.se:.1f}"


def _interval(estimate: evaluation.Estimate | None, sign: str = "") -> str:
    if estimate is None:
        return ""
    value, low, high = (
        f"{_PERCENT * each:{sign}.3f}" for each in (estimate.value, estimate.low, estimate.high)
    )
    return f"{value} [{low}, {high}]"
