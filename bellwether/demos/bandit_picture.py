"""The bandit demo's picture: the split over the days, what is believed, what was gained."""

import pathlib
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import axes as mpl_axes
from matplotlib import dates as mpl_dates
from matplotlib import figure, ticker

from . import judging, outcomes, walks

COLOURS = ("#8fa3bd", "#1f6fb4", "#e08e0b", "#1a9850", "#b3001b", "#7a4fa3", "#5c4033", "#222222")
_LEGEND: dict[str, Any] = {
    "loc": "upper left",
    "bbox_to_anchor": (1, 1),
    "fontsize": "small",
    "frameon": False,
}


def draw(result: judging.Result, path: pathlib.Path) -> None:
    """Draw a walk into a PNG file."""
    mpl.use("Agg")
    walk = result.walk
    page = figure.Figure(figsize=(11, 9), layout="constrained")
    split, belief, gain = page.subplots(3, 1, sharex=True, height_ratios=(3, 3, 3))
    made_up = result.origin is outcomes.Origin.SYNTHETIC
    page.suptitle(
        f"An experiment whose weights follow its rewards: {', '.join(walk.days.symbols)}, "
        f"{walk.days.date[0]} to {walk.today}" + (", rewards MADE UP" if made_up else ""),
        fontsize="large",
    )
    _split(split, result)
    _belief(belief, result)
    _gain(gain, result)
    locator = mpl_dates.AutoDateLocator()  # type: ignore[no-untyped-call]  # matplotlib's dates carry no types
    gain.xaxis.set_major_locator(locator)
    formatter = mpl_dates.ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]  # as above
    gain.xaxis.set_major_formatter(formatter)
    gain.set_xlabel(
        "utility a year, hundredths of a per cent: the learnt split's less the fixed one's "
        f"{judging.points(result.over_fixed)}\n"
        f"less that of {result.best} alone, the best single arm, known afterwards, "
        f"{judging.points(result.gains.over[result.best])}; "
        f"95 % over {result.gains.days} days"
    )
    for axes in (split, belief, gain):
        axes.grid(visible=True, alpha=0.25)
        axes.set_xlim(walk.days.date[0], walk.today)
        if made_up:
            axes.axvline(walk.days.date[len(walk.days) // 2], color="#222222", linestyle=":")
    page.savefig(path, dpi=120)


def _split(axes: mpl_axes.Axes, result: judging.Result) -> None:
    walk = result.walk
    moments = walk.moment[: walk.done].max(axis=1)
    shares = result.told.acting(moments, walk.fixed)
    axes.stackplot(
        walk.days.date[: walk.done],
        shares.T,
        colors=COLOURS,
        alpha=0.75,
        labels=[walks.short(arm) for arm in walk.arms],
    )
    for edge in np.cumsum(walk.fixed)[:-1]:
        axes.axhline(edge, color="#222222", linewidth=0.8, linestyle="--")
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(ticker.PercentFormatter(1))
    axes.legend(**_LEGEND)
    axes.set_title(
        f"share of the traffic, {len(result.told.known)} epochs (dashed: the fixed split)",
        fontsize="medium",
    )


def _belief(axes: mpl_axes.Axes, result: judging.Result) -> None:
    walk, beliefs = result.walk, result.told.beliefs
    if beliefs:
        dates = walk.days.date[[max(0, each.row - 1) for each in beliefs]]
        for place, arm in enumerate(walk.arms):
            mean = np.array([each.mean[place] for each in beliefs])
            sd = np.array([each.sd[place] for each in beliefs])
            axes.plot(dates, mean, color=COLOURS[place], linewidth=1.2, label=walks.short(arm))
            axes.fill_between(
                dates, mean - sd, mean + sd, color=COLOURS[place], alpha=0.12, linewidth=0
            )
        axes.legend(**_LEGEND)
    axes.yaxis.set_major_formatter(ticker.PercentFormatter(1))
    axes.set_title("posterior mean of a reward, ± one standard deviation", fontsize="medium")


def _gain(axes: mpl_axes.Axes, result: judging.Result) -> None:
    walk = result.walk
    dates = walk.days.date[: walk.done]
    worth = walk.worth[: walk.done]
    axes.plot(
        dates,
        np.cumsum(walk.earned - walk.fixed_earned),
        color="#222222",
        linewidth=1.4,
        label="learnt split",
    )
    for place, arm in enumerate(walk.arms):
        axes.plot(
            dates,
            np.cumsum(worth[:, place] - walk.fixed_earned),
            color=COLOURS[place],
            linewidth=0.9,
            label=f"{walks.short(arm)} alone",
        )
    axes.axhline(0, color="#222222", linewidth=0.8, linestyle="--")
    axes.legend(**_LEGEND)
    axes.set_title(
        "earned more than the fixed split, summed over the rows (utility)", fontsize="medium"
    )
