"""Explanations: why a forecast is what it is, what would flip it, and what it would be if."""

import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

from htmltools import Tag, TagChild, TagList, tags
from shiny import Inputs, Outputs, Session, reactive, render, ui

from runtimes.console import explaining, following, parts, shell
from runtimes.console.charts import bars
from runtimes.console.doors import Missing, Refused
from runtimes.console.explaining import Document, Forecast, Slider, Subject
from runtimes.console.predictions import Row, Trace

from . import Page
from .predictions import found as find
from .predictions import refusal

_TOP = 5
_DRAWN = 10
"""Features that a waterfall shows one by one."""

_BESIDE = 8
"""Features that are compared between methods."""

_SLIDERS = 9


def content(console: parts.Console) -> Tag:
    """See `Page`."""
    del console
    return tags.div(
        shell.heading(
            "Explanations",
            "Why a forecast is what it is, made with the very artifact that made the forecast.",
        ),
        ui.output_ui("which"),
        ui.output_ui("why"),
        tags.div(ui.output_ui("beside"), ui.output_ui("flips"), class_="grid-cards"),
        ui.output_ui("sliders"),
        ui.output_ui("what_if_answer"),
    )


def serve(console: parts.Console, given: Inputs, output: Outputs, session: Session) -> None:
    """See `Page`."""
    del output
    view = _View(console, session)
    reactive.effect(view.choose)
    reactive.effect(view.explain)

    @render.ui
    def which() -> TagChild:
        return view.which()

    @render.ui
    def why() -> TagChild:
        return view.why()

    @render.ui
    def beside() -> TagChild:
        return view.beside()

    @render.ui
    def flips() -> TagChild:
        return view.flips()

    @render.ui
    def sliders() -> TagChild:
        return view.sliders()

    @render.ui
    def what_if_answer() -> TagChild:
        return view.answer(given)

    reactive.effect(reactive.event(given.what_if)(lambda: view.ask(given.what_if())))
    reactive.effect(reactive.event(given.border)(lambda: view.flip(given.border()["border-value"])))


