"""The experiment: who gets which traffic, what is believed of each arm, what was decided and why."""

import asyncio
from collections.abc import Sequence

from htmltools import Tag, TagChild, TagList, tags
from shiny import Inputs, Outputs, Session, reactive, render, ui

from runtimes.bandit.judging import acting
from runtimes.console import experiments, following, live, parts, shell
from runtimes.console.charts import axes, curves
from runtimes.console.doors import Refused
from runtimes.console.experiments import Arm, Epoch, Experiment

from . import Page

_SHOWN = 60
"""How many of the last epochs are listed."""

_DRAWN = 400
"""How many of them are drawn."""

_TONES = {"active": "good", "frozen": "warn", "shadow": ""}


def content(console: parts.Console) -> Tag:
    """See `Page`."""
    del console
    return tags.div(
        ui.output_ui("choice"),
        ui.output_ui("actions"),
        ui.output_ui("done"),
        ui.output_ui("board"),
        ui.output_ui("epochs_log"),
    )


def serve(console: parts.Console, given: Inputs, output: Outputs, session: Session) -> None:
    """See `Page`."""
    del output
    view = _View(console, session)
    # Buttons and links stay as they are while values change: who is on one stays there.
    names = following.distinct(view.names, "names")
    owner = following.distinct(view.owner, "owner")

    @render.ui
    def choice() -> TagChild:
        return _choice(names() or (), view.asked())

    @render.ui
    def actions() -> TagChild:
        policy = owner()
        return None if policy is None else _actions(*policy)

    @render.ui
    def board() -> TagChild:
        return view.board()

    @render.ui
    def epochs_log() -> TagChild:
        return view.epochs_log()

    _acts(console, given, session)


class _View:
    """What one session shows of the experiment that its address names, or of the first."""

    def __init__(self, console: parts.Console, session: Session) -> None:
        self._session = session
        self._seen = following.followed(session, console.experiments, "experiments")
        self._log = following.followed(session, console.epochs, "epochs")

    def asked(self) -> str | None:
        return following.asked(self._session, "name")

    def names(self) -> tuple[str, ...]:
        return tuple(each.name for each in self._there())

    def owner(self) -> tuple[str, str] | None:
        """Give the policy's name and mode."""
        found = self._chosen()
        return (
            None
            if found is None or found.policy is None
            else (found.policy.name, found.policy.mode)
        )

    def board(self) -> TagChild:
        found, shown = self._seen(), self._chosen()
        if found is None:
            return shell.waiting("the experiment")
        nothing = _nothing(found.value, self.asked()) if shown is None else None
        board = None if shown is None else _board(shown, self._log())
        return TagList(shell.problem(found), board, nothing)

    def epochs_log(self) -> TagChild:
        shown = self._chosen()
        return (
            None if shown is None or shown.policy is None else _log(self._log(), shown.policy.name)
        )

    def _there(self) -> tuple[Experiment, ...]:
        found = self._seen()
        return (None if found is None else found.value) or ()

    def _chosen(self) -> Experiment | None:
        name = self.asked()
        return next((each for each in self._there() if name in {None, each.name}), None)


def _acts(console: parts.Console, given: Inputs, session: Session) -> None:
    """Do what the buttons say, and tell what came of it."""
    work: following.Work[str] = following.Work(session, "work")
    place = acting.Place(
        console.settings.kafka,
        console.settings.api,
        console.settings.namespace,
        console.settings.service_account,
    )

    @render.ui
    def done() -> TagChild:
        if "freeze" not in given and "activate" not in given:
            return None
        came = work.done()
        if came is None:
            return shell.notice("Asking…", "")
        if came.problem is not None:
            return shell.notice(tags.pre(str(came.problem)), "bad")
        return shell.notice(came.result, "good")

    @reactive.effect
    @reactive.event(given.freeze)
    def _() -> None:
        work.begin(_freeze(console, place, given.freeze()["name"]))

    @reactive.effect
    @reactive.event(given.activate)
    def _() -> None:
        asked = given.activate()
        work.begin(_activate(console, place, asked["name"], asked.get("reason") or None))


