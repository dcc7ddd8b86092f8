"""Predictions: the newest, and one followed through every step of the pipeline."""

import json
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

from htmltools import Tag, TagChild, TagList, tags
from shiny import Inputs, Outputs, Session, reactive, render, ui

from runtimes import contract
from runtimes.console import following, parts, predictions, shell
from runtimes.console.doors import Away, Missing, Refused
from runtimes.console.experiments import utc
from runtimes.console.predictions import Decided, Row, Step, Trace
from runtimes.contract import bandits, inference

from . import Page

_TONES = {"ran": "good", "failed": "bad", "waited": "warn", "not asked": ""}
_LONG = 12
"""So many values of a tensor are written; of longer ones, the shape."""


def content(console: parts.Console) -> Tag:
    """See `Page`."""
    del console
    return tags.div(
        shell.heading(
            "Predictions",
            "What the pipeline answered, and how it came to it.",
        ),
        tags.form(
            tags.label("Prediction id", for_="id"),
            tags.input(
                type="search",
                id="id",
                name="id",
                autocomplete="off",
                spellcheck="false",
                placeholder="4b23ccfa-cb53-403b-8525-8dd5dc3679ef",
            ),
            tags.button("Follow it", type="submit", class_="primary"),
            action="/predictions/",
            method="get",
            role="search",
            class_="search",
        ),
        ui.output_ui("trace"),
        ui.output_ui("newest"),
    )


def serve(console: parts.Console, given: Inputs, output: Outputs, session: Session) -> None:
    """See `Page`."""
    del given, output
    seen = following.followed(session, console.predictions, "predictions")
    work: following.Work[Trace | Decided] = following.Work(session, "trace")

    @reactive.effect
    def _() -> None:
        identity = following.asked(session, "id")
        if identity is not None:
            work.begin(found(console, identity))

    @render.ui
    def trace() -> TagChild:
        if following.asked(session, "id") is None:
            return None
        done = work.done()
        if done is None:
            return shell.waiting("the records of its steps")
        if done.result is None:
            return refusal(done.problem)
        return _trace(done.result) if isinstance(done.result, Trace) else _decided(done.result)

    @render.ui
    def newest() -> TagChild:
        rows = seen()
        if rows is None:
            return shell.waiting("the newest predictions")
        return TagList(shell.problem(rows), _newest(rows.value))


async def found(console: parts.Console, identity: str) -> Trace | Decided:
    """Look for a prediction; raise `Missing`, or why it cannot be read."""
    wrong = predictions.usable(identity)
    if wrong is not None:
        raise Missing(wrong)
    doors, given = console.doors, console.settings
    try:
        return await predictions.trace(
            doors.topics, doors.objects, given.namespace, given.pipeline, identity
        )
    except (inference.InvalidMessage, bandits.InvalidRecord) as error:
        raise Refused(f"{identity}: a record of it cannot be read: {error}") from error


def refusal(error: Exception | None) -> Tag:
    """Say why there is no prediction to show."""
    said = f"{error.part} is away: {error}" if isinstance(error, Away) else str(error)
    return shell.notice(said, "bad")


def _newest(rows: Sequence[Row] | None) -> TagChild:
    if not rows:
        return shell.card(
            "The newest",
            shell.empty(
                "The pipeline has answered nothing yet. ",
                tags.p(tags.code("uv run bellwether decide --symbol SPX"), " asks it."),
            ),
        )
    written = [
        (
            tags.a(each.id, href=f"/predictions/?{urllib.parse.urlencode({'id': each.id})}"),
            utc(each.time),
            each.symbol,
            each.date,
            f"{each.volatility:.1%}",
            f"{each.interval[0]:.1%} – {each.interval[1]:.1%}",
            f"{each.confidence:.0%}",
            f"{each.position:.0%}",
            each.regime,
            each.model,
        )
        for each in rows
    ]
    headings = ("id", "answered (UTC)", "symbol", "day", "volatility", "interval",
                "confidence", "position", "regime", "model")  # fmt: skip
    return shell.card(
        "The newest",
        shell.table(headings, written, caption="The newest predictions", numbers=(4, 5, 6, 7)),
        wide=True,
    )


def _decided(found: Decided) -> TagList:
    decision = found.decision
    return TagList(
        shell.card(
            f"Request {decision.id}",
            shell.figures(
                ("experiment", decision.experiment),
                ("answered by", decision.arm),
                ("at (UTC)", utc(found.time)),
                *((name, f"{value:.4g}") for name, value in (decision.context or {}).items()),
            ),
            tags.p(
                "It asked an experiment, not the pipeline: one model answered, and no step ran."
            ),
            _rewards(found.rewards),
            wide=True,
        )
    )


