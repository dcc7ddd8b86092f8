"""A load test over time, as a picture: latencies above, throughput and failures below."""

import pathlib

import matplotlib as mpl
import pandas as pd
from matplotlib import figure, ticker
from matplotlib.axes import Axes

from loadtests import baseline, itinerary, plan, summary

_COLOURS = {
    itinerary.Journey.MODEL: "#1f6fb4",
    itinerary.Journey.EXPERIMENT: "#c8511b",
    itinerary.Journey.PIPELINE: "#2c8a4b",
    itinerary.Journey.EXPLANATION: "#7a4fa3",
    itinerary.Journey.REWARD: "#8a6d1f",
}
_FAILED = "#b3001b"
_BEFORE = "#9a9a9a"
_BINS = 60
_QUANTILES = ((0.5, "-"), (0.99, ":"))


def draw(of: plan.Plan, kept: baseline.Baseline | None = None) -> pathlib.Path:
    """Draw a run into its folder, over its baseline's newest run in grey; return the path."""
    mpl.use("Agg")
    page = figure.Figure(figsize=(10, 6), layout="constrained")
    latency, throughput = page.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    width = max(0.5, of.seconds / _BINS)
    samples = _binned(of, width)
    for part in of.journey.parts:
        if kept:
            _plot_before(latency, kept, part, width)
        _plot(latency, throughput, samples, part, width)
    _offered(throughput, of, width)
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
    latency.set_title(f"{of.journey}, {of.shape}, {of.protocol}: up to {of.users} users")
    for axes in (latency, throughput):
        axes.axvspan(0, summary.WARM_UP_SECONDS, color="0.92", label="warm-up")
        axes.set_xlim(0, of.seconds)
        axes.grid(visible=True, which="both", alpha=0.25)
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize="small")
    path = of.folder / "load.png"
    page.savefig(path, dpi=110)
    return path


def _binned(of: plan.Plan, width: float) -> pd.DataFrame:
    samples = summary.read_samples(of)
    return samples.assign(bin=(samples["at"] // width) * width)


def _latency(samples: pd.DataFrame, part: itinerary.Journey, quantile: float) -> "pd.Series[float]":
    good = samples[(samples["journey"] == part.value) & (samples["failure"] == "")]
    return good.groupby("bin")["milliseconds"].quantile(quantile)


def _plot_before(
    latency: Axes, kept: baseline.Baseline, part: itinerary.Journey, width: float
) -> None:
    samples = _binned(kept.runs[-1], width)
    for quantile, style in _QUANTILES:
        known = _latency(samples, part, quantile)
        label = f"{part} in {kept.name}, p{quantile * 100:.0f}"
        latency.plot(known.index + width / 2, known, style, color=_BEFORE, lw=1, label=label)


def _plot(
    latency: Axes, throughput: Axes, samples: pd.DataFrame, part: itinerary.Journey, width: float
) -> None:
    mine = samples[samples["journey"] == part.value]
    if mine.empty:
        return
    colour = _COLOURS[part]
    for quantile, style in _QUANTILES:
        known = _latency(samples, part, quantile)
        label = f"{part}, p{quantile * 100:.0f}"
        latency.plot(known.index + width / 2, known, style, color=colour, label=label)
    rate = mine.groupby("bin").size() / width
    throughput.plot(rate.index + width / 2, rate, color=colour, label=part.value)


def _offered(throughput: Axes, of: plan.Plan, width: float) -> None:
    """Draw what was due, of all journeys together."""
    due = summary.read_due(of)
    due = due[due["second"] < of.seconds]
    if due.empty:
        return
    wide = max(1.0, width)
    rate = due.assign(bin=(due["second"] // wide) * wide).groupby("bin")["count"].sum() / wide
    throughput.plot(rate.index + wide / 2, rate, "--", color="0.3", lw=1, label="due, all")
