"""A chart's frame: scales, ticks, grid, legend."""

import dataclasses
import datetime as dt
import math
from collections.abc import Callable, Sequence

from htmltools import Tag, TagList, svg

Format = Callable[[float], str]

COLOURS = 8
"""How many classes `c0`, `c1`… the style sheet has."""

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_STEPS = (1, 5, 15, 30, _MINUTE, 5 * _MINUTE, 15 * _MINUTE, 30 * _MINUTE, _HOUR, 3 * _HOUR,
          6 * _HOUR, 12 * _HOUR, _DAY, 2 * _DAY, 7 * _DAY, 30 * _DAY, 90 * _DAY, 365 * _DAY)  # fmt: skip
"""Seconds between ticks of time."""


@dataclasses.dataclass(frozen=True, slots=True)
class Scale:
    """A straight line from values to pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Give the pixel of a value."""
        width = self.high - self.low or 1.0
        return round(self.start + (value - self.low) / width * (self.end - self.start), 2)


@dataclasses.dataclass(frozen=True, slots=True)
class Frame:
    """The outer size, and what is left around the plot, in units of the picture."""

    width: float = 640
    height: float = 240
    left: float = 56
    right: float = 12
    top: float = 10
    bottom: float = 26

    def x(self, low: float, high: float) -> Scale:
        """Give the horizontal scale."""
        return Scale(low, high, self.left, self.width - self.right)

    def y(self, low: float, high: float) -> Scale:
        """Give the vertical scale: up is more."""
        return Scale(low, high, self.height - self.bottom, self.top)


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Give round numbers of 1, 2 or 5 times a power of ten within bounds, about `count` of them."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return [low]
    rough = (high - low) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(each * power for each in (1, 2, 5, 10) if each * power >= rough)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def time_ticks(low: float, high: float, count: int = 6) -> list[float]:
    """Give round times between two Unix times."""
    rough = (high - low) / max(count, 1)
    step = next((each for each in _STEPS if each >= rough), _STEPS[-1])
    first, last = math.ceil(low / step), math.floor(high / step)
    return [float(number * step) for number in range(first, last + 1)]


def moment(seconds: float, span: float) -> str:
    """Write a time as briefly as the span of the axis allows (UTC)."""
    found = dt.datetime.fromtimestamp(seconds, dt.UTC)
    if span < 10 * _MINUTE:
        return found.strftime("%H:%M:%S")
    if span < 2 * _DAY:
        return found.strftime("%H:%M")
    return found.strftime("%d %b" if span < 400 * _DAY else "%b %Y")


def padded(
    values: Sequence[float], *, zero: bool = False, share: float = 0.06
) -> tuple[float, float]:
    """Give bounds around values, with some room; `zero` is inside them if asked for."""
    finite = [each for each in values if math.isfinite(each)]
    if zero or not finite:
        finite.append(0.0)
    low, high = min(finite), max(finite)
    room = (high - low) * share or abs(high) * share or 1.0
    return (low if zero and low == 0 else low - room), high + room


def grid_y(frame: Frame, scale: Scale, form: Format, count: int = 4) -> TagList:
    """Draw horizontal lines with their values."""
    return TagList(
        *(
            TagList(
                svg.line(
                    class_="grid",
                    x1=frame.left,
                    x2=frame.width - frame.right,
                    y1=scale(at),
                    y2=scale(at),
                ),
                svg.text(
                    form(at), class_="tick", x=frame.left - 8, y=scale(at) + 4, text_anchor="end"
                ),
            )
            for at in ticks(scale.low, scale.high, count)
        )
    )


def marks_x(frame: Frame, scale: Scale, at: Sequence[float], form: Format) -> TagList:
    """Write values below the plot."""
    return TagList(
        *(
            svg.text(
                form(each), class_="tick", x=scale(each), y=frame.height - 8, text_anchor="middle"
            )
            for each in at
        )
    )


def grid_x(frame: Frame, scale: Scale, form: Format, count: int = 5) -> TagList:
    """Draw vertical lines with their values."""
    at = ticks(scale.low, scale.high, count)
    lines = (
        svg.line(
            class_="grid",
            x1=scale(each),
            x2=scale(each),
            y1=frame.top,
            y2=frame.height - frame.bottom,
        )
        for each in at
    )
    return TagList(*lines, marks_x(frame, scale, at, form))


def picture(frame: Frame, label: str, *content: Tag | TagList | None) -> Tag:
    """Put a chart together; `label` is read out instead of it."""
    return svg.svg(
        *content,
        class_="chart",
        role="img",
        aria_label=label,
        viewBox=f"0 0 {frame.width:g} {frame.height:g}",
        preserveAspectRatio="xMidYMid meet",
    )


def colour(place: int) -> str:
    """Give the class of the n-th series."""
    return f"c{place % COLOURS}"


def legend(names: Sequence[str]) -> Tag:
    """Say which colour is whose."""
    return Tag(
        "ul",
        *(
            Tag("li", Tag("span", class_=f"swatch {colour(place)}"), name)
            for place, name in enumerate(names)
        ),
        class_="legend",
    )
