"""The fourth demo: an experiment whose weights move to what earns, on real days.

Requests go through Envoy to an experiment of the demo's own; what each answer was worth goes back
to model `reward` once the market has shown it; the bandit's controller moves the weights.
"""

import collections.abc
import concurrent.futures
import contextlib
import datetime as dt
import math
import signal
import time
import types
import typing

import typer

from bellwether import demos, environment
from infra.catalogue import bandits, experiments
from infra.catalogue import models as catalogue
from models import sources
from runtimes.bandit import declaration
from runtimes.contract import bandits as records

from . import (
    arrivals,
    bandit_picture,
    bandit_tables,
    command,
    earning,
    epochs,
    gateway,
    judging,
    live,
    outcomes,
    own_policy,
    pace,
    walks,
)

CALLERS = 8
FEWEST_ARMS = 2
SPEED = 30.0
FASTEST = 60.0
RATE = 100.0
REQUESTS = 4
"""For each row, at least: so many that arms are compared on the same days."""

LOOK_SECONDS = 0.5
"""How often the policy's status is read."""


def arms(count: int) -> dict[str, int]:
    """Give the first `count` arms with their weights: the catalogue's, or even ones for more arms.

    Raises:
        DemoError: there are not so many predictors, or it is no choice.

    """
    declared = {each.name: each.weight for each in experiments.FINANCIAL_MAB.spec.candidates}
    others = [each.name for each in catalogue.MODELS if each.name not in declared]
    known = [*declared, *others]
    if not FEWEST_ARMS <= count <= len(known):
        raise demos.DemoError(
            f"--models {count}: a bandit chooses among {FEWEST_ARMS} to {len(known)} models, "
            f"{', '.join(map(walks.short, known))}"
        )
    if count > len(declared):
        return dict.fromkeys(known[:count], 1)
    return {name: declared[name] for name in known[:count]}


def spec(speed: float) -> declaration.BanditPolicySpec:
    """Give the catalogue's policy with epochs of a demo's length, `speed` of them a minute.

    Latency is no guardrail here: a demo's machine has other things to do.

    Raises:
        DemoError: no such speed.

    """
    if not 0 < speed <= FASTEST:
        raise demos.DemoError(
            f"--speed {speed:g}: more than 0 and at most {FASTEST:g} epochs a minute"
        )
    declared = bandits.FINANCIAL_MAB.spec
    return declared.model_copy(
        update={
            "update_frequency": dt.timedelta(milliseconds=round(60_000 / speed)),
            "guardrails": declared.guardrails.model_copy(update={"max_p99_ms": None}),
        }
    )


def plan(seconds: float, rate: float, available: int) -> tuple[int, int]:
    """Give how many rows are asked for, and how often each, so that `rate` requests a second fill it.

    Raises:
        DemoError: no such rate.

    """
    if not 1 <= rate <= 10_000:  # noqa: PLR2004  what a machine can be asked for
        raise demos.DemoError(f"--rate {rate:g}: from 1 to 10000 requests a second")
    total = seconds * rate
    requests = max(REQUESTS, math.ceil(total / available))
    return max(1, min(available, round(total / requests))), requests


