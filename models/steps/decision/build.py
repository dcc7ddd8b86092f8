"""Learns the decision's calibration from every model's ledger, and writes it with its card."""

import hashlib
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from models import artifacts, card, dataset, index, linear, steps
from runtimes import contract
from runtimes.predictor import artifact

from . import confidence, reliability

SCHEMA = 1
DOCUMENT = "calibration.json"
"""Read by `runtimes.decision.calibration`."""


def build(task: steps.Task, folder: pathlib.Path) -> Mapping[str, Any]:
    """Write calibration and card. See `steps.Builder`."""
    data = task.data
    ledgers = {name: artifacts.load_ledger(record.ledger) for name, record in task.models.items()}
    rows = confidence.together(
        [
            confidence.tried(
                data, name, ledgers[name], artifact.read_manifest(record.folder).interval
            )
            for name, record in task.models.items()
        ]
    ).newest()
    usual = confidence.usual(data)
    _write(folder / DOCUMENT, _calibration(data, rows, usual, task.models))
    described = _describe(rows, usual, reliability.walk(data, ledgers))
    _write(folder / card.DOCUMENT, described)
    (folder / card.PAGE).write_text(page(described), encoding="utf-8")
    return steps.settings("decision", "runtimes.decision.runtime.Decision")


def _calibration(
    data: dataset.Dataset,
    rows: confidence.Tried,
    usual: confidence.Usual,
    models: Mapping[str, index.Record],
) -> dict[str, Any]:
    learnt = confidence.learn(rows)
    return {
        "schema": SCHEMA,
        "factor": confidence.FACTOR,
        "horizon_days": contract.HORIZON_DAYS,
        "intercept": learnt.intercept,
        "log_width": learnt.log_width,
        "regimes": dict(learnt.regimes),
        "models": {
            artifacts.settings(name)["name"]: {
                "offset": learnt.models[name],
                "artifacts": [record.artifact, _manifest_digest(record.folder)],
            }
            for name, record in models.items()
        },
        "symbols": sorted(set(data.symbols) & set(rows.symbol.tolist())),
        "unseen_symbol": confidence.for_unseen_symbols(rows),
        "width": {"lowest": learnt.width[0], "highest": learnt.width[1]},
        "volatility": {
            "lowest": linear.rounded(rows.volatility.min()),
            "highest": linear.rounded(rows.volatility.max()),
        },
        "fallback": linear.rounded(usual.near.mean()),
    }


def _manifest_digest(folder: pathlib.Path) -> str:
    """Give how a predictor names an artifact whose folder has lost its name."""
    manifest = (folder / artifact.MANIFEST).read_bytes()
    return f"manifest-sha256-{hashlib.sha256(manifest).hexdigest()}"


def _describe(
    rows: confidence.Tried, usual: confidence.Usual, years: Sequence[reliability.Year]
) -> dict[str, Any]:
    """Give the card's document."""
    return {
        "summary": (
            "Probability that the volatility of the next five days comes out within a factor of "
            f"{confidence.FACTOR:g} of the forecast"
        ),
        "learnt_from": {
            "rows": len(rows),
            "from": str(rows.date.min()),
            "to": str(rows.date.max()),
            "near": linear.rounded(rows.near.mean()),
            "near_by_regime": _shares(rows.regime, rows.near),
            "near_by_model": _shares(rows.model, rows.near),
            "near_by_symbol": _shares(rows.symbol, rows.near),
        },
        "fallback": {
            "rows": len(usual.near),
            "from": str(usual.date.min()),
            "to": str(usual.date.max()),
            "near": linear.rounded(usual.near.mean()),
        },
        "later_years": reliability.measure(years).document() if years else None,
    }


def _shares(names: confidence.Names, near: confidence.Flags) -> dict[str, float]:
    return {str(name): float(f"{near[names == name].mean():.4g}") for name in np.unique(names)}


def page(described: Mapping[str, Any]) -> str:
    """Give the card as Markdown."""
    learnt, fallback, later = (
        described[part] for part in ("learnt_from", "fallback", "later_years")
    )
    lines = [
        "# decision",
        "",
        f"{described['summary']}.",
        "",
        "## Learnt from",
        (
            f"{learnt['rows']} forecasts of days that no fit had seen, {learnt['from']} to "
            f"{learnt['to']}; {learnt['near']:.1%} of them came out near."
        ),
        (
            f"The fallback: {fallback['rows']} days, {fallback['from']} to {fallback['to']}; "
            f"{fallback['near']:.1%} came out near the median of all days known before their year."
        ),
        "",
        "| part | near |",
        "|---|---|",
        *(
            f"| {name} | {share:.1%} |"
            for kind in ("near_by_regime", "near_by_model", "near_by_symbol")
            for name, share in learnt[kind].items()
        ),
        "",
        "## On later years than it was learnt from",
    ]
    if later is None:
        lines += ["The forecasts span too few days to learn from some and try on others.", ""]
        return "\n".join(lines)
    lines += [
        (
            f"{later['rows']} forecasts: expected calibration error "
            f"{later['expected_calibration_error']:.3f}, Brier score {later['brier']:.4f}; "
            f"a constant's is {later['brier_of_constant']:.4f}."
        ),
        "",
        "| rows | confidence | came out near |",
        "|---|---|---|",
        *(
            f"| {each['rows']} | {each['confidence']:.3f} | {each['near']:.3f} |"
            for each in later["bins"]
        ),
        "",
        "| year | confidence | came out near |",
        "|---|---|---|",
        *(
            f"| {number} | {each['confidence']:.3f} | {each['near']:.3f} |"
            for number, each in later["years"].items()
        ),
        "",
    ]
    return "\n".join(lines)


def _write(path: pathlib.Path, document: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")
