"""A simulation's picture: what each policy lost, over the requests."""

import pathlib

import matplotlib as mpl
import numpy as np
from matplotlib import figure, ticker

from runtimes.bandit.simulation import environment, trial

_COLOURS = {
    "policy": "#1f6fb4",
    "fixed": "#8fa3bd",
    "uniform": "#c2c9d2",
    "epsilon-greedy": "#e08e0b",
    "ucb1": "#b3001b",
    "thompson": "#1a9850",
    "oracle": "#222222",
}


def draw(
    given: environment.Environment, found: dict[str, trial.Regret], path: pathlib.Path
) -> None:
    """Draw cumulated regret into a picture file, with bands of two standard errors."""
    mpl.use("Agg")
    page = figure.Figure(figsize=(10, 6), layout="constrained")
    axes = page.subplots()
    requests = np.minimum(np.arange(1, given.batches + 1) * given.batch, given.horizon)
    for name, each in found.items():
        colour = _COLOURS[name]
        axes.plot(
            requests,
            each.curve,
            color=colour,
            linewidth=2.4 if name == "policy" else 1.3,
            linestyle="--" if name in {"oracle", "fixed", "uniform"} else "-",
            label=f"{name}, {each.mean:,.0f}",
        )
        low, high = each.curve - 2 * each.band, each.curve + 2 * each.band
        axes.fill_between(requests, low, high, color=colour, alpha=0.15, linewidth=0)
    for phase in given.phases[1:]:
        axes.axvline(phase.begin, color="#999999", linestyle=":", linewidth=1)
    learnt = max(each.curve[-1] for name, each in found.items() if name not in {"fixed", "uniform"})
    if learnt > 0:
        axes.set_ylim(0, 1.15 * learnt)
    axes.set_xlim(0, given.horizon)
    axes.xaxis.set_major_formatter(ticker.StrMethodFormatter("{x:,.0f}"))
    axes.yaxis.set_major_formatter(ticker.StrMethodFormatter("{x:,.0f}"))
    axes.set_xlabel("requests; dotted: the means change")
    axes.set_ylabel("expected regret")
    axes.set_title(
        f"{len(given.arms)} arms, batches of {given.batch}, {given.repetitions} repetitions",
        fontsize="medium",
    )
    axes.grid(visible=True, alpha=0.25)
    axes.legend(loc="upper left", fontsize="small", frameon=False)
    page.savefig(path, dpi=120)
