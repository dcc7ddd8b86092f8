"""Regimes: what the market is like, and which branch that led to."""

from collections.abc import Sequence

from htmltools import Tag, TagChild, TagList, tags
from shiny import Inputs, Outputs, Session, reactive, render, ui

from runtimes.console import following, parts, regimes, shell
from runtimes.console.charts import bars, curves
from runtimes.console.experiments import utc
from runtimes.console.live import Seen
from runtimes.console.regimes import Choice, Market
from runtimes.contract import regimes as rule

from . import Page
from .predictions import refusal

_LISTED = 30


def content(console: parts.Console) -> Tag:
    """See `Page`."""
    del console
    return tags.div(
        shell.heading(
            "Regimes",
            f"Volatile above {rule.VOLATILITY_THRESHOLD:.0%} volatility of {rule.DAYS} days, else "
            f"rising or falling beyond ±{rule.TREND_THRESHOLD:.0%}, else calm; "
            "the router's own thresholds are drawn.",
        ),
        ui.output_ui("symbols"),
        ui.output_ui("market"),
        ui.output_ui("chosen"),
    )


def serve(console: parts.Console, given: Inputs, output: Outputs, session: Session) -> None:
    """See `Page`."""
    del given, output
    seen = following.followed(session, console.choices, "choices")
    work: following.Work[Market] = following.Work(session, "market")

    there = following.distinct(lambda: regimes.symbols(_known(seen())), "there")
    symbol = following.distinct(
        lambda: following.asked(session, "symbol") or next(iter(there() or ()), None), "symbol"
    )

    @reactive.effect
    def _() -> None:
        name = symbol()
        if name is not None:
            work.begin(regimes.market(console.doors.gateway, name))

    @render.ui
    def symbols() -> TagChild:
        return shell.tabs("regimes", "symbol", there() or (), symbol(), "Symbols")

    @render.ui
    def market() -> TagChild:
        if symbol() is None:
            return None
        done = work.done()
        if done is None:
            return shell.waiting("the market's last days")
        return refusal(done.problem) if done.result is None else _market(done.result)

    @render.ui
    def chosen() -> TagChild:
        choices = seen()
        if choices is None:
            return shell.waiting("the router's choices")
        return TagList(shell.problem(choices), _chosen(_known(choices), symbol()))


def _known(seen: Seen[tuple[Choice, ...]] | None) -> tuple[Choice, ...]:
    return (None if seen is None else seen.value) or ()


def _market(found: Market) -> Tag:
    if not found.regimes:
        return shell.card(
            f"{found.symbol}: no history",
            shell.empty(
                f"The feature store has too few days of it: {found.report.get('reason', '')}"
            ),
            wide=True,
        )
    days = tuple(float(at - len(found.levels) + 1) for at in range(len(found.levels)))
    judged = days[-len(found.regimes) :]
    newest = found.regimes[-1]
    return shell.grid(
        shell.card(
            f"{found.symbol} on {found.date}",
            shell.figures(
                ("regime", tags.span(newest, id="regime", class_=f"regime {newest}")),
                (
                    f"volatility of {rule.DAYS} days",
                    tags.span(
                        f"{found.volatility[-1]:.1%}",
                        id="market-volatility",
                        data_value=repr(found.volatility[-1]),
                    ),
                ),
                (f"return of {rule.DAYS} days", f"{_moved(found):+.1%}"),
                ("quality of its data", f"{found.quality:.2f}"),
            ),
            _strip(found, judged),
            wide=True,
        ),
        shell.card(
            "Close",
            curves.lines(
                [curves.Series(found.symbol, days, found.levels)],
                f"Close of {found.symbol} over {len(days)} days, the first day being 1",
                form=lambda at: f"{at:.2f}",
                times=False,
                x_form=lambda at: f"{at:g}",
            ),
            note=f"Trading days before {found.date}; the first of the models' history is 1.",
        ),
        shell.card(
            "Volatility",
            curves.lines(
                [curves.Series("volatility", judged, found.volatility)],
                f"Volatility of {found.symbol}, now {found.volatility[-1]:.1%}",
                form=lambda at: f"{at:.0%}",
                times=False,
                x_form=lambda at: f"{at:g}",
                zero=True,
                marks=((rule.VOLATILITY_THRESHOLD, "volatile above"),),
            ),
            note=f"Annualised, of {rule.DAYS} days.",
        ),
    )


def _moved(found: Market) -> float:
    return found.levels[-1] / found.levels[-1 - rule.DAYS] - 1


def _strip(found: Market, days: Sequence[float]) -> Tag:
    cells = (
        tags.span(class_=f"cell {regime}", title=f"{day:+.0f} days: {regime}, {volatility:.1%}")
        for day, regime, volatility in zip(days, found.regimes, found.volatility, strict=True)
    )
    said = f"Regime of each of the last {len(found.regimes)} days, oldest first"
    return tags.div(
        tags.div(*cells, class_="strip", role="img", aria_label=said),
        tags.ul(
            *(tags.li(tags.span(class_=f"swatch {each}"), each) for each in rule.NAMES),
            class_="legend",
        ),
    )


def _chosen(found: Sequence[Choice], symbol: str | None) -> TagChild:
    own = [each for each in found if symbol in {None, each.symbol}]
    if not found:
        return shell.card(
            "What the router chose",
            shell.empty(
                "The router was not asked yet. ",
                tags.p(tags.code("uv run bellwether decide --symbol SPX"), " asks the pipeline."),
            ),
        )
    counts = {branch: sum(each.branch == branch for each in own) for branch in _branches(own)}
    newest = own[-1] if own else None
    limit = newest.volatility_threshold if newest else rule.VOLATILITY_THRESHOLD
    return TagList(
        shell.grid(
            shell.card(
                "Branch over time",
                curves.lines(
                    [
                        curves.Series(
                            "volatility",
                            tuple(each.time for each in own),
                            tuple(each.volatility for each in own),
                        )
                    ],
                    f"Volatility at each of the router's last {len(own)} choices",
                    form=lambda at: f"{at:.0%}",
                    zero=True,
                    marks=((limit, "robust above"),),
                )
                if own
                else shell.empty("No choice for this symbol is among the last."),
                note="The market's volatility at each choice, by when it was asked (UTC).",
            ),
            shell.card(
                "Branches",
                bars.across(
                    [bars.Bar(name, float(count), str(count)) for name, count in counts.items()],
                    ", ".join(f"{name} {count}" for name, count in counts.items()),
                    form=lambda at: f"{at:g}",
                )
                if counts
                else shell.empty("none"),
                note=f"Of the last {len(own)} choices.",
            ),
        ),
        shell.card("What the router chose", _table(own), wide=True),
    )


def _branches(found: Sequence[Choice]) -> list[str]:
    return sorted({each.branch for each in found})


def _table(found: Sequence[Choice]) -> Tag:
    rows = [
        (
            tags.a(each.id[:8], href=f"/predictions/?id={each.id}", title=each.id),
            utc(each.time),
            each.symbol,
            tags.span(tags.span(class_=f"swatch {each.regime}"), each.regime),
            each.branch,
            f"{each.volatility:.1%}",
            f"{each.trend:+.1%}",
            f"{each.propensity:.3g}",
            each.reason,
        )
        for each in list(reversed(found))[:_LISTED]
    ]
    headings = ("request", "asked (UTC)", "symbol", "regime", "branch", "volatility", "trend",
                "propensity", "because")  # fmt: skip
    return shell.table(headings, rows, caption="The router's last choices", numbers=(5, 6, 7))


PAGE = Page("regimes", "Regimes", content, serve)
