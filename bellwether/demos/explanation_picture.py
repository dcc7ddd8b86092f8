"""The third demo's pictures: one a method."""

import pathlib

import matplotlib as mpl
import numpy as np
from matplotlib import axes as mpl_axes
from matplotlib import dates as mpl_dates
from matplotlib import figure, patches, ticker

from . import documents, explained, periods

_UP, _DOWN, _NEUTRAL, _FORECAST = "#b3001b", "#1f6fb4", "#8fa3bd", "#222222"
_STEPS = 10
"""Contributions that a waterfall shows one by one."""


def draw(summary: explained.Summary, days: periods.Days, path: pathlib.Path) -> None:
    """Draw what was explained into a PNG file; `days` say how features vary."""
    mpl.use("Agg")
    page = figure.Figure(figsize=(12.5, 7.5), layout="constrained")
    page.suptitle(
        f"{summary.model} by {summary.method}: {summary.symbol}, {len(summary.days)} days from "
        f"{summary.days[0].date} to {summary.days[-1].date}",
        fontsize="large",
    )
    match summary.days[-1].document:
        case documents.Shap() as shap:
            sizes, waterfall = page.subplots(1, 2, width_ratios=(2, 3))
            _sizes(sizes, summary, "mean |contribution|, ln(volatility)")
            _waterfall(waterfall, shap, summary.days[-1].date)
        case documents.Lime() as lime:
            grid = page.add_gridspec(2, 2, width_ratios=(2, 3), height_ratios=(3, 1))
            _sizes(
                page.add_subplot(grid[:, 0]),
                summary,
                "mean |weight|, ln(volatility) by one standard deviation",
            )
            _weights(page.add_subplot(grid[0, 1]), lime, summary.days[-1].date)
            _fidelity(page.add_subplot(grid[1, 1]), summary)
        case documents.Counterfactuals():
            changes, flips = page.subplots(1, 2, width_ratios=(3, 2))
            _changes(changes, summary, days)
            _flips(flips, summary)
    page.savefig(path, dpi=120)


def _sizes(axes: mpl_axes.Axes, summary: explained.Summary, unit: str) -> None:
    sizes = summary.mean_sizes
    axes.barh(list(sizes), list(sizes.values()), color=_NEUTRAL)
    axes.invert_yaxis()
    axes.set_xlabel(unit)
    axes.set_title("all days", fontsize="medium")
    axes.grid(visible=True, axis="x", alpha=0.25)
    axes.tick_params(axis="y", labelsize="small")


def _waterfall(axes: mpl_axes.Axes, shap: documents.Shap, date: str) -> None:
    shown, others = shap.attributions[:_STEPS], shap.attributions[_STEPS:]
    names = [f"{each.feature} = {each.value:.3g}" for each in shown]
    parts = [each.contribution for each in shown]
    if others or shap.rest:
        names.append(f"{len(others)} others")
        parts.append(sum(each.contribution for each in others) + shap.rest)
    ends = shap.base_value + np.cumsum(parts)
    starts = np.concatenate([[shap.base_value], ends[:-1]])
    places = np.arange(len(parts))
    colours = [_UP if part > 0 else _DOWN for part in parts]
    axes.barh(places, parts, left=starts, color=colours, height=0.62)
    for place, (start, end, part) in enumerate(zip(starts, ends, parts, strict=True)):
        axes.annotate(
            f"{np.expm1(part):+.1%}",
            (max(start, end), place),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize="small",
        )
        if place + 1 < len(parts):
            axes.plot([end, end], [place, place + 1], color="0.6", linewidth=0.8)
    axes.set_yticks(places, names, fontsize="small")
    axes.invert_yaxis()
    axes.axvline(
        shap.base_value, color="0.4", linestyle=":", label=f"usual: {np.exp(shap.base_value):.1%}"
    )
    axes.axvline(shap.output, color=_FORECAST, label=f"forecast: {np.exp(shap.output):.1%}")
    axes.set_xlabel("volatility a year (log)")
    low, high = _padded(np.append(ends, shap.base_value), 0.18)
    axes.set_xlim(low, high)
    round_ = ticker.MaxNLocator(7).tick_values(float(np.exp(low)), float(np.exp(high)))
    shown_ = [value for value in round_ if np.exp(low) < value < np.exp(high)]
    axes.set_xticks(np.log(shown_), [f"{100 * value:.3g} %" for value in shown_])
    axes.set_title(
        f"{date}: from what is usual to the forecast; completeness error {shap.completeness_error:.1g}",
        fontsize="medium",
    )
    axes.grid(visible=True, axis="x", alpha=0.25)
    axes.legend(fontsize="small", loc="best")


def _padded(values: "np.typing.NDArray[np.float64]", share: float) -> tuple[float, float]:
    """Give ends that leave room for what is written beside the bars; bars alone stick to the edge."""
    low, high = float(values.min()), float(values.max())
    room = share * ((high - low) or 1.0)
    return low - room, high + room


