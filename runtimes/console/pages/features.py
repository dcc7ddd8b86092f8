"""Features: how fresh they are, how they are spread, how far they are from what training saw."""

from collections.abc import Sequence

from htmltools import Tag, TagChild, TagList, tags
from shiny import Inputs, Outputs, Session, render, ui

from runtimes.console import features, following, parts, shell
from runtimes.console.charts import axes, bars
from runtimes.console.experiments import utc
from runtimes.console.features import Alert, Drift, Enriched, Watched
from runtimes.console.live import Seen

from . import Page

_BORDER = 0.5
"""A drift score above it is an alarm."""

_DRAWN = 12
_DAY = 86400.0
_FEW = 8
"""Days below which a distribution says nothing."""


def content(console: parts.Console) -> Tag:
    """See `Page`."""
    del console
    return tags.div(
        shell.heading("Features", "What the feature store gives, and how far it can be trusted."),
        ui.output_ui("fresh"),
        ui.output_ui("symbols"),
        ui.output_ui("spread"),
        ui.output_ui("alerts"),
    )


def serve(console: parts.Console, given: Inputs, output: Outputs, session: Session) -> None:
    """See `Page`."""
    del given, output
    enriched = following.followed(session, console.enriched, "enriched")
    drift = following.followed(session, console.drift, "drift")
    told = following.followed(session, console.alerts, "alerts")
    watched = following.followed(session, console.watched, "watched")

    def found() -> tuple[Enriched, ...]:
        seen = enriched()
        return (None if seen is None else seen.value) or ()

    def names() -> tuple[str, ...]:
        seen = watched()
        known = {each.symbol for each in found()}
        known |= set(seen.value.ages) if seen is not None and seen.value is not None else set()
        return tuple(sorted(known))

    there = following.distinct(names, "there")
    symbol = following.distinct(
        lambda: following.asked(session, "symbol") or next(iter(names()), None), "symbol"
    )

    @render.ui
    def fresh() -> TagChild:
        return _fresh(enriched(), drift(), watched(), there() or ())

    @render.ui
    def symbols() -> TagChild:
        return shell.tabs("features", "symbol", there() or (), symbol(), "Symbols")

    @render.ui
    def spread() -> TagChild:
        name = symbol()
        return None if name is None else _spread(found(), watched(), name)

    @render.ui
    def alerts() -> TagChild:
        seen = told()
        return None if seen is None else TagList(shell.problem(seen), _alerts(seen.value or ()))


def _fresh(
    enriched: Seen[tuple[Enriched, ...]] | None,
    drift: Seen[tuple[Drift, ...]] | None,
    watched: Seen[Watched] | None,
    names: Sequence[str],
) -> TagChild:
    if enriched is None or drift is None or watched is None:
        return shell.waiting("how fresh features are")
    problems = [shell.problem(enriched), shell.problem(drift), shell.problem(watched)]
    newest = {each.symbol: each for each in enriched.value or ()}
    scores = {each.symbol: each for each in drift.value or ()}
    ages = watched.value.ages if watched.value is not None else {}
    rows = [_row(name, newest.get(name), scores.get(name), ages.get(name)) for name in names]
    lag = watched.value.lag if watched.value is not None else {}
    waits = ", ".join(f"{topic} {count:g}" for topic, count in sorted(lag.items()))
    body = (
        shell.table(
            (
                "symbol",
                "newest bar",
                "age",
                "quality",
                "drift",
                "",
                "days watched",
                "drifted",
                "asked (UTC)",
            ),
            rows,
            caption="Freshness, quality and drift by symbol",
            numbers=(2, 3, 4, 6),
        )
        if rows
        else shell.empty("No symbol is known: the feature stream has told nothing yet.")
    )
    return TagList(
        *problems,
        shell.card(
            "Freshness and drift",
            body,
            note=f"Age by the market's clock; records not read yet: {waits or 'unknown'}. "
            f"A drift score above {_BORDER:g} is an alarm.",
            wide=True,
        ),
    )


