"""What comes on the topics `market-data` and `news`, as records that can be used, or not.

A bar: `{"symbol": "SPX", "date": "2008-09-15", "open": …, "high": …, "low": …, "close": …, "volume": …}`;
`time` (ISO 8601 with a zone) may stand for `date`.
A text: `{"kind": "headline" | "post", "symbol": "SPX", "time": …, "text": …, "synthetic": true}`.
A reset, on `market-data`: `{"control": "reset", "until": "2007-12-31"}`: what was known that day.
"""

import datetime as dt
import json
from typing import Annotated, Literal, TypeVar

import pydantic

MARKET_DATA = "market-data"
NEWS = "news"
DEAD_LETTERS = "dead-letters"
FEATURE_MONITORING = "feature-monitoring"


class Unusable(ValueError):  # noqa: N818  (named after the record, as the dead letter reads)
    """A record that cannot be used: a reason of few words, and what, where and how to mend it."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class _Record(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


Number = Annotated[float, pydantic.Field(allow_inf_nan=False, strict=True)]
Symbol = Annotated[str, pydantic.Field(min_length=1, max_length=32)]


class Bar(_Record):
    """One symbol's trading day."""

    symbol: Symbol
    date: dt.date | None = None
    time: pydantic.AwareDatetime | None = None
    open: Number
    high: Number
    low: Number
    close: Number
    volume: Number = 0.0

    @pydantic.model_validator(mode="after")
    def _dated_once(self) -> "Bar":
        if (self.date is None) == (self.time is None):
            raise ValueError("give one of `date` (ISO 8601) and `time` (ISO 8601 with a zone)")
        return self

    @property
    def day(self) -> dt.date:
        """Its trading day."""
        if self.date is not None:
            return self.date
        if self.time is None:
            raise AssertionError("a bar without a date was accepted")
        return self.time.astimezone(dt.UTC).date()


class Reset(_Record):
    """From here on, what was known at the end of day `until` is all that is known."""

    control: Literal["reset"]
    until: dt.date


class Text(_Record):
    """A headline or a post about a symbol."""

    kind: Literal["headline", "post"]
    symbol: Symbol
    time: pydantic.AwareDatetime
    text: Annotated[str, pydantic.Field(min_length=1, max_length=10_000)]
    synthetic: bool = False


_R = TypeVar("_R", bound=_Record)


def market_data(value: bytes | None) -> Bar | Reset:
    """Read a record of `market-data`; raise `Unusable`."""
    document = _document(value)
    if isinstance(document, dict) and "control" in document:
        return _checked(Reset, document)
    return _checked(Bar, document)


def news(value: bytes | None) -> Text:
    """Read a record of `news`; raise `Unusable`."""
    return _checked(Text, _document(value))


def _document(value: bytes | None) -> object:
    if value is None:
        raise Unusable("empty", "the record has no value; send one JSON object")
    try:
        return json.loads(value)
    except ValueError as error:
        raise Unusable("not_json", f"the record is no JSON: {error}") from error


def _checked(model: type[_R], document: object) -> _R:
    try:
        return model.model_validate(document)
    except pydantic.ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, detail['loc'])) or model.__name__.lower()}: {detail['msg']}, "
            f"got {_short(detail['input'])}"
            for detail in error.errors()
        )
        raise Unusable(
            "malformed",
            f"{wrong}; a {model.__name__.lower()} has {', '.join(model.model_fields)}",
        ) from error


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."  # noqa: PLR2004  a line of a log
