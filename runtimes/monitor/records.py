"""Topics' records as rows of the monitor's files."""

import datetime as dt
import json
import math
from typing import Any

from runtimes import contract
from runtimes.contract import bandits, inference

Row = dict[str, Any]


class MalformedRecord(ValueError):  # noqa: N818  the record is, nothing failed
    """A record that cannot be used: what is wrong with it."""


def moment(milliseconds: int) -> dt.datetime:
    """Give Kafka's time of a record."""
    return dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC)


def prediction(value: bytes | None, milliseconds: int) -> Row:
    """Read what the prediction pipeline answered."""
    try:
        tensors = inference.tensors(value)
    except inference.InvalidMessage as error:
        raise MalformedRecord(str(error)) from error
    texts = {name: str(_first(tensors, name)) for name in _TEXTS}
    numbers = {name: _number(tensors, name) for name in _NUMBERS}
    interval = _values(tensors, contract.INTERVAL, 2)
    model = _values(tensors, contract.MODEL, 3)
    if not texts[contract.PREDICTION_ID]:
        raise MalformedRecord("`prediction_id` is empty")
    return {
        "id": texts.pop(contract.PREDICTION_ID),
        "time": moment(milliseconds),
        **texts,
        **numbers,
        "lower": float(interval[0]),
        "upper": float(interval[1]),
        "model": str(model[0]),
        "version": str(model[1]),
        "artifact": str(model[2]),
        "latency_ms": None,
    }


_TEXTS = (
    contract.PREDICTION_ID,
    contract.SYMBOL,
    contract.DATE,
    contract.REGIME,
    contract.QUALITY,
    contract.EXPLANATION,
    contract.RULES,
)
_NUMBERS = (
    contract.PREDICTION,
    contract.DIRECTION,
    contract.CONFIDENCE,
    contract.POSITION,
    contract.QUALITY_SCORE,
    contract.ANOMALY_SCORE,
    contract.DRIFT_SCORE,
)


def _values(tensors: dict[str, inference.Tensor], name: str, count: int) -> list[Any]:
    tensor = tensors.get(name)
    if tensor is None:
        raise MalformedRecord(f"tensor `{name}` is missing")
    if len(tensor.data) != count:
        raise MalformedRecord(f"tensor `{name}` has {len(tensor.data)} values, expected {count}")
    return tensor.data


def _first(tensors: dict[str, inference.Tensor], name: str) -> Any:
    return _values(tensors, name, 1)[0]


def _number(tensors: dict[str, inference.Tensor], name: str) -> float:
    try:
        value = float(_first(tensors, name))
    except (TypeError, ValueError) as error:
        raise MalformedRecord(f"tensor `{name}` is no number") from error
    if not math.isfinite(value):
        raise MalformedRecord(f"tensor `{name}` is {value}")
    return value


def features(value: bytes | None, milliseconds: int) -> Row:
    """Read an enriched request."""
    document = _document(value)
    given = document.get("features")
    if not isinstance(given, dict):
        raise MalformedRecord("`features` is no object of names and numbers")
    for name in ("id", "symbol"):
        if not isinstance(document.get(name), str) or not document[name]:
            raise MalformedRecord(f"`{name}` is no text")
    return {
        "id": document["id"],
        "time": moment(milliseconds),
        "market_time": document.get("market_time"),
        "symbol": document["symbol"],
        "date": document.get("date") or "",
        "quality_score": document.get("quality_score"),
        "features": json.dumps(given, sort_keys=True),
    }


def decision(value: bytes | None, milliseconds: int) -> Row:
    """Read which arm answered."""
    try:
        read = bandits.Decision.decode(value)
    except bandits.InvalidRecord as error:
        raise MalformedRecord(str(error)) from error
    return {
        "id": read.id,
        "time": moment(milliseconds),
        "experiment": read.experiment,
        "arm": read.arm,
        "propensity": read.propensity,
    }


def reward(value: bytes | None, milliseconds: int) -> Row:
    """Read what a prediction was worth."""
    try:
        read = bandits.Reward.decode(value)
    except bandits.InvalidRecord as error:
        raise MalformedRecord(str(error)) from error
    return {
        "prediction_id": read.prediction_id,
        "time": moment(milliseconds),
        "metric": read.metric,
        "value": read.value,
    }


def bar(value: bytes | None) -> tuple[str, str, float]:
    """Read a bar's symbol, day and close; what is wrong with it the feature stream tells."""
    document = _document(value)
    symbol, day, close = (document.get(name) for name in ("symbol", "date", "close"))
    if not isinstance(symbol, str) or not isinstance(day, str):
        raise MalformedRecord("`symbol` or `date` is no text")
    if isinstance(close, bool) or not isinstance(close, int | float) or not close > 0:
        raise MalformedRecord("`close` is no price")
    try:
        dt.date.fromisoformat(day)
    except ValueError as error:
        raise MalformedRecord(f"`date` is {day!r}") from error
    return symbol, day, float(close)


def _document(value: bytes | None) -> dict[str, Any]:
    if value is None:
        raise MalformedRecord("it has no value")
    try:
        document = json.loads(value)
    except ValueError as error:
        raise MalformedRecord(f"it is no JSON ({error})") from error
    if not isinstance(document, dict):
        raise MalformedRecord(f"expected an object, got {type(document).__name__}")
    return document