class _View:
    """What one session shows of the prediction that its address names, or of the newest."""

    def __init__(self, console: parts.Console, session: Session) -> None:
        self._console = console
        self._session = session
        self._newest = following.followed(session, console.predictions, "predictions")
        self._subject: following.Work[Subject] = following.Work(session, "subject")
        self._shap: following.Work[Document] = following.Work(session, "shap")
        self._lime: following.Work[Document] = following.Work(session, "lime")
        self._flips: following.Work[Document] = following.Work(session, "flips")
        self._forecast: following.Work[Forecast] = following.Work(session, "forecast")
        self._identity = following.distinct(self._id, "identity")

    def _id(self) -> str | None:
        """Give the prediction's id: the address's, or the newest's when the page was opened."""
        asked = following.asked(self._session, "id")
        if asked is not None:
            return asked
        with reactive.isolate():
            known = self._identity()
        rows = self._rows()
        return known or (rows[0].id if rows else None)

    def _rows(self) -> tuple[Row, ...]:
        newest = self._newest()
        return (None if newest is None else newest.value) or ()

    def choose(self) -> None:
        identity = self._identity()
        if identity is not None:
            self._subject.begin(self._read(identity))

    async def _read(self, identity: str) -> Subject:
        found = await find(self._console, identity)
        if not isinstance(found, Trace):
            raise Missing(
                f"{identity} asked an experiment: Kafka has no record of its features, "
                "so it cannot be explained any more"
            )
        return explaining.subject(found)

    def explain(self) -> None:
        """Have it explained by all methods."""
        done = self._subject.done()
        if done is None or done.result is None:
            return
        subject = done.result
        self._shap.begin(self._method(subject, "shap"))
        self._lime.begin(self._method(subject, "lime"))
        self._flips.begin(self._method(subject, "counterfactual"))

    def flip(self, border: str) -> None:
        """Look for the smallest change that leads across another border, in % a year."""
        done = self._subject.done()
        if done is not None and done.result is not None:
            self._flips.begin(self._across(done.result, border))

    async def _across(self, subject: Subject, border: str) -> Document:
        try:
            wanted = float(border) / 100
        except ValueError as error:
            raise Refused(
                f"{border!r} is no border: give a number of % a year, such as 25"
            ) from error
        found: Document = await self._method(subject, "counterfactual", target_volatility=wanted)
        return found

    def _method(self, subject: Subject, method: str, **more: float) -> Any:
        console = self._console
        return explaining.explain(
            console.doors.gateway, console.settings.explainer, subject, method, **more
        )

    def which(self) -> TagChild:
        """Offer the newest predictions."""
        identity = self._identity()
        with reactive.isolate():  # a list that changes under the hand is none to choose from
            rows = self._rows()
        if identity is None:
            return shell.empty(
                "The pipeline has answered nothing yet, so there is nothing to explain. ",
                tags.p(tags.code("uv run bellwether decide --symbol SPX"), " asks it."),
            )
        known = [(each.id, _title(each)) for each in rows[:20]]
        if identity not in dict(known):
            known.insert(0, (identity, identity))
        return tags.form(
            tags.label("Prediction", for_="prediction"),
            tags.select(
                *(
                    tags.option(title, value=each, selected=True if each == identity else None)
                    for each, title in known
                ),
                id="prediction",
                name="id",
            ),
            tags.button("Explain it", type="submit", class_="primary"),
            action="/explanations/",
            method="get",
            class_="search",
        )

    def why(self) -> TagChild:
        """Show the waterfall and the pipeline's own top five."""
        if self._identity() is None:
            return None
        done = self._subject.done()
        if done is None:
            return shell.waiting("the prediction")
        if done.result is None:
            return refusal(done.problem)
        shap = self._shap.done()
        return TagList(
            _head(done.result),
            shell.grid(
                shell.card(
                    "From the usual to the forecast",
                    _made(shap, _waterfall, "the contributions"),
                    note="SHAP: contributions to the logarithm of the volatility, which add up.",
                ),
                shell.card(
                    "The five that mattered most",
                    _top(done.result.told),
                    note="As the pipeline gave them with its answer.",
                ),
            ),
        )

    def beside(self) -> TagChild:
        """Show LIME beside SHAP."""
        shap, lime = self._shap.done(), self._lime.done()
        if not self._explained():
            return None
        body = _made(
            lime, lambda document: _beside((shap.result if shap else None) or {}, document), "LIME"
        )
        return shell.card(
            "LIME beside SHAP",
            body,
            note="LIME: the slope near this day, by one standard deviation of a feature. "
            "SHAP: what this day's value contributed.",
        )

    def flips(self) -> TagChild:
        """Show what would flip it."""
        if not self._explained():
            return None
        return shell.card(
            "What would flip it",
            _border(self._volatility()),
            _made(self._flips.done(), _flips, "the search for the smallest change"),
            note="The smallest change of today after which the deployed artifact does answer otherwise.",
        )

    def sliders(self) -> TagChild:
        """Offer the features to be changed."""
        done, lime = self._subject.done(), self._lime.done()
        if done is None or done.result is None or lime is None or lime.result is None:
            return None
        given = explaining.sliders(done.result, lime.result)[:_SLIDERS]
        return shell.card(
            "What if",
            tags.form(*(_slider(each) for each in given), class_="sliders", id="what-if"),
            note=f"Asks {done.result.model}, as it is deployed now; the history stays as it was. "
            f"Each reaches {explaining.SPREAD:g} standard deviations to either side.",
            wide=True,
        )

    def ask(self, changes: Mapping[str, float]) -> None:
        """Ask the deployed model."""
        done, lime = self._subject.done(), self._lime.done()
        if done is None or done.result is None or lime is None or lime.result is None:
            return
        given = explaining.sliders(done.result, lime.result)
        self._forecast.begin(
            explaining.forecast(self._console.doors.gateway, done.result, given, changes)
        )

    def answer(self, given: Inputs) -> TagChild:
        """Show what the deployed model answers."""
        if "what_if" not in given:
            return None
        done = self._forecast.done()
        if done is None:
            return shell.waiting("what the model answers")
        if done.result is None:
            return refusal(done.problem)
        return _answer(self._volatility(), done.result, len(given.what_if()))

    def _explained(self) -> bool:
        done = self._subject.done()
        return done is not None and done.result is not None

    def _volatility(self) -> float:
        done = self._subject.done()
        if done is None or done.result is None:
            raise Refused("there is no prediction")
        return done.result.volatility


def _title(row: Row) -> str:
    return f"{row.symbol} on {row.date}, {row.model}: {row.volatility:.1%} ({row.id[:8]})"


def _head(subject: Subject) -> Tag:
    link = urllib.parse.urlencode({"id": subject.id})
    return shell.card(
        f"{subject.symbol} on {subject.date}",
        shell.figures(
            (
                "volatility, next 5 days",
                tags.span(
                    f"{subject.volatility:.2%}",
                    id="volatility",
                    data_value=repr(subject.volatility),
                ),
            ),
            ("model", subject.model),
            ("version", subject.version),
            ("artifact", tags.code(subject.artifact[:19])),
        ),
        tags.a("Through the pipeline", href=f"/predictions/?{link}"),
        wide=True,
    )


def _made(done: "following.Done[Document] | None", show: Any, what: str) -> TagChild:
    if done is None:
        return shell.waiting(what)
    return refusal(done.problem) if done.result is None else show(done.result)


def _waterfall(document: Document) -> TagChild:
    parts_ = document["attributions"][:_DRAWN]
    base, output = document["base_value"], document["output"]
    rest = output - base - sum(each["contribution"] for each in parts_)
    rows = [
        bars.Bar(
            f"{each['feature']} = {each['value']:.3g}",
            each["contribution"],
            f"{each['effect_percent']:+.1f} %",
        )
        for each in parts_
    ]
    rows.append(bars.Bar("all others", rest, f"{rest:+.3f}", "plain"))
    said = ", ".join(f"{each.name}: {each.said}" for each in rows)
    return TagList(
        bars.waterfall(base, rows, f"Waterfall: {said}", form=lambda at: f"{at:.2f}"),
        tags.p(
            f"From {base:.3f} (usual) to {output:.3f} (ln volatility) by {document['method']}; "
            f"off by {document['completeness_error']:.0e}.",
            class_="note",
        ),
    )