class Demo:
    """A walk through the days while the controller moves the weights."""

    def __init__(
        self,
        mine: own_policy.Own,
        walk: earning.Walk,
        client: earning.Client,
        told: epochs.Epochs,
        heard: arrivals.Arrivals,
    ) -> None:
        self._mine = mine
        self._walk = walk
        self._client = client
        self._told = told
        self._heard = heard
        self._look = 0.0

    def run(self, seconds: float, screen: live.Screen) -> None:
        """Ask for all rows so that they fill `seconds`.

        Raises:
            DemoError: something does not answer.

        """
        with concurrent.futures.ThreadPoolExecutor(CALLERS) as pool, screen:
            for which in pace.Pace(len(self._walk.days), seconds).frames():
                self._client.frame(which, pool)
                self._heard.check()
                self._believe()
                screen.show(
                    lambda: bandit_tables.live(self._walk, self._told),
                    lambda: bandit_tables.line(self._walk, self._told),
                )

    def finish(self, seconds: float) -> None:
        """Send the last rewards, and wait until all are learnt, or `seconds` have passed."""
        self._client.finish()
        deadline = time.monotonic() + seconds
        while self._told.learnt < self._walk.acknowledged and time.monotonic() < deadline:
            self._heard.check()
            self._look = 0.0
            self._believe()
            time.sleep(pace.FRAME_SECONDS)  # between two looks at the status

    def _believe(self) -> None:
        if time.monotonic() - self._look >= LOOK_SECONDS:
            self._look = time.monotonic()
            self._told.believe(self._walk.done, self._mine.status())


@contextlib.contextmanager
def _termination_interrupts() -> collections.abc.Iterator[None]:
    """Let SIGTERM end the demo as Ctrl-C does, so that it takes away what it made."""

    def interrupt(number: int, frame: types.FrameType | None) -> None:
        del number, frame
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def main(  # noqa: PLR0913  each is an option of the command
    models: typing.Annotated[int, typer.Option(help="How many models: the first arms.")] = 4,
    duration: command.DurationOption = command.DURATION,
    speed: typing.Annotated[float, typer.Option(help="Epochs a minute.")] = SPEED,
    rate: typing.Annotated[float, typer.Option(help="Requests a second.")] = RATE,
    source: typing.Annotated[
        outcomes.Origin,
        typer.Option(help="Rewards by what the market did next, or made up to show a switch."),
    ] = outcomes.Origin.HISTORY,
    symbol: typing.Annotated[
        list[str] | None, typer.Option(help="Whose days; may be repeated. All, if left out.")
    ] = None,
    picture: command.PictureOption = None,
    stack: command.StackOption = environment.DEFAULT_STACK,
    json_: command.JsonOption = False,
) -> None:
    """Let a bandit split the traffic of an experiment, and measure what that is worth."""
    selected, seconds = environment.Stack(stack), command.seconds(duration)
    configured = selected.settings()
    weights, declared = arms(models), spec(speed)
    path = command.picture_path(selected, picture, f"mab-{source}")
    data = sources.Source(configured.data)
    whole = outcomes.days(data, symbol or ())
    rows, requests = plan(seconds, rate, len(whole))
    days = whole.last(rows)
    walk = earning.Walk.of(days, weights, requests)
    worth: outcomes.Outcomes = outcomes.Realised(days)
    if source is outcomes.Origin.SYNTHETIC:
        worth = outcomes.MadeUp(walk.arms, len(days), configured.seed)
    command.say(worth.about)
    where = selected.endpoints()
    with (
        _termination_interrupts(),
        gateway.Gateway(where.gateway, CALLERS) as asked,
        own_policy.Mesh(where) as mesh,
        own_policy.own(mesh, weights, declared) as mine,
    ):
        told = epochs.Epochs(mine.experiment, walk.arms)
        with arrivals.Arrivals(
            f"127.0.0.1:{configured.ports.kafka}", (records.ALLOCATIONS,), told.record
        ) as heard:
            client = earning.Client(asked, mine.experiment, walk, worth)
            client.begin()
            own_policy.wait_until_followed(mine)
            demo = Demo(mine, walk, client, told, heard)
            began = time.monotonic()
            demo.run(seconds, live.Screen(f"bandit on {mine.experiment}", seconds))
            took = time.monotonic() - began
            demo.finish(2 * 60 / speed + own_policy.TAKEN_SECONDS / 2)
    result = judging.judged(walk, told, source, worth.about, seed=configured.seed, took=took)
    bandit_picture.draw(result, path)
    command.say(bandit_tables.earned(result), *judging.sentences(result), f"picture: {path}")
    if json_:
        command.print_document(result.document() | {"picture": str(path)})
