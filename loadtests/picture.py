"""A load test over time, as a picture: latencies above, throughput and failures below."""

import pathlib

import matplotlib as mpl
import pandas as pd
from matplotlib import figure, ticker

from loadtests import plan, summary

_PARTS = {"models": "#1f6fb4", "experiment": "#c8511b"}
_FAILED = "#b3001b"
_BINS = 60


def draw(of: plan.Plan, samples: pd.DataFrame) -> pathlib.Path:
    """Draw the samples of a plan into its folder, and return the picture's path."""
    mpl.use("Agg")
    page = figure.Figure(figsize=(10, 6), layout="constrained")
    latency, throughput = page.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    width = max(0.5, of.seconds / _BINS)
    samples = samples.assign(bin=(samples["at"] // width) * width)
    for journey, colour in _PARTS.items():
        mine = samples[samples["journey"] == journey]
        if mine.empty:
            continue
        good = mine[mine["failure"] == ""].groupby("bin")["milliseconds"]
        for quantile, style in ((0.5, "-"), (0.99, ":")):
            known = good.quantile(quantile)
            latency.plot(
                known.index + width / 2,
                known,
                style,
                color=colour,
                label=f"{journey}, p{quantile * 100:.0f}",
            )
        rate = mine.groupby("bin").size() / width
        throughput.plot(rate.index + width / 2, rate, color=colour, label=journey)
    failed = samples[samples["failure"] != ""].groupby("bin").size() / width
    if not failed.empty:
        throughput.bar(
            failed.index + width / 2, failed, width, color=_FAILED, alpha=0.6, label="failed"
        )
    latency.set_yscale("log")
    for locate in (latency.yaxis.set_major_formatter, latency.yaxis.set_minor_formatter):
        locate(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    latency.set_ylabel("latency, ms (log)")
    throughput.set_ylabel("requests/s")
    throughput.set_ylim(bottom=0)
    throughput.set_xlabel("seconds since the start")
    latency.set_title(f"{of.journey}: {of.users} users, {of.rate:g} requests/s each")
    for axes in (latency, throughput):
        axes.axvspan(0, summary.WARM_UP_SECONDS, color="0.92", label="warm-up")
        axes.set_xlim(0, of.seconds)
        axes.grid(visible=True, which="both", alpha=0.25)
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize="small")
    path = of.folder / "load.png"
    page.savefig(path, dpi=110)
    return path
