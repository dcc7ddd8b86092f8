"""Markdown as GitHub shows it: what comes from outside cannot change the page around it."""

import collections.abc
import re

_TICKS = re.compile("`+")
_SPAN = re.compile(r"((?<!`)`[^`<>|]+`(?!`))")
"""Code within a sentence: between single ticks, and harmless should a tick beside it pair otherwise."""


def code(text: object) -> str:
    """Write a piece of code within a line; also fit for a table's cell."""
    plain = " ".join(str(text).split())
    ticks = "`" * (1 + max((len(run) for run in _TICKS.findall(plain)), default=0))
    padding = " " if plain.startswith("`") or plain.endswith("`") else ""
    return f"{ticks}{padding}{plain}{padding}{ticks}".replace("|", "\\|")


def prose(text: str) -> str:
    """Write a sentence of somebody else's: no tag, no mention, no link, no new block; code stays code."""
    joined = " ".join(text.split())
    parts = _SPAN.split(joined)  # every second is a span
    return "".join(part if i % 2 else _escaped(part) for i, part in enumerate(parts))


def _escaped(text: str) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([\\`*_\[\]|#!~])", r"\\\1", text)
    return re.sub(r"@(?=\w)", "@<!-- -->", text)


def block(text: str, language: str = "") -> str:
    """Write a block of code; its fence is longer than any that it holds."""
    longest = max((len(run) for run in _TICKS.findall(text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def table(
    headings: collections.abc.Sequence[str],
    rows: collections.abc.Iterable[collections.abc.Sequence[str]],
) -> str:
    """Write a table; what a cell holds is Markdown already. The first column is text, others numbers."""
    aligned = ["---", *["---:"] * (len(headings) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (headings, aligned, *rows))


def folded(summary: str, body: str) -> str:
    """Write a part that is opened by a click; `summary` is plain text."""
    shown = summary.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"<details><summary>{shown}</summary>\n\n{body}\n\n</details>"


def counted(count: int, one: str, many: str = "") -> str:
    """Say how many there are."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
