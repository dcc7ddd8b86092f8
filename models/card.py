"""A model's card (Mitchell et al. 2019): what it is, what it was made of, how good it was.

One document for programs, and the same as a page for people.
"""

from typing import Any

import numpy as np

from runtimes.features import definitions
from runtimes.predictor import artifact

from . import dataset, discovery, features, fitting, procedure, provenance, scoring, sources

DOCUMENT = "card.json"
PAGE = "CARD.md"

LIMITS = (
    "Direction is a probability close to the base rate: nobody can call tomorrow's.",
    "Volatility is measured from daily prices; of a close-only series it is a noisy measure.",
    "The forecast is the middle of what is likely in logarithms, below the mean variance.",
)


def describe(
    trained: fitting.Trained,
    data: dataset.Dataset,
    source: sources.Source,
    origin: provenance.Provenance,
) -> dict[str, Any]:
    """Give the card's document."""
    declared = discovery.declared(trained.name)
    return {
        "model": trained.name,
        "summary": declared.summary,
        "kind": trained.fitted.kind,
        "regime": declared.regime,
        "data": {
            "source": source.description,
            "licence": source.licence,
            "digest": origin.data,
            "symbols": {symbol: _range(data, symbol) for symbol in data.symbols},
        },
        "features": {column.name: _column(column) for column in features.FEATURES},
        "history": {
            "days": data.length,
            "channels": {column.name: _column(column) for column in features.CHANNELS},
        },
        "training": {
            "seed": origin.seed,
            "code": origin.code,
            "packages": dict(origin.packages),
            "members": dict(origin.members),
            "embargo": f"{procedure.EMBARGO.astype(int)} calendar days beyond the targets",
        },
        "interval_level": trained.interval.level,
        "held_out": held_out(trained, data),
        "limits": list(LIMITS),
    }


def held_out(trained: fitting.Trained, data: dataset.Dataset) -> dict[str, Any]:
    """Give the measures on the ledger's days, with those of the last value beside them."""
    names = tuple(column.name for column in features.FEATURES)
    rows = trained.ledger.rows
    earlier = procedure.known_before(data, data.date[rows].min())
    last = scoring.naive(data, names, rows, base_rate=float(data.rise[earlier].mean()))
    return {
        "from": str(data.date[rows].min()),
        "to": str(data.date[rows].max()),
        "rows": len(rows),
        "measures": _measures(data, trained.ledger),
        "naive": _measures(data, last),
    }


def _measures(data: dataset.Dataset, ledger: fitting.Ledger) -> dict[str, float]:
    values = scoring.measures(scoring.losses(data, ledger).matrix().mean(axis=0))
    return {
        name: float(f"{value:.6g}")
        for name, value in zip(scoring.LOWER_IS_BETTER, values, strict=True)
    }


def _range(data: dataset.Dataset, symbol: str) -> dict[str, Any]:
    dates = data.date[data.of(symbol)]
    if not len(dates):
        return {"from": None, "to": None, "days": 0}
    return {"from": str(np.min(dates)), "to": str(np.max(dates)), "days": len(dates)}


def _column(column: definitions.Feature) -> dict[str, str]:
    return {"unit": column.unit, "description": column.description}


def page(card: dict[str, Any]) -> str:
    """Give the card as Markdown."""
    held = card["held_out"]
    data = card["data"]
    low, high = artifact.VOLATILITY_BOUNDS
    lines = [
        f"# {card['model']}",
        "",
        f"{card['summary']}.",
        f"Made for {card['regime'] or 'every'} market{'s' if card['regime'] else ''}.",
        "",
        "## Forecasts",
        "Volatility over the next five trading days, annualised, with an interval",
        f"at the level {card['interval_level']:.0%};",
        "the probability that tomorrow closes above today.",
        f"Volatilities are cut to {low:.1%} and {high:.0%}.",
        "",
        "## Data",
        f"{data['source']}; licence: {data['licence']}.",
        "",
        "| symbol | from | to | days |",
        "|---|---|---|---|",
        *(
            f"| {symbol} | {span['from']} | {span['to']} | {span['days']} |"
            for symbol, span in data["symbols"].items()
        ),
        "",
        f"## On {held['rows']} rows held out, {held['from']} to {held['to']}",
        "| measure | this model | last value |",
        "|---|---|---|",
        *(
            f"| {name} | {value:.4f} | {held['naive'][name]:.4f} |"
            for name, value in held["measures"].items()
        ),
        "",
        "## Features",
        "| name | unit | what |",
        "|---|---|---|",
        *(
            f"| {name} | {column['unit']} | {column['description']} |"
            for name, column in card["features"].items()
        ),
        "",
        f"History: {card['history']['days']} days of {', '.join(card['history']['channels'])}.",
        "",
        "## Limits",
        *(f"- {limit}" for limit in card["limits"]),
        "",
        "## Made of",
        f"Seed {card['training']['seed']}, code {card['training']['code'][:16]}, "
        f"data {data['digest'][:16]}, "
        + ", ".join(f"{name} {version}" for name, version in card["training"]["packages"].items())
        + ".",
        "",
    ]
    return "\n".join(lines)
