"""The first demo's picture: the price by regime, forecast against what came true, the branch."""

import pathlib
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import artist, figure, patches, ticker
from matplotlib import axes as mpl_axes
from matplotlib import dates as mpl_dates

from models import regimes

from . import walks

COLOURS: dict[str, str] = {
    regimes.VOLATILE: "#b3001b",
    regimes.RISING: "#1a9850",
    regimes.FALLING: "#e08e0b",
    regimes.CALM: "#8fa3bd",
}
_FORECAST = "#1f6fb4"
_REALISED = "#222222"
_TINT = 0.28
_LEGEND: dict[str, Any] = {
    "loc": "upper left",
    "bbox_to_anchor": (1, 1),
    "fontsize": "small",
    "frameon": False,
}
_DENSE_DAYS = 1000
"""From so many days on, lines are thin, interval and last value are left out."""


def draw(result: walks.Result, path: pathlib.Path) -> None:
    """Draw a walk into a PNG file."""
    mpl.use("Agg")
    walk = result.walk
    page = figure.Figure(figsize=(11, 8.5), layout="constrained")
    price, volatility, branch = page.subplots(3, 1, sharex=True, height_ratios=(3, 4, 1.6))
    inputs = walk.days.inputs
    page.suptitle(
        f"Routing by regime: {inputs.symbol}, {inputs.date[0]} to {inputs.date[-1]} "
        f"({walk.days.period.what})",
        fontsize="large",
    )
    _price(price, walk)
    _volatility(volatility, walk)
    _branch(branch, walk)
    for axes in (price, volatility, branch):
        axes.grid(visible=True, alpha=0.25)
        axes.set_xlim(inputs.date[0], inputs.date[-1])
    locator = mpl_dates.AutoDateLocator()  # type: ignore[no-untyped-call]  # matplotlib's dates carry no types
    branch.xaxis.set_major_locator(locator)
    formatter = mpl_dates.ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]  # as above
    branch.xaxis.set_major_formatter(formatter)
    branch.set_xlabel(_measured(result))
    page.savefig(path, dpi=120)


def _measured(result: walks.Result) -> str:
    whole = result.comparisons[0]
    errors = ", ".join(f"{name} {each.value:.3f}" for name, each in whole.errors.items())
    parts = []
    for against, gain in (
        (f"best single model ({whole.best_single})", whole.over_best_single),
        ("last value", whole.over_last_value),
    ):
        interval = f" [{gain.low:+.1%}, {gain.high:+.1%}]" if np.isfinite(gain.low) else ""
        parts.append(f"{against} {gain.value:+.1%}{interval}")
    seen = (
        "\nThe models were fitted on these days, which flatters each of them."
        if result.seen
        else ""
    )
    return (
        f"\nerror (RMSE of log volatility): {errors}\n"
        f"gain of routing over the {'; over the '.join(parts)}.{seen}"
    )


def _width(walk: walks.Walk) -> float:
    return 0.7 if len(walk.days) > _DENSE_DAYS else 1.4


def _stretches(walk: walks.Walk) -> list[tuple[str, Any, Any]]:
    """Give regime, first day, and the day after the last one, of each stretch of one regime."""
    dates, regime = walk.days.inputs.date, walk.regime
    starts = np.flatnonzero(np.append(True, regime[1:] != regime[:-1]))
    days = np.append(dates, dates[-1] + 1)
    ends = np.append(starts[1:], len(regime))
    return [
        (str(regime[start]), days[start], days[end])
        for start, end in zip(starts, ends, strict=True)
    ]


def _price(axes: mpl_axes.Axes, walk: walks.Walk) -> None:
    inputs = walk.days.inputs
    for regime, start, end in _stretches(walk):
        axes.axvspan(start, end, color=COLOURS[regime], alpha=_TINT, linewidth=0)
    handles: list[artist.Artist] = [
        *axes.plot(inputs.date, inputs.close, color=_REALISED, linewidth=_width(walk))
    ]
    labels = ["adjusted close"]
    for name in regimes.NAMES:
        handles.append(patches.Patch(color=COLOURS[name], alpha=_TINT))
        labels.append(f"{name}, days: {int((walk.regime == name).sum())}")
    axes.legend(handles, labels, **_LEGEND)
    axes.set_ylabel(f"{inputs.symbol}, points")
    axes.yaxis.set_major_formatter(ticker.StrMethodFormatter("{x:,.0f}"))
    axes.set_title("price, coloured by the regime of the branch that answered", fontsize="medium")


def _volatility(axes: mpl_axes.Axes, walk: walks.Walk) -> None:
    dates, width = walk.days.inputs.date, _width(walk)
    axes.plot(
        dates,
        np.exp(walk.days.log_volatility),
        color=_REALISED,
        linewidth=width * 0.8,
        alpha=0.75,
        label="came true",
    )
    axes.plot(dates, np.exp(walk.routed), color=_FORECAST, linewidth=width, label="routed forecast")
    if len(walk.days) <= _DENSE_DAYS:
        axes.plot(
            dates,
            np.exp(walk.days.last_value),
            color="#999999",
            linewidth=width * 0.7,
            linestyle=":",
            label="last value (past week)",
        )
        axes.fill_between(
            dates,
            walk.interval[:, 0],
            walk.interval[:, 1],
            color=_FORECAST,
            alpha=0.15,
            linewidth=0,
            label="its interval",
        )
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{100 * value:.3g} %"))
    axes.yaxis.set_minor_formatter(ticker.NullFormatter())
    axes.legend(**_LEGEND)
    axes.set_ylabel("volatility a year (log)")
    axes.set_title(
        "volatility of the five trading days after: forecast on the day, and what came true",
        fontsize="medium",
    )


def _branch(axes: mpl_axes.Axes, walk: walks.Walk) -> None:
    order: list[str] = list(walk.models)
    for place, regime in enumerate(order):
        model = walk.models[regime]
        stretches = [
            (start, end - start) for each, start, end in _stretches(walk) if each == regime
        ]
        axes.broken_barh(
            stretches,
            (place - 0.38, 0.76),
            color=COLOURS[regime],
            linewidth=0,
            label=f"{walks.short(model)}: {walk.share(model):.0%} of days",
        )
    axes.set_yticks(range(len(order)), [walks.short(walk.models[regime]) for regime in order])
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.legend(**_LEGEND)
    axes.set_title("branch that answered", fontsize="medium")
