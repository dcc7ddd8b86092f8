"""The drift report as a person reads it in a terminal."""

import rich.table

from . import drift


def table(found: drift.Report) -> rich.table.Table:
    """Draw the features, those furthest beyond their critical value first."""
    score = "not known" if found.score is None else f"{found.score:.2f}"
    drawn = rich.table.Table(
        title=f"{found.symbol}, {found.days} days from {found.first} to {found.last}: "
        f"drift score {score} (0.5 is the border)",
        title_justify="left",
        caption=f"p-values take days for independent, which they are not; marked below "
        f"{found.threshold:.4f}. Drifted: D above what it was in the symbol's own past.",
    )
    for heading in ("feature", "mean before", "mean after", "p-value", "D", "critical", "drifted"):
        drawn.add_column(heading)
    for each in sorted(found.features, key=_beyond, reverse=True):
        drawn.add_row(
            each.name,
            f"{each.mean_before:.4g}",
            f"{each.mean_after:.4g}",
            f"{each.p_value:.2g}{' *' if each.below_corrected else ''}",
            "" if each.statistic is None else f"{each.statistic:.2f}",
            "" if each.critical is None else f"{each.critical:.2f} of {each.days} days",
            "yes" if each.drifted else "",
        )
    return drawn


def _beyond(each: drift.Feature) -> float:
    return 0.0 if each.statistic is None or not each.critical else each.statistic / each.critical
