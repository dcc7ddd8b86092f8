"""Bars: contributions one after the other, weights side by side, distributions."""

import dataclasses
from collections.abc import Sequence

from htmltools import Tag, TagList, svg

from . import axes

_ROW = 26
_NAMES = 215


@dataclasses.dataclass(frozen=True, slots=True)
class Bar:
    """One row."""

    name: str
    value: float
    said: str
    """Its value in words, beside the bar."""
    tone: str = ""
    """A class of its own in the place of `more` and `less`."""


def _rows(count: int, width: float) -> axes.Frame:
    return axes.Frame(
        width=width, height=count * _ROW + 34, left=_NAMES, right=64, top=4, bottom=26
    )


def across(bars: Sequence[Bar], label: str, *, form: axes.Format, width: float = 640) -> Tag:
    """Draw bars from zero, to the right what is more, to the left what is less."""
    frame = _rows(len(bars), width)
    low, high = axes.padded([each.value for each in bars], zero=True)
    x = frame.x(low, high)
    rows = [
        _row(frame, place, each, x(min(each.value, 0.0)), x(max(each.value, 0.0)))
        for place, each in enumerate(bars)
    ]
    zero = svg.line(class_="mark", x1=x(0), x2=x(0), y1=frame.top, y2=frame.height - frame.bottom)
    return axes.picture(frame, label, axes.grid_x(frame, x, form, 4), *rows, zero)


def waterfall(
    start: float, parts: Sequence[Bar], label: str, *, form: axes.Format, width: float = 640
) -> Tag:
    """Lead from a first value to the last, one part after the other."""
    frame = _rows(len(parts), width)
    reached, ends = start, []
    for each in parts:
        ends.append((reached, reached + each.value))
        reached += each.value
    x = frame.x(*axes.padded([start, *(end for pair in ends for end in pair)]))
    rows = []
    for place, (each, (begins, stops)) in enumerate(zip(parts, ends, strict=True)):
        rows.append(_row(frame, place, each, x(min(begins, stops)), x(max(begins, stops))))
        if place + 1 < len(parts):
            top = frame.top + place * _ROW
            rows.append(
                TagList(
                    svg.line(
                        class_="joint",
                        x1=x(stops),
                        x2=x(stops),
                        y1=top + _ROW - 5,
                        y2=top + _ROW + 5,
                    )
                )
            )
    marks = [
        svg.line(class_="mark", x1=x(at), x2=x(at), y1=frame.top, y2=frame.height - frame.bottom)
        for at in (start, reached)
    ]
    return axes.picture(frame, label, axes.grid_x(frame, x, form, 4), *marks, *rows)


def _row(frame: axes.Frame, place: int, bar: Bar, left: float, right: float) -> TagList:
    top = frame.top + place * _ROW
    tone = bar.tone or ("more" if bar.value >= 0 else "less")
    return TagList(
        svg.text(bar.name, class_="name", x=frame.left - 10, y=top + 17, text_anchor="end"),
        svg.rect(
            svg.title(f"{bar.name}: {bar.said}"),
            class_=f"bar {tone}",
            x=left,
            y=top + 5,
            width=max(round(right - left, 2), 1),
            height=_ROW - 10,
            rx=2,
        ),
        svg.text(bar.said, class_="said", x=right + 6, y=top + 17),
    )


def histogram(  # noqa: PLR0913  a chart has this many sides
    edges: Sequence[float],
    counts: Sequence[tuple[str, Sequence[float]]],
    label: str,
    *,
    form: axes.Format,
    frame: axes.Frame = axes.Frame(height=140, left=12),  # noqa: B008  it is frozen
    mark: float | None = None,
) -> Tag:
    """Draw distributions over the same bins on top of each other, each to its own sum."""
    x = frame.x(edges[0], edges[-1])
    sums = [sum(values) or 1.0 for _, values in counts]
    largest = max(
        (
            value / total
            for (_, values), total in zip(counts, sums, strict=True)
            for value in values
        ),
        default=1.0,
    )
    y = frame.y(0, largest * 1.05 or 1.0)
    drawn = []
    for place, ((name, values), total) in enumerate(zip(counts, sums, strict=True)):
        points = [(x(edges[0]), y(0))]
        for at, value in enumerate(values):
            height = y(value / total)
            points += [(x(edges[at]), height), (x(edges[at + 1]), height)]
        points.append((x(edges[-1]), y(0)))
        d = "M" + "L".join(f"{a:g} {b:g}" for a, b in points) + "Z"
        drawn.append(
            svg.path(
                svg.title(f"{name}: {total:g} values"), class_=f"density {axes.colour(place)}", d=d
            )
        )
    here = (
        TagList()
        if mark is None
        else TagList(svg.line(class_="mark now", x1=x(mark), x2=x(mark), y1=frame.top, y2=y(0)))
    )
    return axes.picture(frame, label, axes.grid_x(frame, x, form, 4), *drawn, here)