async def _freeze(console: parts.Console, place: acting.Place, name: str) -> str:
    try:
        chosen = await asyncio.to_thread(acting.freeze, place, name)
    except acting.BanditError as error:
        raise Refused(str(error)) from error
    await console.experiments.look()
    return f"{chosen} is frozen: its weights stay as they are, and it goes on learning."


async def _activate(
    console: parts.Console, place: acting.Place, name: str, reason: str | None
) -> str:
    def act() -> acting.Activation:
        there = acting.policies(place)
        if name not in there:
            raise acting.BanditError(f"there is no policy {name!r} any more")
        return acting.activate(place, there[name], acting.Options(), force=reason)

    try:
        done = await asyncio.to_thread(act)
    except acting.BanditError as error:
        raise Refused(str(error)) from error
    await console.experiments.look()
    forced = f", forced: {done.forced}" if done.forced else ""
    return f"{done.policy} acts: {done.gate}{forced}."


def _nothing(there: Sequence[Experiment] | None, asked: str | None) -> TagChild:
    if there is None:
        return None
    if asked is not None:
        known = ", ".join(each.name for each in there) or "none"
        return shell.notice(f"There is no experiment {asked!r}; there are: {known}.", "bad")
    return shell.empty("There is no experiment. `infra/catalogue/experiments.py` declares them.")


def _choice(names: Sequence[str], asked: str | None) -> TagChild:
    return shell.tabs("experiment", "name", names, asked or next(iter(names), None), "Experiments")


def _board(found: Experiment, history: live.Seen[tuple[Epoch, ...]] | None) -> TagList:
    policy = found.policy
    own = experiments.of((history.value if history else None) or (), policy.name) if policy else ()
    return TagList(
        shell.heading(found.name, _lead(found)),
        None
        if found.ready
        else shell.notice(f"The experiment is not ready: {found.message}", "bad"),
        shell.grid(
            shell.card("Traffic and belief", _arms(found.arms), wide=True),
            shell.card(
                "Belief in each arm",
                _beliefs(found.arms),
                note="Posterior of an arm's mean reward, each to its own height.",
            ),
            shell.card(
                "Regret",
                _regret(found.arms, own),
                note="Expected, cumulated, with the means as they are believed now; "
                "beside it what the first split would have cost.",
            ),
            shell.card(
                "Weights over time",
                _weights(found.arms, own),
                note="Share of each arm as each epoch decided it.",
                wide=True,
            ),
        ),
    )


def _lead(found: Experiment) -> TagChild:
    policy = found.policy
    if policy is None:
        return "No policy owns its weights: they are those that were declared."
    epoch = "no epoch yet" if policy.epoch is None else f"epoch {policy.epoch}"
    return TagList(
        shell.pill(policy.mode, _TONES.get(policy.mode, "")),
        f" Policy {policy.name} ({policy.algorithm} on {policy.metric}), {epoch}. ",
        policy.message,
    )


def _actions(policy: str, mode: str) -> Tag:
    return tags.div(
        tags.button(
            "Freeze",
            type="button",
            data_send="freeze",
            data_name=policy,
            disabled=True if mode == "frozen" else None,
            title="Leaves the weights as they are; learning goes on",
        ),
        tags.button(
            "Activate",
            type="button",
            class_="primary",
            data_send="activate",
            data_name=policy,
            disabled=True if mode == "active" else None,
            title="Lets the policy act, if its gate passes",
        ),
        _forced(policy) if mode != "active" else None,
        class_="actions",
        data_mode=mode,
    )


def _forced(policy: str) -> Tag:
    return tags.details(
        tags.summary("Activate whatever the gate says"),
        tags.label("Reason, recorded with the policy", tags.input(type="text", id="reason")),
        tags.button(
            "Activate by force",
            type="button",
            data_send="activate",
            data_name=policy,
            data_with="reason",
        ),
        class_="forced",
    )


