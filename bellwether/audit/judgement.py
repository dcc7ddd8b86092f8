"""The page's parts about the forecast itself: what, why, under which rules, and what it was worth."""

import json
from collections.abc import Mapping
from typing import Any

from runtimes import contract
from runtimes.contract import bandits

from . import dossier, markup
from .markup import Markup

GUARD, ROUTER = "guard", "regime-router"


def summary(found: dossier.Dossier) -> Markup:
    """Say in a line what the page is about."""
    if found.kind == "failed":
        return markup.paragraph(f"It was not answered: {_failure(found)}", "bad")
    if found.kind == "experiment":
        document = found.document(bandits.DECISIONS)
        return markup.paragraph(
            f"Answered by {document.get('arm')}, an arm of the experiment {found.name}, "
            f"{moment(found.time)}"
        )
    answered = found.pipeline("outputs")
    return markup.paragraph(
        f"{single(answered, contract.SYMBOL)} on {single(answered, contract.DATE)}, "
        f"through {found.name}, answered {moment(found.time)}"
    )


def forecast(found: dossier.Dossier) -> Markup:
    """Show the answer."""
    if found.kind == "experiment":
        return _decided(found)
    answered = found.pipeline("outputs")
    if not answered:
        return Markup("")
    interval = answered.get(contract.INTERVAL)
    rows: list[tuple[str, object]] = [
        ("volatility, next 5 days", _percent(single(answered, contract.PREDICTION), "a year")),
        (
            "interval",
            " to ".join(str(_percent(each)) for each in interval.data) if interval else None,
        ),
        ("rises on the next day", _percent(single(answered, contract.DIRECTION))),
        ("confidence", _percent(single(answered, contract.CONFIDENCE))),
        ("position", _percent(single(answered, contract.POSITION), "of wealth")),
        ("regime", single(answered, contract.REGIME)),
        ("model", _joined(answered, contract.MODEL)),
    ]
    shown = {
        *(contract.SYMBOL, contract.DATE, contract.PREDICTION, contract.INTERVAL),
        *(contract.DIRECTION, contract.CONFIDENCE, contract.POSITION, contract.REGIME),
        *(contract.MODEL, contract.PREDICTION_ID, contract.RULES, contract.EXPLANATION),
        *(contract.QUALITY, contract.QUALITY_SCORE, contract.DRIFT_SCORE, contract.ANOMALY_SCORE),
    }
    rows += [
        (name, ", ".join(map(str, tensor.data[:8])))
        for name, tensor in answered.items()
        if name not in shown
    ]
    return markup.pairs([(name, value) for name, value in rows if value is not None])


def _decided(found: dossier.Dossier) -> Markup:
    document = found.document(bandits.DECISIONS)
    epoch = found.document(bandits.ALLOCATIONS)
    weights = epoch.get("weights") or {}
    arm, total = document.get("arm"), sum(weights.values())
    rows: list[tuple[str, object]] = [
        ("arm", arm),
        *((f"context: {name}", value) for name, value in (document.get("context") or {}).items()),
    ]
    if total:
        rows += [
            ("probability of the arm", f"{weights.get(arm, 0) / total:.1%}"),
            ("weights that acted", ", ".join(f"{name} {value}" for name, value in weights.items())),
            ("epoch", f"{epoch.get('epoch')} of policy {epoch.get('policy')}"),
        ]
    note = (
        "An experiment's request goes to one arm alone: only its decision is recorded, not its "
        "tensors. What goes through a pipeline is recorded step by step."
    )
    return markup.join([markup.pairs(rows), markup.paragraph(note, "quiet")])


def unusual(found: dossier.Dossier) -> Markup:
    """Show the guard's scores, what it did for them, and what was known of the symbol's drift."""
    guard = found.step(GUARD)
    if not guard:
        return Markup("")
    rows: list[tuple[str, object]] = [
        ("drift score", f"{single(guard, contract.DRIFT_SCORE)} (0.5 is the border)"),
        ("anomaly score", f"{single(guard, contract.ANOMALY_SCORE)} (0.5 is the border)"),
        ("accepted, because", single(guard, contract.ACCEPTED)),
        ("left to the fallback, because", single(guard, contract.FALLBACK)),
    ]
    parts = [markup.pairs([(name, value) for name, value in rows if value is not None])]
    told = found.document(dossier.DRIFT)
    if told:
        parts.append(
            markup.paragraph(
                f"Told last of this symbol's drift before: {told.get('kind')} at "
                f"{told.get('time')}, score {told.get('score')}"
            )
        )
        names = ("name", "statistic", "critical", "days", "mean_before", "mean_after")
        rows_ = [
            [markup.number(feature.get(name)) for name in names]
            for feature in told.get("features") or ()
            if isinstance(feature, dict)
        ]
        parts.append(markup.table([name.replace("_", " ") for name in names], rows_))
    else:
        parts.append(markup.paragraph("No drift of this symbol had been told of.", "quiet"))
    return markup.join(parts)


