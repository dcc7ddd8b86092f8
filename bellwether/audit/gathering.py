"""Finds all records of one prediction: its answer first, then what lies around it in time."""

import hashlib
import math
import re
from collections.abc import Iterable
from typing import Any

import pydantic_core

from runtimes.contract import bandits, inference

from . import cards, dossier, records

_EARLIER_MS, _LATER_MS = 5_000, 10_000
"""How long before and after a pipeline's answer the records of its steps may be."""
_EARLY_MS = 60_000
"""How much sooner than its decision a reward may be in Kafka: arms publish without waiting."""
_FOREVER_MS = 2**52
_BY_SYMBOL = frozenset({dossier.ROUTING, dossier.ENRICHED})
"""Topics whose records have the prediction's id inside rather than as their key."""


def gather(
    reader: records.Reader, identity: str, namespace: str, known: cards.Cards
) -> dossier.Dossier:
    """Collect all records of a prediction.

    Raises:
        dossier.AuditError: nothing is recorded of it.
        records.AwayError: Kafka does not answer.

    """
    dossier.checked(identity)
    kind, name, anchor = _anchor(reader, identity, namespace)
    found = [anchor, *_around(reader, identity, namespace, anchor)]
    if kind == "experiment":
        found += _split(reader, name, anchor.time)
    found += _later(reader, identity, anchor.time)
    symbol = _symbol(found)
    if symbol is not None:
        found += _drift(reader, symbol, anchor.time)
    unique = {record.place: record for record in found}
    entries = tuple(entry(each) for each in sorted(unique.values(), key=lambda each: each.order))
    made = dossier.Dossier(
        id=identity, kind=kind, name=name, namespace=namespace, time=anchor.time, entries=entries
    )
    return made.model_copy(update={"card": _card(made, known)})


def _anchor(
    reader: records.Reader, identity: str, namespace: str
) -> tuple[dossier.Kind, str, records.Record]:
    """Find what the prediction is: its answer by a pipeline, its failure, an arm's decision."""
    answers = re.compile(rf"seldon\.{re.escape(namespace)}\.pipeline\.(.+)\.outputs")
    for topic in reader.topics():
        match = answers.fullmatch(topic)
        answer = reader.newest(topic, identity) if match else None
        if match and answer is not None:
            return "pipeline", match[1], answer
    failed = reader.newest(inference.errors(namespace), identity)
    if failed is not None:
        return "failed", dict(failed.headers).get("pipeline", "").partition(".")[0], failed
    decided = reader.newest(bandits.DECISIONS, identity)
    if decided is not None:
        document = entry(decided).document or {}
        return "experiment", str(document.get("experiment", "")), decided
    raise dossier.AuditError(_unknown(reader, identity))


def _unknown(reader: records.Reader, identity: str) -> str:
    said = f"nothing is recorded of a prediction {identity!r}"
    if reader.newest(bandits.REWARDS, identity) is not None:
        said += ", except a reward: its records have expired, or the reward names another id"
    return (
        f"{said}. Ids are those that answers carry as `prediction_id` or `x-request-id`; records "
        "are kept for `bellwether:record_days`. "
        "A page that was written earlier holds its records: `--from PAGE.html`"
    )


def _around(
    reader: records.Reader, identity: str, namespace: str, anchor: records.Record
) -> list[records.Record]:
    prefix, key = f"seldon.{namespace}.", identity.encode()
    topics = [each for each in reader.topics() if each.startswith(prefix)]

    def wanted(message: records.Message) -> bool:
        if message.topic() in _BY_SYMBOL:
            return key in records.content(message)
        return bool(message.key() == key)

    found = reader.within(
        [*topics, *_BY_SYMBOL, bandits.DECISIONS],
        anchor.time - _EARLIER_MS,
        anchor.time + _LATER_MS,
        wanted,
    )
    return [each for each in found if each.topic not in _BY_SYMBOL or _names(each, identity)]


def _names(record: records.Record, identity: str) -> bool:
    return (entry(record).document or {}).get("id") == identity


def _split(reader: records.Reader, experiment: str, time: int) -> list[records.Record]:
    """Find the epoch whose weights acted when an experiment's request was split."""
    key = experiment.encode()
    epochs = reader.all(bandits.ALLOCATIONS, lambda message: bool(message.key() == key))
    acted = [
        each
        for each in epochs
        if each.time <= time and (entry(each).document or {}).get("applied") is True
    ]
    return acted[-1:]


def _later(reader: records.Reader, identity: str, time: int) -> list[records.Record]:
    """Find all rewards, and the first of what the monitor told: it may tell again after a kill."""
    key = identity.encode()
    topics = (bandits.REWARDS, dossier.MONITORING)
    found = reader.within(
        topics, time - _EARLY_MS, _FOREVER_MS, lambda message: bool(message.key() == key)
    )
    rewards = [each for each in found if each.topic == bandits.REWARDS]
    return rewards + [each for each in found if each.topic == dossier.MONITORING][:1]


def _drift(reader: records.Reader, symbol: str, time: int) -> list[records.Record]:
    """Find what was said last of the drift of a symbol."""
    key = symbol.encode()
    told = reader.all(dossier.DRIFT, lambda message: bool(message.key() == key))
    return [each for each in told if each.time <= time][-1:]


def _symbol(found: Iterable[records.Record]) -> str | None:
    for record in found:
        if record.topic == dossier.ENRICHED:
            symbol = (entry(record).document or {}).get("symbol")
            return symbol if isinstance(symbol, str) else None
    return None


def entry(record: records.Record) -> dossier.Entry:
    """Decode a record."""
    return dossier.Entry(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        time=record.time,
        key=record.key,
        headers=record.headers,
        size=len(record.value),
        digest=hashlib.sha256(record.value).hexdigest(),
        **_content(record),
    )


def _content(record: records.Record) -> dict[str, Any]:
    if record.topic.endswith(".errors.errors"):
        return {"text": record.value.decode(errors="replace")}
    if record.topic.startswith("seldon."):
        try:
            read = inference.tensors(record.value)
        except inference.InvalidMessage as error:
            return {"problem": str(error)}
        return {
            "tensors": {
                name: dossier.Tensor(
                    datatype=each.datatype, shape=each.shape, data=_plain(each.data)
                )
                for name, each in read.items()
            }
        }
    try:
        document = pydantic_core.from_json(record.value, allow_inf_nan=False)
    except ValueError as error:
        return {"problem": f"no JSON: {error}"}
    if not isinstance(document, dict):
        return {"problem": f"expected an object, got {type(document).__name__}"}
    return {"document": document}


def _plain(data: Iterable[Any]) -> tuple[Any, ...]:
    """Give values that JSON has: None for NaN, a text for what is infinite."""
    return tuple(_finite(value) if isinstance(value, float) else value for value in data)


def _finite(value: float) -> float | str | None:
    if math.isfinite(value):
        return value
    return None if math.isnan(value) else str(value)


def _card(made: dossier.Dossier, known: cards.Cards) -> dossier.Card | None:
    model = made.pipeline("outputs").get("model")
    if model is None or len(model.data) != 3:  # noqa: PLR2004  name, version, artifact
        return None
    name, version, artifact = map(str, model.data)
    return known(name, version, artifact)
