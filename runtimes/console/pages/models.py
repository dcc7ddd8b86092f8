"""Models: whether they serve, how they answer, and what their cards say of them."""

from collections.abc import Mapping, Sequence
from typing import Any

from htmltools import Tag, TagChild, TagList, tags
from shiny import Inputs, Outputs, Session, render, ui

from runtimes.console import following, models, parts, shell
from runtimes.console.doors import Away
from runtimes.console.doors.monitor import Window
from runtimes.console.live import Seen
from runtimes.console.models import Calls, Model

from . import Page
from .predictions import refusal

_MEANS = {
    "rmse_log_volatility": "error of log volatility",
    "qlike": "QLIKE",
    "brier": "Brier score of the direction",
    "utility": "utility, of wealth a year",
}
_MORE_IS_BETTER = {"utility"}


def content(console: parts.Console) -> Tag:
    """See `Page`."""
    del console
    return tags.div(
        shell.heading("Models", "What is served, by which artifact, and how good it was."),
        ui.output_ui("names"),
        ui.output_ui("card"),
        ui.output_ui("came_true"),
        ui.output_ui("all_models"),
    )


def serve(console: parts.Console, given: Inputs, output: Outputs, session: Session) -> None:
    """See `Page`."""
    del given, output
    seen = following.followed(session, console.models, "models")
    calls = following.followed(session, console.calls, "calls")
    windows = following.followed(session, console.windows, "windows")

    def found() -> tuple[Model, ...]:
        there = seen()
        return (None if there is None else there.value) or ()

    def current() -> Model | None:
        name = following.asked(session, "name")
        return next((each for each in found() if name in {None, each.name}), None)

    there = following.distinct(
        lambda: tuple(each.name for each in found() if each.predictor), "there"
    )
    chosen = following.distinct(current, "chosen")

    @render.ui
    def names() -> TagChild:
        model = chosen()
        return shell.tabs("models", "name", there() or (), model.name if model else None, "Models")

    @render.ui
    def card() -> TagChild:
        model = chosen()
        asked = following.asked(session, "name")
        if model is None and asked is not None and found():
            known = ", ".join(each.name for each in found())
            return shell.notice(f"There is no model {asked!r}; there are: {known}.", "bad")
        return None if model is None else _model(model)

    @render.ui
    def came_true() -> TagChild:
        model, seen_ = chosen(), windows()
        if model is None or seen_ is None or not model.predictor:
            return None
        return TagList(shell.problem(seen_), _came_true(model.name, seen_.value))

    @render.ui
    def all_models() -> TagChild:
        models_, called = seen(), calls()
        if models_ is None:
            return shell.waiting("the models")
        return TagList(
            shell.problem(models_),
            None if called is None else shell.problem(called),
            _all(models_.value or (), called),
        )


def _all(found: Sequence[Model], called: Seen[Calls] | None) -> Tag:
    calls = called.value if called is not None else None
    rows = [
        (
            tags.a(each.name, href=f"/models/?name={each.name}"),
            shell.pill("serves", "good") if each.ready else shell.pill(each.message, "bad"),
            tags.code(each.digest[:19]),
            ", ".join(each.requirements),
            each.memory,
            _count(calls.answered.get(each.name) if calls else None),
            _count(calls.refused.get(each.name) if calls else None),
            _milliseconds(calls.seconds.get(each.name) if calls else None),
        )
        for each in found
    ]
    body = (
        shell.table(
            (
                "model",
                "",
                "artifact",
                "needs",
                "memory",
                "answered",
                "refused or failed",
                "95 % within",
            ),
            rows,
            caption="All models",
            numbers=(4, 5, 6, 7),
        )
        if rows
        else shell.empty("No model is served.")
    )
    return shell.card("All models", body, note="Counts since each model server began.", wide=True)


def _model(model: Model) -> TagChild:
    try:
        card = models.card(model)
    except Away as error:
        return refusal(error)
    head = shell.figures(
        (
            "state",
            shell.pill("serves", "good") if model.ready else shell.pill(model.message, "bad"),
        ),
        ("artifact", tags.code(model.digest[:19])),
        ("needs", ", ".join(model.requirements)),
    )
    if card is None or "measures" not in (card.get("held_out") or {}):
        return shell.card(
            model.name,
            head,
            shell.empty(
                f"Its card is not on this machine: it lies beside the artifact, {model.uri}"
            ),
            wide=True,
        )
    return TagList(
        shell.card(model.name, tags.p(card["summary"], id="summary"), head, wide=True),
        shell.grid(
            shell.card(
                "Evaluation",
                _measures(card["held_out"]),
                note=f"On {card['held_out']['rows']:,} days from {card['held_out']['from']} to "
                f"{card['held_out']['to']} that no fit had seen, beside the last value.",
            ),
            shell.card("Made of", _origin(card)),
            shell.card("Features", _features(card["features"])),
            shell.card("Limits", tags.ul(*(tags.li(each) for each in card["limits"]))),
        ),
    )


def _came_true(model: str, found: Sequence[Window] | None) -> Tag:
    rows = [
        (
            f"{each.days} days",
            each.regime,
            f"{each.predictions:,}",
            f"{each.log_error:.3f}",
            f"{each.hit_rate:.1%}",
            f"{each.coverage:.1%}",
            f"{each.utility:.4f}",
        )
        for each in found or ()
        if each.model == model
    ]
    headings = ("window", "regime", "predictions", "|ln error|", "direction right",
                "within the interval", "utility")  # fmt: skip
    body = (
        shell.table(headings, rows, caption="How its forecasts came out", numbers=(2, 3, 4, 5, 6))
        if rows
        else shell.empty("None of its forecasts has come true yet: that takes five bars.")
    )
    return shell.card(
        "What came true",
        body,
        note="Of forecasts that were served, by the monitor, over windows of market days.",
        wide=True,
    )


def _measures(held_out: Mapping[str, Any]) -> Tag:
    rows = []
    for name, own, naive in models.gains(held_out):
        more = own > naive
        better = more if name in _MORE_IS_BETTER else own < naive
        change = own / naive - 1 if naive else 0.0
        rows.append(
            (
                _MEANS.get(name, name),
                tags.span(f"{own:.4g}", data_measure=name),
                f"{naive:.4g}",
                shell.pill(f"{change:+.1%}", "good" if better else "warn"),
            )
        )
    return shell.table(
        ("measure", "this model", "last value", "difference"),
        rows,
        caption="Measures on held-out days",
        numbers=(1, 2),
    )


def _origin(card: Mapping[str, Any]) -> Tag:
    data, training = card["data"], card["training"]
    symbols = [
        (name, f"{each['days']:,}", each["from"], each["to"])
        for name, each in data["symbols"].items()
    ]
    return tags.div(
        tags.p(f"{card['kind']}; {data['source']}; licence: {data['licence']}."),
        shell.table(("symbol", "days", "from", "to"), symbols, caption="Data", numbers=(1,)),
        tags.p(
            f"Seed {training['seed']}, code ",
            tags.code(str(training["code"])[:12]),
            f", embargo of {training['embargo']}; interval of {card['interval_level']:.0%}.",
            class_="note",
        ),
    )


def _features(found: Mapping[str, Mapping[str, str]]) -> Tag:
    rows = [(name, each["unit"], each["description"]) for name, each in found.items()]
    return shell.table(("feature", "unit", "what it says"), rows, caption="Features")


def _count(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _milliseconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds * 1000:.2f} ms"


PAGE = Page("models", "Models", content, serve)
