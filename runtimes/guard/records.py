"""Reads the enriched requests of topic `feature-monitoring`, as far as drift needs them.

A value is JSON with `symbol`, `date`, and `features` as `{name: number or null}`, besides others.
The key is `<symbol>|<date>`: what the last record of a key says replaces what those before it said,
so that thousands of requests for the same day cost one reading.
"""

import dataclasses
import datetime
import json
from collections.abc import Iterable, Sequence

import numpy as np

from . import windows


class MalformedRecord(ValueError):  # noqa: N818  the record is, nothing failed
    """A record cannot be read: the message says why."""


@dataclasses.dataclass(frozen=True, slots=True)
class Day:
    """What was known of a symbol's day."""

    symbol: str
    date: str
    """ISO 8601"""
    features: windows.Array
    """[F]; NaN where a value is missing."""


def latest(records: Iterable[tuple[bytes | None, bytes | None]]) -> list[bytes | None]:
    """Give of (key, value) pairs the last value of each key, and all those whose key says no day."""
    found: dict[bytes, bytes | None] = {}
    without: list[bytes | None] = []
    for key, value in records:
        if key is not None and b"|" in key:
            found[key] = value
        else:
            without.append(value)
    return [*without, *found.values()]


def parse(value: bytes | None, features: Sequence[str]) -> Day:
    """Read a record's value; raise MalformedRecord with the reason."""
    if value is None:
        raise MalformedRecord("it has no value")
    try:
        document = json.loads(value)
    except ValueError as error:
        raise MalformedRecord(f"it is no JSON ({error})") from error
    if not isinstance(document, dict):
        raise MalformedRecord(f"expected an object, got {type(document).__name__}")
    given = document.get("features")
    if not isinstance(given, dict):
        raise MalformedRecord("`features` is no object of names and numbers")
    return Day(
        symbol=_text(document, "symbol"),
        date=_date(_text(document, "date")),
        features=np.array([_number(name, given.get(name)) for name in features]),
    )


def _text(document: dict[str, object], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not value:
        raise MalformedRecord(f"`{name}` is no text, but {value!r}")
    return value


def _date(value: str) -> str:
    try:
        return datetime.date.fromisoformat(value).isoformat()
    except ValueError as error:
        raise MalformedRecord(f"`date` is no ISO 8601 date, but {value!r}") from error


def _number(name: str, value: object) -> float:
    if value is None:
        return float("nan")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MalformedRecord(f"feature {name!r} is no number, but {value!r}")
    return float(value)