def _weights(axes: mpl_axes.Axes, lime: documents.Lime, date: str) -> None:
    names = [f"{each.feature} = {each.value:.3g}" for each in lime.attributions]
    weights = [each.weight for each in lime.attributions]
    axes.barh(names, weights, color=[_UP if each > 0 else _DOWN for each in weights])
    axes.invert_yaxis()
    axes.axvline(0, color="0.4", linewidth=0.8)
    axes.tick_params(axis="y", labelsize="small")
    axes.set_xlabel("weight: ln(volatility) by one standard deviation of the feature")
    axes.set_title(
        f"{date}: forecast {np.exp(lime.output):.1%}, line {np.exp(lime.output_of_line):.1%}, "
        f"R² {lime.r_squared:.2f}",
        fontsize="medium",
    )
    axes.grid(visible=True, axis="x", alpha=0.25)


def _dates(axes: mpl_axes.Axes) -> None:
    locator = mpl_dates.AutoDateLocator()  # type: ignore[no-untyped-call]  # matplotlib's dates carry no types
    axes.xaxis.set_major_locator(locator)
    formatter = mpl_dates.ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]  # as above
    axes.xaxis.set_major_formatter(formatter)
    axes.grid(visible=True, alpha=0.25)


def _moments(summary: explained.Summary) -> "np.typing.NDArray[np.datetime64]":
    return np.array([day.date for day in summary.days], dtype="datetime64[D]")


def _fidelity(axes: mpl_axes.Axes, summary: explained.Summary) -> None:
    values = [
        day.document.r_squared for day in summary.days if isinstance(day.document, documents.Lime)
    ]
    axes.plot(_moments(summary), values, marker=".", color=_FORECAST, linewidth=0.8)
    axes.set_ylim(0, 1.02)
    axes.set_ylabel("R²")
    axes.set_title("fidelity of the line, day by day", fontsize="medium")
    _dates(axes)


def _changes(axes: mpl_axes.Axes, summary: explained.Summary, days: periods.Days) -> None:
    """Draw what the newest day's counterfactuals change, in deviations of the period's days."""
    axes.set_title("the newest day that flips: what would have been otherwise", fontsize="medium")
    day = next((each for each in reversed(summary.days) if _confirmed(each)), None)
    if day is None:
        axes.text(0.5, 0.5, "no counterfactual was found", ha="center", transform=axes.transAxes)
        return
    deviations = dict(zip(summary.columns, days.inputs.features.std(axis=0), strict=True))
    flips = _confirmed(day)
    names = list(dict.fromkeys(change.name for flip in flips for change in flip.found.changes))
    height = 0.8 / len(flips)
    for number, flip in enumerate(flips):
        for change in flip.found.changes:
            place = names.index(change.name)
            size = (change.after - change.before) / (deviations[change.name] or 1.0)
            at = place - 0.4 + height * (number + 0.5)
            axes.barh(at, size, height * 0.9, color=_colour(flip))
            axes.annotate(
                f"{change.before:.3g} → {change.after:.3g}",
                (size, at),
                xytext=(4 if size >= 0 else -4, 0),
                textcoords="offset points",
                va="center",
                ha="left" if size >= 0 else "right",
                fontsize="x-small",
            )
    for flip in flips:
        axes.barh(
            0, 0, color=_colour(flip),
            label=f"forecast {day.volatility:.1%} → {flip.again:.1%}",
        )  # fmt: skip
    axes.set_yticks(range(len(names)), names, fontsize="small")
    # Upside down, with room for the legend below the last bar.
    axes.set_ylim(len(names) + 0.5, -0.7)
    axes.axvline(0, color="0.4", linewidth=0.8)
    sizes = [patch.get_width() for patch in axes.patches if isinstance(patch, patches.Rectangle)]
    axes.set_xlim(*_padded(np.array([0.0, *sizes]), 0.3))
    axes.set_xlabel(f"change, in standard deviations of the period's days ({day.date})")
    axes.grid(visible=True, axis="x", alpha=0.25)
    axes.legend(fontsize="small", loc="lower right")


def _confirmed(day: explained.Explained) -> list[explained.Flip]:
    return [flip for flip in day.flips if flip.confirmed]


def _colour(flip: explained.Flip) -> str:
    found = flip.found
    return (
        _UP
        if found.after and found.before and found.after.volatility > found.before.volatility
        else _DOWN
    )


def _flips(axes: mpl_axes.Axes, summary: explained.Summary) -> None:
    moments = _moments(summary)
    forecasts = [day.volatility for day in summary.days]
    axes.plot(moments, forecasts, color=_FORECAST, linewidth=1, label="forecast")
    labelled = set()
    for moment, day in zip(moments, summary.days, strict=True):
        for flip in _confirmed(day):
            colour = _colour(flip)
            label = "flipped up, confirmed" if colour == _UP else "flipped down, confirmed"
            axes.plot([moment, moment], [day.volatility, flip.again], color=colour, linewidth=0.7)
            axes.plot(
                [moment], [flip.again], marker="^" if colour == _UP else "v", color=colour,
                markersize=4, linestyle="", label=None if label in labelled else label,
            )  # fmt: skip
            labelled.add(label)
        if len(_confirmed(day)) < len(day.flips):
            label = "a wish without an answer"
            axes.plot(
                [moment], [day.volatility], marker="x", color="0.4", linestyle="",
                label=None if label in labelled else label,
            )  # fmt: skip
            labelled.add(label)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)))
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{100 * value:.3g} %"))
    axes.yaxis.set_minor_formatter(ticker.NullFormatter())
    axes.set_ylabel("volatility a year (log)")
    axes.set_title("forecast, and where another today would have put it", fontsize="medium")
    _dates(axes)
    axes.legend(fontsize="small")