def _row(
    name: str, newest: Enriched | None, score: Drift | None, age: float | None
) -> tuple[TagChild, ...]:
    return (
        name,
        newest.date if newest else "–",
        "–" if age is None else f"{age / _DAY:.1f} days",
        tags.span(f"{newest.quality:.2f}", data_quality=name) if newest else "–",
        tags.span(f"{score.score:.2f}", data_drift=name) if score else "–",
        _state(score),
        str(score.days) if score else "–",
        ", ".join(score.drifted) if score and score.drifted else "none",
        utc(newest.time) if newest else "not asked yet",
    )


def _state(score: Drift | None) -> Tag:
    if score is None:
        return shell.pill("too few days watched")
    return shell.pill("drifted", "bad") if score.score > _BORDER else shell.pill("usual", "good")


def _spread(found: Sequence[Enriched], watched: Seen[Watched] | None, symbol: str) -> TagChild:
    days = features.by_day(found, symbol)
    ratios = dict(
        (watched.value.ratios.get(symbol) or {}) if watched is not None and watched.value else {}
    )
    return shell.grid(
        shell.card(
            f"{symbol}: distance from training",
            _ratios(ratios),
            note="Kolmogorov and Smirnov's distance of the recent days from the training set, over "
            "its critical value: beyond 1 a feature has drifted.",
        ),
        shell.card(
            f"{symbol}: the newest values",
            _values(days[-1]) if days else shell.empty("It was not asked for yet."),
            note=f"On {days[-1].date}." if days else None,
        ),
        shell.card(
            f"{symbol}: distributions",
            _distributions(days),
            note="Over the days that were asked for; the line is the newest.",
            wide=True,
        ),
    )


def _ratios(ratios: dict[str, float]) -> TagChild:
    if not ratios:
        return shell.empty("Too few days were watched yet for a distance.")
    largest = sorted(ratios.items(), key=lambda each: -each[1])[:_DRAWN]
    rows = [
        bars.Bar(name, value, f"{value:.2f}", "more" if value > 1 else "less")
        for name, value in largest
    ]
    said = ", ".join(f"{each.name} {each.said}" for each in rows)
    return bars.across(rows, f"Distance over critical value: {said}", form=lambda at: f"{at:.1f}")


def _values(newest: Enriched) -> Tag:
    rows = [(name, f"{value:.5g}") for name, value in newest.features.items()]
    return shell.table(("feature", "value"), rows, caption="The newest values", numbers=(1,))


def _distributions(days: Sequence[Enriched]) -> TagChild:
    if len(days) < _FEW:
        return shell.empty(
            f"Days that were asked for: {len(days)}. A distribution needs {_FEW}. ",
            tags.p(tags.code("uv run bellwether replay --speed 20"), " streams history."),
        )
    charts = []
    for name, newest in days[-1].features.items():
        values = [each.features[name] for each in days if name in each.features]
        if len(values) < _FEW:
            continue
        edges, counts = features.histogram(values)
        charts.append(
            tags.figure(
                tags.figcaption(name),
                bars.histogram(
                    edges,
                    [(name, counts)],
                    f"{name}: from {min(values):.4g} to {max(values):.4g}, newest {newest:.4g}",
                    form=lambda at: f"{at:.3g}",
                    frame=axes.Frame(width=300, height=110, left=10, right=10),
                    mark=newest,
                ),
            )
        )
    return tags.div(*charts, class_="small-charts")


def _alerts(found: Sequence[Alert]) -> Tag:
    rows = [
        (
            each.time[:19].replace("T", " "),
            each.symbol,
            shell.pill(each.kind, "good" if each.kind == "ended" else "bad"),
            f"{each.score:.2f}",
            ", ".join(each.features) or "none",
        )
        for each in found
    ]
    body = (
        shell.table(
            ("told (UTC)", "symbol", "", "score", "features"),
            rows,
            caption="Alerts of drift, the newest first",
            numbers=(3,),
        )
        if rows
        else shell.empty("No drift was told.")
    )
    return shell.card("Alerts of drift", body, wide=True)


PAGE = Page("features", "Features", content, serve)