def _arms(arms: Sequence[Arm]) -> Tag:
    rows = [
        (
            tags.span(tags.span(class_=f"swatch {axes.colour(place)}"), each.name),
            tags.span(
                tags.span(class_=f"meter {axes.colour(place)}", style=f"width: {each.share:.1%}"),
                class_="track",
                aria_hidden="true",
            ),
            tags.span(f"{each.share:.1%}", data_arm=each.name, data_share=f"{each.share:.6f}"),
            str(each.weight),
            _count(each.decisions),
            _count(each.rewards),
            _number(each.mean),
            _number(each.sd),
            shell.pill(f"veto: {each.veto}", "bad")
            if each.veto
            else shell.pill("takes part", "good"),
        )
        for place, each in enumerate(arms)
    ]
    return shell.table(
        ("arm", "", "share", "weight", "decisions", "rewards", "mean reward", "± sd", "state"),
        rows,
        caption="Arms of the experiment",
        numbers=(2, 3, 4, 5, 6, 7),
    )


def _beliefs(arms: Sequence[Arm]) -> TagChild:
    known = [(each.name, each.mean, each.sd) for each in arms if each.mean is not None and each.sd]
    if len(known) < len(arms):
        return shell.empty("Nothing is believed yet: no reward was learnt of.")
    given = [(name, mean, sd) for name, mean, sd in known if sd is not None]
    told = "; ".join(f"{name} {mean:.4g} ± {sd:.2g}" for name, mean, sd in given)
    return TagList(
        curves.densities(given, f"Posterior means: {told}", form=lambda at: f"{at:.4g}"),
        axes.legend([name for name, _, _ in given]),
    )


def _weights(arms: Sequence[Arm], history: Sequence[Epoch]) -> TagChild:
    drawn = [each for each in history if each.applied][-_DRAWN:]
    if not drawn:
        return shell.empty("No epoch has changed the weights yet.")
    times = tuple(each.time for each in drawn)
    series = [
        curves.Series(arm.name, times, tuple(each.shares().get(arm.name, 0.0) for each in drawn))
        for arm in arms
    ]
    last = ", ".join(f"{arm.name} {arm.share:.0%}" for arm in arms)
    return TagList(
        curves.shares(
            series, f"Shares over time, now {last}", frame=axes.Frame(width=1240, height=240)
        ),
        axes.legend([arm.name for arm in arms]),
    )


def _regret(arms: Sequence[Arm], history: Sequence[Epoch]) -> TagChild:
    found = experiments.regret(arms, history)
    if found is None or found.policy[-1] == found.fixed[-1] == 0:
        return shell.empty("No decision of this policy's epochs was rewarded yet.")
    series = [
        curves.Series("this policy", found.times, found.policy),
        curves.Series("first split", found.times, found.fixed),
    ]
    label = f"Regret of the policy {found.policy[-1]:.4g}, of the first split {found.fixed[-1]:.4g}"
    return TagList(
        curves.lines(series, label, form=lambda at: f"{at:.3g}", zero=True),
        axes.legend([each.name for each in series]),
    )


def _log(found: "live.Seen[tuple[Epoch, ...]] | None", policy: str) -> TagChild:
    if found is None:
        return shell.waiting("the log of epochs")
    shown = experiments.of(found.value or (), policy)[::-1]
    rows = [
        (
            str(each.number),
            experiments.utc(each.time),
            ", ".join(f"{arm} {share:.1%}" for arm, share in each.shares().items()),
            shell.pill("applied", "good")
            if each.applied
            else shell.pill(f"not applied ({each.mode})"),
            TagList(*(tags.div(reason) for reason in each.reasons)),
        )
        for each in shown[:_SHOWN]
    ]
    body = (
        shell.table(
            ("epoch", "ended (UTC)", "weights", "", "why"),
            rows,
            caption="Epochs, the newest first",
            numbers=(0,),
        )
        if rows
        else shell.empty(
            "No epoch has ended yet: the first ends one update after the policy began."
        )
    )
    return TagList(shell.problem(found), shell.card("Epochs", body, wide=True))


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


PAGE = Page("experiment", "Experiment", content, serve)
