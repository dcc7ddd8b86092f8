"""The page's parts about where the forecast comes from: inputs, features, data, model, records."""

import math
from collections.abc import Mapping
from typing import Any

from runtimes import contract

from . import dossier, judgement, markup
from .markup import Markup

ENRICHMENT = "enrichment"
_SHOWN = 12
"""Values of a tensor that are printed."""


def inputs(found: dossier.Dossier) -> Markup:
    """Show what the caller sent."""
    asked = found.pipeline("inputs")
    rows = [
        [name, tensor.datatype, "×".join(map(str, tensor.shape)), _values(tensor)]
        for name, tensor in asked.items()
    ]
    return markup.table(("tensor", "datatype", "shape", "values"), rows) if rows else Markup("")


def features(found: dossier.Dossier) -> Markup:
    """Show each feature with its value, where it came from, and the event that it is of."""
    record = found.document(dossier.ENRICHED)
    values = record.get("features")
    if not isinstance(values, dict):
        return Markup("")
    views = {
        feature: (view, str(each.get("time", "")))
        for view, each in (record.get("views") or {}).items()
        for feature in each.get("features", ())
    }
    given = set(record.get("given") or ())
    described: Mapping[str, Any] = (found.card.document.get("features") or {}) if found.card else {}
    trained = set(described)
    rows = []
    for name in sorted({*values, *trained}, key=lambda each: (each not in trained, each)):
        view, time = views.get(name, ("", ""))
        about = described.get(name) or {}
        rows.append(
            [
                name,
                markup.number(values.get(name), 6)
                if values.get(name) is not None
                else markup.strong("missing"),
                about.get("unit"),
                about.get("description"),
                "the caller" if name in given else view,
                "" if name in given else time,
            ]
        )
    parts = [
        markup.paragraph(
            f"The market's time was {record.get('market_time') or 'not known'}; "
            f"the newest bar is of {record.get('date') or 'no day'}.",
        ),
        markup.table(("feature", "value", "unit", "what it is", "from", "event time"), rows),
    ]
    history = found.step(ENRICHMENT).get(contract.HISTORY)
    if history is not None and len(history.shape) == 3:  # noqa: PLR2004  rows, days, channels
        returns = [_float(value) for value in history.data[:: history.shape[2]]]
        parts.append(markup.paragraph(f"The last {len(returns)} daily log returns, oldest first:"))
        parts.append(markup.bars(returns, "daily log returns"))
    return markup.join(parts)


def quality(found: dossier.Dossier) -> Markup:
    """Show the quality's score and what is wrong."""
    enriched = found.step(ENRICHMENT)
    score = judgement.single(enriched, contract.QUALITY_SCORE)
    if score is None:
        return Markup("")
    report = judgement.parsed(enriched, contract.QUALITY) or {}
    rows: list[tuple[str, object]] = [("score", score), ("because", report.pop("reason", None))]
    rows += [(name.replace("_", " "), ", ".join(map(str, each))) for name, each in report.items()]
    return markup.pairs([(name, value) for name, value in rows if value not in {None, ""}])


def model(found: dossier.Dossier) -> Markup:
    """Show which artifact forecast, and what it says of itself."""
    card = found.card
    if card is None:
        return Markup("")
    parts = [
        markup.pairs(
            [("model", card.model), ("version", card.version), ("artifact", card.artifact)]
        )
    ]
    if card.problem is not None:
        parts.append(markup.paragraph(f"There is no card: {card.problem}."))
    if card.text:
        parts.append(markup.preformatted(card.text))
    return markup.join(parts)


def steps(found: dossier.Dossier) -> Markup:
    """List every record with its place, and what identifies its content."""
    first = found.entries[0].time
    rows = [
        [
            f"{(entry.time - first) / 1000:+.3f} s",
            entry.topic,
            f"{entry.partition}/{entry.offset}",
            entry.size,
            markup.strong(f"unreadable: {entry.problem}") if entry.problem else _said(entry),
            entry.digest[:16],
        ]
        for entry in found.entries
    ]
    return markup.join(
        [
            markup.paragraph(f"Times are Kafka's, from {judgement.moment(first)} on."),
            markup.table(("time", "topic", "place", "bytes", "says", "SHA-256"), rows),
        ]
    )


def _said(entry: dossier.Entry) -> str:
    if entry.text is not None:
        return entry.text
    if entry.tensors is not None:
        return ", ".join(
            f"{name} [{'×'.join(map(str, tensor.shape))}]" for name, tensor in entry.tensors.items()
        )
    return ", ".join(entry.document or {})


def _values(tensor: dossier.Tensor) -> str:
    shown = ", ".join(str(each) for each in tensor.data[:_SHOWN])
    left = len(tensor.data) - _SHOWN
    return f"{shown}, and {left} more" if left > 0 else shown


def _float(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