def _trace(found: Trace) -> TagList:
    read = {name: tensor.data for name, tensor in found.answered.items()}
    name, version, artifact = read[contract.MODEL]
    low, high = read[contract.INTERVAL]
    quality = predictions.document(found.answered, contract.QUALITY) or {}
    link = urllib.parse.urlencode({"id": found.id})
    return TagList(
        shell.card(
            f"{read[contract.SYMBOL][0]} on {read[contract.DATE][0] or 'an unknown day'}",
            shell.figures(
                (
                    "volatility, next 5 days",
                    tags.span(
                        f"{read[contract.PREDICTION][0]:.1%}",
                        data_value=repr(read[contract.PREDICTION][0]),
                        id="volatility",
                    ),
                ),
                ("interval", f"{low:.1%} – {high:.1%}"),
                ("confidence", f"{read[contract.CONFIDENCE][0]:.1%}"),
                ("position", f"{read[contract.POSITION][0]:.1%}"),
                ("rises tomorrow", f"{read[contract.DIRECTION][0]:.1%}"),
                ("regime", read[contract.REGIME][0]),
                ("quality", f"{read[contract.QUALITY_SCORE][0]:.2f}"),
                ("anomaly", f"{read[contract.ANOMALY_SCORE][0]:.2f}"),
                ("drift", f"{read[contract.DRIFT_SCORE][0]:.2f}"),
            ),
            tags.p(
                f"{name}, version {version}, ",
                tags.code(artifact[:19]),
                f"; answered {utc(found.time)} UTC. Data: {quality.get('reason', 'nothing said')}.",
                class_="note",
            ),
            tags.p(
                tags.a("Why: its explanation, and what if", href=f"/explanations/?{link}"),
            ),
            _rules(predictions.document(found.answered, contract.RULES) or []),
            _rewards(found.rewards),
            wide=True,
        ),
        shell.card(
            "Through the pipeline",
            tags.ol(*(_step(found, each) for each in found.steps), class_="steps"),
            note=f"{len(found.ran)} of {len(found.steps)} steps ran; "
            "a branch is asked by a trigger, so the others have no record.",
            wide=True,
        ),
    )


def _rules(rules: Sequence[Mapping[str, Any]]) -> Tag:
    if not rules:
        return tags.p("No rule fired.", class_="note")
    return shell.table(
        ("rule", "of", "before", "after", "because"),
        [
            (
                each["name"],
                each["of"],
                f"{each['before']:.3f}",
                f"{each['after']:.3f}",
                each["reason"],
            )
            for each in rules
        ],
        caption="Rules that fired",
        numbers=(2, 3),
    )


def _rewards(rewards: Sequence[bandits.Reward]) -> Tag:
    if not rewards:
        return tags.p("No reward has come for it.", class_="note")
    said = ", ".join(f"{each.metric} {each.value:.4g} at {utc(each.time)} UTC" for each in rewards)
    return tags.p(f"Reward: {said}.", class_="note")


def _step(found: Trace, step: Step) -> Tag:
    return tags.li(
        tags.details(
            tags.summary(
                tags.strong(step.name),
                shell.pill(step.state, _TONES[step.state]),
                tags.span(_said(found, step), class_="why"),
            ),
            tags.div(
                _tensors("in", step.inputs),
                _tensors("out", step.outputs),
                class_="sides",
            ),
            tags.p(
                "Takes ",
                ", ".join(step.sources) or "what the caller sent",
                f"; triggered by {', '.join(step.triggers)}" if step.triggers else "",
                ".",
                class_="note",
            ),
        ),
        class_=f"step {step.state.replace(' ', '-')}",
        data_step=step.name,
        data_state=step.state,
    )


def _said(found: Trace, step: Step) -> str:
    """Tell in one line what a step made of its request."""
    if step.error:
        return step.error
    if step.state == "not asked":
        return ""
    if found.routing is not None and step.name == found.routing.get("router"):
        return f"{found.routing['regime']}: {found.routing['reason']}"
    said = [
        f"{name} {_short(tensor)}"
        for name, tensor in step.outputs.items()
        if len(tensor.data) <= len(contract.OUTPUTS) and tensor.data and not _is_document(tensor)
    ]
    return ", ".join(said)


def _is_document(tensor: inference.Tensor) -> bool:
    return tensor.datatype == "BYTES" and str(tensor.data[0]).startswith(("{", "["))


def _short(tensor: inference.Tensor) -> str:
    return " ".join(f"{each:.4g}" if isinstance(each, float) else str(each) for each in tensor.data)


def _tensors(side: str, tensors: Mapping[str, inference.Tensor]) -> Tag:
    if not tensors:
        return tags.div(tags.h3(side), tags.p("no record", class_="note"))
    rows = [
        (name, tensor.datatype, " × ".join(map(str, tensor.shape)), _value(tensor))
        for name, tensor in tensors.items()
    ]
    return tags.div(
        tags.h3(side), shell.table(("tensor", "type", "shape", "value"), rows, caption=side)
    )


def _value(tensor: inference.Tensor) -> TagChild:
    if not tensor.data:
        return "empty"
    if _is_document(tensor):
        written = json.dumps(json.loads(tensor.data[0]), indent=1, ensure_ascii=False)
        return tags.pre(written)
    if len(tensor.data) <= _LONG:
        return _short(tensor)
    return tags.details(
        tags.summary(f"{len(tensor.data)} values"),
        tags.code(
            " ".join(
                f"{each:.4g}" if isinstance(each, float) else str(each) for each in tensor.data
            )
        ),
    )


PAGE = Page("predictions", "Predictions", content, serve)
