"""Lines, steps, stacked shares, and densities."""

import dataclasses
import math
from collections.abc import Sequence

from htmltools import Tag, TagList, svg

from . import axes


@dataclasses.dataclass(frozen=True, slots=True)
class Series:
    """Values over time or over another number."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]


def lines(  # noqa: PLR0913  a chart has this many sides
    series: Sequence[Series],
    label: str,
    *,
    form: axes.Format,
    frame: axes.Frame = axes.Frame(),  # noqa: B008  it is frozen
    times: bool = True,
    x_form: axes.Format | None = None,
    zero: bool = False,
    marks: Sequence[tuple[float, str]] = (),
) -> Tag:
    """Draw a line each; `marks` are horizontal lines with what they mean."""
    given = [each for each in series if each.x]
    every_x = [value for each in given for value in each.x] or [0.0, 1.0]
    low, high = min(every_x), max(every_x)
    x = frame.x(low, high if high > low else low + 1)
    heights = [value for each in given for value in each.y] + [at for at, _ in marks]
    y = frame.y(*axes.padded(heights, zero=zero))
    written = x_form or (lambda at: axes.moment(at, high - low) if times else f"{at:g}")
    at = axes.time_ticks(low, high) if times else axes.ticks(low, high)
    drawn = [_path(each, x, y, place) for place, each in enumerate(series) if each.x]
    return axes.picture(
        frame,
        label,
        axes.grid_y(frame, y, form),
        axes.marks_x(frame, x, at, written),
        *(_mark(frame, y, *each) for each in marks),
        *drawn,
        _readings(given, x, frame, written, form),
    )


def _path(each: Series, x: axes.Scale, y: axes.Scale, place: int) -> Tag:
    points = [(x(a), y(b)) for a, b in zip(each.x, each.y, strict=True) if math.isfinite(b)]
    if len(points) == 1:
        return svg.circle(class_=f"dot {axes.colour(place)}", cx=points[0][0], cy=points[0][1], r=3)
    d = "M" + "L".join(f"{a:g} {b:g}" for a, b in points)
    return svg.path(class_=f"line {axes.colour(place)}", d=d)


def _mark(frame: axes.Frame, y: axes.Scale, at: float, what: str) -> TagList:
    return TagList(
        svg.line(class_="mark", x1=frame.left, x2=frame.width - frame.right, y1=y(at), y2=y(at)),
        svg.text(what, class_="tick", x=frame.width - frame.right, y=y(at) - 4, text_anchor="end"),
    )


def _readings(  # noqa: PLR0913  as above
    series: Sequence[Series],
    x: axes.Scale,
    frame: axes.Frame,
    x_form: axes.Format,
    form: axes.Format,
    most: int = 120,
) -> TagList:
    """Columns without colour that tell what is below the pointer."""
    if not series:
        return TagList()
    longest = max(series, key=lambda each: len(each.x))
    stride = max(1, len(longest.x) // most)
    columns = []
    width = (frame.width - frame.left - frame.right) / max(1, len(longest.x[::stride]))
    for place in range(0, len(longest.x), stride):
        at = longest.x[place]
        said = [
            f"{each.name}: {form(each.y[place])}"
            for each in series
            if len(each.y) == len(longest.y)
        ]
        columns.append(
            svg.rect(
                svg.title("\n".join((x_form(at), *said))),
                class_="reading",
                x=round(x(at) - width / 2, 2),
                y=frame.top,
                width=round(width, 2),
                height=frame.height - frame.top - frame.bottom,
            )
        )
    return TagList(*columns)


def shares(series: Sequence[Series], label: str, *, frame: axes.Frame = axes.Frame()) -> Tag:  # noqa: B008  it is frozen
    """Stack shares of 1 over time, each holding until the next; all have the same times."""
    times = series[0].x if series else ()
    low, high = (times[0], times[-1]) if times else (0.0, 1.0)
    x, y = frame.x(low, high if high > low else low + 1), frame.y(0, 1)
    below = [0.0] * len(times)
    layers = []
    for place, each in enumerate(series):
        above = [a + b for a, b in zip(below, each.y, strict=True)]
        outline = _stairs(times, above, x, y) + _stairs(times, below, x, y)[::-1]
        d = "M" + "L".join(f"{a:g} {b:g}" for a, b in outline) + "Z"
        layers.append(svg.path(class_=f"area {axes.colour(place)}", d=d))
        below = above
    return axes.picture(
        frame,
        label,
        *layers,
        axes.grid_y(frame, y, lambda at: f"{at:.0%}"),
        axes.marks_x(frame, x, axes.time_ticks(low, high), lambda at: axes.moment(at, high - low)),
        _readings(series, x, frame, lambda at: axes.moment(at, high - low), lambda at: f"{at:.1%}"),
    )


def _stairs(
    times: Sequence[float], values: Sequence[float], x: axes.Scale, y: axes.Scale
) -> list[tuple[float, float]]:
    found = []
    for place, (at, value) in enumerate(zip(times, values, strict=True)):
        if place:
            found.append((x(at), y(values[place - 1])))
        found.append((x(at), y(value)))
    return found


def densities(
    given: Sequence[tuple[str, float, float]],
    label: str,
    *,
    form: axes.Format,
    frame: axes.Frame = axes.Frame(),  # noqa: B008  it is frozen
) -> Tag:
    """Draw normal laws of (name, mean, standard deviation), each to its own height."""
    known = [(name, mean, sd) for name, mean, sd in given if sd > 0 and math.isfinite(sd)]
    ends = [end for _, mean, sd in known for end in (mean - 3.2 * sd, mean + 3.2 * sd)] or [
        0.0,
        1.0,
    ]
    x, y = frame.x(min(ends), max(ends)), frame.y(0, 1.08)
    curves = []
    for place, (name, mean, sd) in enumerate(known):
        points = [mean + sd * step / 16 for step in range(-52, 53)]
        outline = [(x(at), y(math.exp(-(((at - mean) / sd) ** 2) / 2))) for at in points]
        d = "M" + "L".join(f"{a:g} {b:g}" for a, b in outline)
        curves.append(
            TagList(
                svg.path(
                    svg.title(f"{name}: {form(mean)} ± {form(sd)}"),
                    class_=f"density {axes.colour(place)}",
                    d=d + "Z",
                ),
                svg.line(
                    class_=f"line {axes.colour(place)}", x1=x(mean), x2=x(mean), y1=y(0), y2=y(1)
                ),
            )
        )
    return axes.picture(frame, label, axes.grid_x(frame, x, form), *curves)