def _top(told: Document) -> TagChild:
    if "missing" in told or "attributions" not in told:
        return shell.empty(
            f"No explanation came with it: {told.get('missing', 'nothing said why')}"
        )
    rows = [
        (
            each["feature"],
            f"{each['value']:.4g}",
            each["unit"],
            f"{each['contribution']:+.4f}",
            f"{each['effect_percent']:+.1f} %",
        )
        for each in told["attributions"][:_TOP]
    ]
    return TagList(
        shell.table(
            ("feature", "value", "unit", "contribution", "effect"),
            rows,
            caption="The five features with the largest contributions",
            numbers=(1, 3, 4),
        ),
        tags.p(
            f"{told['method']}; confidence in the explanation {told['confidence']:.3f}, "
            f"made in {told['milliseconds']:.1f} ms.",
            class_="note",
        ),
    )


def _beside(shap: Document, lime: Document) -> TagChild:
    by_shap = {each["feature"]: each for each in shap.get("attributions", ())}
    rows = []
    for each in lime["attributions"][:_BESIDE]:
        other = by_shap.get(each["feature"])
        rows.append(
            (
                each["feature"],
                _sided(each["weight"], lime["attributions"], "weight"),
                f"{each['weight']:+.3f}",
                _sided(other["contribution"], shap["attributions"], "contribution")
                if other
                else "",
                f"{other['contribution']:+.3f}" if other else "–",
            )
        )
    return TagList(
        shell.table(
            ("feature", "LIME", "", "SHAP", ""),
            rows,
            caption="LIME's weights beside SHAP's contributions",
            numbers=(2, 4),
        ),
        tags.p(f"R² of LIME's line near the day: {lime['r_squared']:.4f}.", class_="note"),
    )


def _sided(value: float, parts_: Sequence[Mapping[str, Any]], name: str) -> Tag:
    """Draw a bar from the middle, to the right what is more."""
    largest = max(abs(each[name]) for each in parts_) or 1.0
    share = abs(value) / largest * 50
    side = f"left: 50%; width: {share:.1f}%" if value >= 0 else f"right: 50%; width: {share:.1f}%"
    return tags.span(
        tags.span(class_=f"meter {'c1' if value >= 0 else 'c0'}", style=side),
        class_="track sided",
        aria_hidden="true",
    )


def _border(volatility: float) -> Tag:
    return tags.div(
        tags.label("Border, % a year", for_="border-value"),
        tags.input(
            type="number",
            id="border-value",
            value=f"{volatility * 120:.1f}",
            min="0.1",
            step="0.1",
        ),
        tags.button("Look for it", type="button", data_send="border", data_with="border-value"),
        class_="search",
    )


def _flips(document: Document) -> TagChild:
    return TagList(*(_flip(each) for each in document["counterfactuals"]))


def _flip(found: Mapping[str, Any]) -> Tag:
    if not found["found"]:
        return tags.div(tags.h3(found["wish"]), tags.p(f"None was found: {found['reason']}"))
    rows = [
        (each["what"], f"{each['from']:.4g}", f"{each['to']:.4g}", each["unit"])
        for each in found["chosen"]
    ]
    followers = len([each for each in found["changes"] if each["rule"] != "chosen"])
    return tags.div(
        tags.h3(f"{found['wish']}: found, {found['after']['volatility']:.1%}"),
        shell.table(
            ("what of today", "is", "would be", "unit"), rows, caption=found["wish"], numbers=(1, 2)
        ),
        tags.p(f"{followers} features follow by their definitions.", class_="note"),
    )


def _slider(given: Slider) -> Tag:
    return tags.label(
        tags.span(given.feature, tags.small(given.unit)),
        tags.input(
            type="range",
            min=repr(given.least),
            max=repr(given.most),
            step="any",
            value=repr(given.value),
            data_feature=given.feature,
        ),
        tags.output(f"{given.value:.4g}"),
    )


def _answer(before: float, found: Forecast, changed: int) -> Tag:
    ratio = found.volatility / before - 1
    return shell.card(
        "What the model answers",
        shell.figures(
            (
                "volatility",
                tags.span(
                    f"{found.volatility:.2%}",
                    id="what-if-volatility",
                    data_value=repr(found.volatility),
                ),
            ),
            ("against the forecast", f"{ratio:+.2%}"),
            ("interval", f"{found.interval[0]:.1%} – {found.interval[1]:.1%}"),
            ("rises tomorrow", f"{found.direction:.1%}"),
            ("answered by", found.route),
            ("features changed", str(changed)),
        ),
        wide=True,
    )


PAGE = Page("explanations", "Explanations", content, serve)