def regime(found: dossier.Dossier) -> Markup:
    """Show what the router saw, and why it chose."""
    routing = found.document(dossier.ROUTING)
    if not routing:
        if not found.step(GUARD):
            return Markup("")
        return markup.paragraph("The router was not asked: the fallback answered.")
    rows: list[tuple[str, object]] = [
        ("regime", routing.get("regime")),
        ("why", routing.get("reason")),
        ("regime before", routing.get("previous")),
        ("branch", routing.get("branch")),
        ("volatility, a year", markup.number(routing.get("volatility"))),
        ("trend over the window", markup.number(routing.get("trend"))),
        ("probability of the branch", routing.get("propensity")),
        *((f"setting: {name}", value) for name, value in (routing.get("thresholds") or {}).items()),
    ]
    return markup.pairs([(name, value) for name, value in rows if value is not None])


def explanation(found: dossier.Dossier) -> Markup:
    """Draw the explanation, and give all of its numbers."""
    document = parsed(found.pipeline("outputs"), contract.EXPLANATION)
    if not document:
        return Markup("")
    if "missing" in document:
        return markup.paragraph(f"There is none: {document['missing']}")
    given = [each for each in document.get("attributions", ()) if isinstance(each, dict)]
    parts = [(each["feature"], float(each["contribution"])) for each in given]
    if "rest" in document:
        parts.append(("all others", float(document["rest"])))
    drawn = markup.waterfall(float(document["base_value"]), parts, float(document["output"]))
    rows = [
        [
            each["feature"],
            markup.number(each.get("value")),
            each.get("unit"),
            markup.number(each["contribution"]),
            f"{each.get('effect_percent', 0.0):+.2f} %",
        ]
        for each in given
    ]
    about = [
        (name.replace("_", " "), json.dumps(value) if isinstance(value, dict) else value)
        for name, value in document.items()
        if name not in {"attributions", "milliseconds", "cached"}
    ]
    return markup.join(
        [
            drawn,
            markup.table(("feature", "value", "unit", "contribution", "effect"), rows),
            markup.pairs(about),
        ]
    )


def rules(found: dossier.Dossier) -> Markup:
    """Show each rule that had a part in the decision."""
    answered = found.pipeline("outputs")
    if contract.RULES not in answered:
        return Markup("")
    fired = parsed(answered, contract.RULES)
    if not fired:
        return markup.paragraph("None.")
    rows = [
        [
            rule.get("name"),
            rule.get("of"),
            markup.number(rule.get("before")),
            markup.number(rule.get("after")),
            rule.get("reason"),
        ]
        for rule in fired
    ]
    return markup.table(("rule", "of", "before", "after", "because"), rows)


def reward(found: dossier.Dossier) -> Markup:
    """Show what came back: rewards by their metric, and what the monitor found to be true."""
    rewards = found.of(bandits.REWARDS)
    known = found.of(dossier.MONITORING)
    if not rewards and not known:
        return markup.paragraph("No reward, and no truth, had come for it.", "quiet")
    rows = [
        [
            moment(entry.time),
            (entry.document or {}).get("metric"),
            (entry.document or {}).get("value"),
            entry.problem or ("" if at == 0 else "came again"),
        ]
        for at, entry in enumerate(rewards)
    ]
    parts = [markup.table(("came", "metric", "value", ""), rows)] if rows else []
    parts += [
        markup.pairs((name, markup.number(value)) for name, value in flat(entry.document or {}))
        for entry in known
    ]
    return markup.join(parts)


def _failure(found: dossier.Dossier) -> str:
    errors = [entry for entry in found.entries if entry.text is not None]
    said = [
        f"{dict(entry.headers).get('seldon-pipeline-errors', 'a step')}: {entry.text}"
        for entry in errors
    ]
    return "; ".join(said)


def single(tensors: Mapping[str, dossier.Tensor], name: str) -> Any:
    """Give a tensor's first value; None if it is not there."""
    tensor = tensors.get(name)
    return tensor.data[0] if tensor is not None and tensor.data else None


def parsed(tensors: Mapping[str, dossier.Tensor], name: str) -> Any:
    """Read a tensor of JSON; None if it is not there, or is none."""
    try:
        return json.loads(single(tensors, name) or "null")
    except (TypeError, ValueError):
        return None


def moment(milliseconds: int) -> str:
    """Write a time of Kafka's in UTC."""
    whole, rest = divmod(milliseconds, 1000)
    return f"{dossier.utc(whole)}.{rest:03d} UTC"


def flat(document: Mapping[str, Any], before: str = "") -> list[tuple[str, Any]]:
    """Give a document's values by their paths."""
    found: list[tuple[str, Any]] = []
    for name, value in document.items():
        if isinstance(value, dict):
            found += flat(value, f"{before}{name}.")
        else:
            found.append((f"{before}{name}", value))
    return found


def _percent(value: object, of: str = "") -> str | None:
    if not isinstance(value, int | float):
        return None
    return f"{value:.2%} {of}".strip()


def _joined(tensors: Mapping[str, dossier.Tensor], name: str) -> str | None:
    tensor = tensors.get(name)
    return ", ".join(map(str, tensor.data)) if tensor is not None else None
