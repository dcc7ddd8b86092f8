"""Reads the enriched requests of topic `feature-monitoring`, as far as drift needs them.

A value is JSON with `symbol`, `date`, and `features` as `{name: number or null}`, besides others.
Thousands of requests for the same day say the same:
of those that came together only the last is read, found by a look at the first bytes.
"""

import dataclasses
import datetime as dt
import json
import re
from collections.abc import Iterable, Sequence

import numpy as np

from . import windows

_START = 512
"""Bytes of a value in which symbol and date are looked for."""

_SYMBOL = re.compile(rb'"symbol"\s*:\s*"([^"\\]+)"')
_DATE = re.compile(rb'"date"\s*:\s*"(\d{4}-\d{2}-\d{2})"')


class MalformedRecord(ValueError):  # noqa: N818  the record is, nothing failed
    """A record cannot be read: the message says why."""


@dataclasses.dataclass(frozen=True, slots=True)
class Day:
    """What was known of a symbol's day."""

    symbol: str
    date: str
    """ISO 8601; empty where the feature store could not say it."""
    features: windows.Array
    """[F]; NaN where a value is missing."""

    @property
    def whole(self) -> bool:
        """Whether nothing is missing."""
        return bool(self.date) and bool(np.isfinite(self.features).all())


def latest(values: Iterable[bytes | None]) -> list[bytes | None]:
    """Give the last value of each symbol's day, and all values that do not say at once whose they are."""
    found: dict[tuple[bytes, bytes], bytes] = {}
    others: list[bytes | None] = []
    for value in values:
        start = value[:_START] if value is not None else b""
        symbol, date = _SYMBOL.search(start), _DATE.search(start)
        if value is None or symbol is None or date is None:
            others.append(value)
        else:
            found[symbol[1], date[1]] = value
    return [*others, *found.values()]


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
        date=_date(document.get("date")),
        features=np.array([_number(name, given.get(name)) for name in features]),
    )


def _text(document: dict[str, object], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not value:
        raise MalformedRecord(f"`{name}` is no text, but {value!r}")
    return value


def _date(value: object) -> str:
    if value == "":
        return ""
    try:
        return dt.date.fromisoformat(str(value)).isoformat()
    except ValueError as error:
        raise MalformedRecord(f"`date` is no ISO 8601 date, but {value!r}") from error


def _number(name: str, value: object) -> float:
    if value is None:
        return float("nan")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MalformedRecord(f"feature {name!r} is no number, but {value!r}")
    return float(value)
