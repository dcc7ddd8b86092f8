"""What every page has: the way to the others, how the parts stand, notices, cards, figures."""

import urllib.parse
from collections.abc import Sequence
from typing import TypeVar

from htmltools import HTML, Tag, TagChild, TagList, head_content, tags
from shiny import ui

from .doors import Away, Missing, Part
from .experiments import utc
from .live import Seen

T = TypeVar("T")

TITLE = "Bellwether"


def document(pages: Sequence[tuple[str, str]], current: str, content: TagChild) -> TagList:
    """Write a page: `pages` are (path, name) of all, `current` is this one's path."""
    name = dict(pages)[current]
    return TagList(
        head_content(
            tags.title(f"{name} – {TITLE}"),
            tags.meta(charset="utf-8"),
            tags.meta(name="viewport", content="width=device-width, initial-scale=1"),
            tags.link(rel="icon", href="data:,"),
            tags.link(rel="stylesheet", href="/static/console.css"),
            tags.script(src="/static/console.js"),
        ),
        tags.a("Skip to the content", href="#content", class_="skip"),
        tags.header(
            tags.a(HTML(_MARK), tags.span(TITLE), href="/experiment/", class_="brand"),
            tags.nav(
                *(
                    tags.a(
                        title,
                        href=f"/{path}/",
                        aria_current="page" if path == current else None,
                    )
                    for path, title in pages
                ),
                aria_label="Pages",
            ),
            tags.div(
                ui.output_ui("part_states"),
                tags.button(
                    "Theme", type="button", id="theme", aria_label="Switch between light and dark"
                ),
                class_="aside",
            ),
            class_="top",
        ),
        tags.div(
            "The connection to the console is lost; it is tried again…",
            id="lost",
            role="alert",
            hidden=True,
        ),
        tags.main(content, id="content", tabindex="-1"),
    )


def heading(title: str, what: TagChild, *actions: TagChild) -> Tag:
    """Begin a page's content."""
    return tags.div(
        tags.div(tags.h1(title), tags.p(what, class_="lead")),
        tags.div(*actions, class_="actions") if actions else None,
        class_="heading",
    )


def tabs(page: str, key: str, names: Sequence[str], current: str | None, label: str) -> TagChild:
    """Lead to the same page for another name, where there are several."""
    if len(names) <= 1:
        return None
    return tags.nav(
        *(
            tags.a(
                name,
                href=f"/{page}/?{urllib.parse.urlencode({key: name})}",
                aria_current="page" if name == current else None,
            )
            for name in names
        ),
        class_="tabs",
        aria_label=label,
    )


def card(title: str | None, *content: TagChild, note: TagChild = None, wide: bool = False) -> Tag:
    """Put content into a box of its own."""
    return tags.section(
        tags.h2(title) if title else None,
        tags.p(note, class_="note") if note else None,
        *content,
        class_="card wide" if wide else "card",
    )


def grid(*cards: TagChild) -> Tag:
    """Lay cards out, side by side where there is room."""
    return tags.div(*cards, class_="grid-cards")


def figures(*pairs: tuple[str, TagChild]) -> Tag:
    """Show a few numbers large, each with its name."""
    return tags.dl(
        *(tags.div(tags.dt(name), tags.dd(value)) for name, value in pairs), class_="figures"
    )


def table(
    headings: Sequence[str],
    rows: Sequence[Sequence[TagChild]],
    *,
    caption: str,
    numbers: Sequence[int] = (),
) -> Tag:
    """Write a table; the columns of `numbers` are set to the right."""
    return tags.div(
        tags.table(
            tags.caption(caption),
            tags.thead(
                tags.tr(
                    *(
                        tags.th(each, scope="col", class_="number" if at in numbers else None)
                        for at, each in enumerate(headings)
                    )
                )
            ),
            tags.tbody(
                *(
                    tags.tr(
                        *(
                            tags.td(each, class_="number" if at in numbers else None)
                            for at, each in enumerate(row)
                        )
                    )
                    for row in rows
                )
            ),
        ),
        class_="scroll",
        tabindex="0",
        role="region",
        aria_label=caption,
    )


def pill(text: str, tone: str = "") -> Tag:
    """Mark a state: `good`, `bad`, `warn`, or none."""
    return tags.span(text, class_=f"pill {tone}".strip())


def notice(text: TagChild, tone: str = "warn") -> Tag:
    """Say something above the content; `bad` is read out at once."""
    return tags.div(text, class_=f"notice {tone}", role="alert" if tone == "bad" else "status")


def empty(text: TagChild, *more: TagChild) -> Tag:
    """Say that there is nothing yet, and what would bring it."""
    return tags.div(tags.p(text), *more, class_="empty")


def waiting(what: str) -> Tag:
    """Say that something is being read."""
    return tags.div(f"Reading {what}…", class_="empty waiting", role="status")


def problem(seen: Seen[T]) -> Tag | None:
    """Say why something could not be read anew, if so, and what is shown instead."""
    error = seen.problem
    if error is None:
        return None
    said = f"{error.part} is away: {error}" if isinstance(error, Away) else str(error)
    if isinstance(error, Missing) and not str(error).endswith("."):
        said = f"{said}."
    kept = (
        ""
        if seen.value is None
        else f" What is shown was read until {utc(seen.since, '%H:%M:%S')} UTC."
    )
    return notice(f"{said}{kept}", "bad")


def standing(parts: Sequence[Part]) -> Tag:
    """Show how the parts stand."""
    away = [each for each in parts if each.problem is not None]
    said = f"{', '.join(each.name for each in away)} away" if away else "all parts answer"
    listed = tags.ul(
        *(
            tags.li(
                tags.span(class_="dot bad" if each.problem else "dot good"),
                tags.strong(each.name),
                tags.code(each.address),
                tags.span(each.problem, class_="why") if each.problem else None,
            )
            for each in parts
        )
    )
    return tags.details(
        tags.summary(tags.span(class_="dot bad" if away else "dot good"), said),
        listed,
        class_="standing",
    )


_MARK = (
    '<svg viewBox="0 0 24 24" width="22" height="22" aria-hidden="true">'
    '<path d="M3 17l5-6 4 3 4-7 5 4" fill="none" stroke="currentColor" stroke-width="2.2" '
    'stroke-linecap="round" stroke-linejoin="round"/></svg>'
)
