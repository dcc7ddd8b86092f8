"""HTML that stands alone: escaped texts, tables, and two pictures; nothing is loaded from anywhere."""

import html
import itertools
from collections.abc import Iterable, Sequence


class Markup(str):
    """HTML; every other text is escaped."""

    __slots__ = ()


def text(given: object) -> Markup:
    """Escape a text."""
    return Markup(html.escape(str(given)))


def join(parts: Iterable[Markup]) -> Markup:
    """Put parts below each other."""
    return Markup("\n".join(part for part in parts if part))


def section(name: str, title: str, *parts: Markup) -> Markup:
    """Give a section with its heading."""
    return Markup(f'<section id="{name}"><h2>{text(title)}</h2>\n{join(parts)}\n</section>')


def paragraph(said: object, kind: str = "") -> Markup:
    """Give a paragraph of a text."""
    named = f' class="{kind}"' if kind else ""
    return Markup(f"<p{named}>{text(said)}</p>")


def strong(said: object) -> Markup:
    """Give an emphasised text."""
    return Markup(f"<strong>{text(said)}</strong>")


def pairs(rows: Iterable[tuple[str, object]]) -> Markup:
    """Give names with their values."""
    listed = "\n".join(
        f'<tr><th scope="row">{text(name)}</th><td>{_cell(value)}</td></tr>' for name, value in rows
    )
    return Markup(f'<table class="pairs">{listed}</table>')


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> Markup:
    """Give a table; numbers stand on the right."""
    head = "".join(f'<th scope="col">{text(each)}</th>' for each in headings)
    body = "\n".join(
        "<tr>" + "".join(f"<td{_aligned(each)}>{_cell(each)}</td>" for each in row) + "</tr>"
        for row in rows
    )
    return Markup(
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def preformatted(given: str) -> Markup:
    """Give a text as it is written."""
    return Markup(f"<pre>{text(given)}</pre>")


def number(value: object, digits: int = 4) -> object:
    """Give a number as a person reads it, anything else as it is."""
    if isinstance(value, float):
        return float(f"{value:.{digits}g}")
    return value


def waterfall(base: float, parts: Sequence[tuple[str, float]], output: float) -> Markup:
    """Draw how contributions lead from a base value to an output, one below the other."""
    ends = list(itertools.accumulate((length for _, length in parts), initial=base))
    low, high = min(*ends, output, base), max(*ends, output, base)
    span = (high - low) or 1.0

    def place(value: float) -> float:
        return 300 + (value - low) / span * 400

    height = 24 * (len(parts) + 2) + 10
    lines = [_label(18, "usual", f"{base:.4f}")]
    for row, ((name, length), start) in enumerate(zip(parts, ends, strict=False), 1):
        left, right = sorted((place(start), place(start + length)))
        colour = "#b3001b" if length > 0 else "#1f6fb4"
        lines.append(
            f'<rect x="{left:.1f}" y="{row * 24 + 6}" width="{max(right - left, 1):.1f}" '
            f'height="14" fill="{colour}"/>'
        )
        lines.append(_label(row * 24 + 18, name, f"{length:+.4f}"))
    lines.append(_label(height - 14, "forecast", f"{output:.4f}"))
    lines += [
        f'<line x1="{place(value):.1f}" y1="0" x2="{place(value):.1f}" y2="{height}" '
        'stroke="#888" stroke-dasharray="2 3"/>'
        for value in (base, output)
    ]
    return _picture(height, lines, "how the features lead from what is usual to the forecast")


def bars(values: Sequence[float], said: str) -> Markup:
    """Draw a series around 0, oldest first."""
    known = [value for value in values if value == value]  # noqa: PLR0124  NaN is missing
    largest = max((abs(value) for value in known), default=0.0) or 1.0
    width = 780 / max(len(values), 1)
    lines = ['<line x1="0" y1="40" x2="780" y2="40" stroke="#888"/>']
    for at, value in enumerate(values):
        if value != value:  # noqa: PLR0124  NaN is missing
            continue
        length = abs(value) / largest * 38
        top = 40 - length if value > 0 else 40
        colour = "#1f6fb4" if value > 0 else "#b3001b"
        lines.append(
            f'<rect x="{at * width:.1f}" y="{top:.1f}" width="{width * 0.8:.1f}" '
            f'height="{length:.1f}" fill="{colour}"/>'
        )
    return _picture(80, lines, said)


def _label(y: int, name: str, value: str) -> str:
    return (
        f'<text x="0" y="{y}">{text(name)}</text>'
        f'<text x="290" y="{y}" text-anchor="end">{text(value)}</text>'
    )


def _picture(height: int, lines: Iterable[str], said: str) -> Markup:
    return Markup(
        f'<svg viewBox="0 0 780 {height}" role="img" aria-label="{text(said)}">'
        + "".join(lines)
        + "</svg>"
    )


def _cell(value: object) -> Markup:
    if isinstance(value, Markup):
        return value
    return text("" if value is None else value)


def _aligned(value: object) -> str:
    return ' class="number"' if isinstance(value, int | float) else ""
