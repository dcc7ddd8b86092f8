"""The second demo's picture: latency of bars, quality over time, what a request's features cost."""

import pathlib

import matplotlib as mpl
import numpy as np
from matplotlib import axes as mpl_axes
from matplotlib import figure, ticker

from . import freshness, streaming, work

_COLOURS = ("#1f6fb4", "#c8511b", "#1a9850", "#7b4fa3", "#b3001b", "#8c6d31")
_LIMIT = "#b3001b"
_BINS = 40


def draw(result: streaming.Result, cost: work.Work, path: pathlib.Path) -> None:
    """Draw what a watch saw into a PNG file."""
    mpl.use("Agg")
    page = figure.Figure(figsize=(11, 8), layout="constrained")
    grid = page.add_gridspec(2, 2, width_ratios=(3, 2))
    latency, costs = page.add_subplot(grid[0, 0]), page.add_subplot(grid[0, 1])
    quality = page.add_subplot(grid[1, :])
    page.suptitle(
        f"Feature store while history streams through it: {result.bars} bars of "
        f"{', '.join(result.symbols)} in {result.ended - result.began:.0f} s",
        fontsize="large",
    )
    _latency(latency, result)
    _costs(costs, cost)
    _quality(quality, result)
    page.savefig(path, dpi=120)


def _latency(axes: mpl_axes.Axes, result: streaming.Result) -> None:
    found = result.milliseconds
    axes.set_title("from a bar's arrival to the first answer that knows it", fontsize="medium")
    axes.set_xlabel("milliseconds (log)")
    axes.set_ylabel("bars")
    if not len(found):
        axes.text(0.5, 0.5, "no bar was served", ha="center", transform=axes.transAxes)
        return
    low = max(0.5, float(found.min()) * 0.8)
    high = max(streaming.LIMIT_MS * 1.3, float(found.max()) * 1.2)
    axes.hist(
        np.clip(found, low, None),
        bins=list(np.geomspace(low, high, _BINS)),
        color=_COLOURS[0],
        alpha=0.7,
    )
    p50, p99 = freshness.percentiles(found)
    axes.axvline(p50, color="#222222", label=f"p50 {p50:.0f} ms")
    axes.axvline(p99, color="#222222", linestyle="--", label=f"p99 {p99:.0f} ms")
    axes.axvline(
        streaming.LIMIT_MS, color=_LIMIT, linestyle=":", label=f"limit {streaming.LIMIT_MS:.0f} ms"
    )
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(ticker.NullFormatter())
    axes.grid(visible=True, alpha=0.25)
    axes.legend(fontsize="small")


def _costs(axes: mpl_axes.Axes, cost: work.Work) -> None:
    names = ("from the store,\nthrough the gateway", f"computed of\n{cost.bars} raw bars")
    values = (cost.store_ms, cost.computed_ms)
    bars = axes.barh(names, values, color=(_COLOURS[0], _COLOURS[1]), height=0.5)
    axes.bar_label(bars, [f"{value:.1f} ms" for value in values], padding=4)
    axes.set_xlim(0, max(values) * 1.4)
    axes.invert_yaxis()
    axes.set_xlabel("milliseconds a request, median")
    axes.set_title("a request's features and history", fontsize="medium")
    axes.grid(visible=True, axis="x", alpha=0.25)


def _quality(axes: mpl_axes.Axes, result: streaming.Result) -> None:
    if result.held:
        begin, end = (moment - result.began for moment in result.held)
        axes.axvspan(begin, end, color="0.88", label="no bar comes")
    for place, symbol in enumerate(result.symbols):
        moments, values = result.quality.of(symbol)
        axes.step(
            moments - result.began,
            values,
            where="post",
            color=_COLOURS[place % len(_COLOURS)],
            # Those that are alike stay visible below one another.
            linewidth=max(1.0, 4.0 - place),
            label=symbol,
        )
    axes.axhline(
        streaming.POOR, color=_LIMIT, linestyle=":", label=f"below {streaming.POOR}: fallback"
    )
    axes.set_xlim(0, result.ended - result.began)
    axes.set_ylim(-0.02, 1.05)
    axes.set_xlabel("seconds since the first bar")
    axes.set_ylabel("quality score, 0..1")
    axes.set_title(
        "quality of the enriched features: it falls as they grow stale", fontsize="medium"
    )
    axes.grid(visible=True, alpha=0.25)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize="small", frameon=False)
