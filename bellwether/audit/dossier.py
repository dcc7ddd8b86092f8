"""Everything that is recorded of one prediction, decoded, in the order in which it happened."""

import datetime as dt
import hashlib
import json
from typing import Any, Literal, Self

import pydantic
import pydantic_core

from runtimes.contract import bandits, inference

ROUTING = "routing"
ENRICHED = "feature-monitoring"
DRIFT = "drift"
MONITORING = "monitoring"

Kind = Literal["pipeline", "experiment", "failed"]


class AuditError(Exception):
    """A page cannot be made; the message says why, and what to do."""


class _Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Tensor(_Part):
    """A tensor; `data` is flat."""

    datatype: str
    shape: tuple[int, ...]
    data: tuple[Any, ...]


class Entry(_Part):
    """One record: where it is, what it says, or why that cannot be read."""

    topic: str
    partition: int
    offset: int
    time: int
    """Milliseconds since 1970."""
    key: str
    headers: tuple[tuple[str, str], ...]
    size: int
    """Bytes of its value."""
    digest: str
    """SHA-256 of its value."""
    tensors: dict[str, Tensor] | None = None
    document: dict[str, Any] | None = None
    text: str | None = None
    problem: str | None = None


class Card(_Part):
    """What the model says of itself."""

    model: str
    version: str
    artifact: str
    text: str = ""
    document: dict[str, Any] = {}
    problem: str | None = None


class Dossier(_Part):
    """What a page is made of."""

    schema_: Literal[1] = pydantic.Field(default=1, alias="schema")
    id: str
    kind: Kind
    name: str
    """The pipeline, or the experiment."""
    namespace: str
    time: int
    """When its answer was recorded, in milliseconds since 1970."""
    entries: tuple[Entry, ...]
    card: Card | None = None

    def encode(self) -> str:
        """Write it as JSON: the same dossier gives the same text."""
        return json.dumps(self.model_dump(mode="json", by_alias=True), separators=(",", ":"))

    @classmethod
    def decode(cls, text: str | bytes) -> Self:
        """Read what `encode` wrote; raise `AuditError`."""
        try:
            return cls.model_validate(pydantic_core.from_json(text))
        except ValueError as error:
            raise AuditError(f"the records cannot be read: {error}") from error

    @property
    def digest(self) -> str:
        """SHA-256 over all of it."""
        return hashlib.sha256(self.encode().encode()).hexdigest()

    def of(self, topic: str) -> tuple[Entry, ...]:
        """Give a topic's records, oldest first."""
        return tuple(entry for entry in self.entries if entry.topic == topic)

    def last(self, topic: str) -> Entry | None:
        """Give a topic's last record."""
        found = self.of(topic)
        return found[-1] if found else None

    def step(self, name: str, side: str = "outputs") -> dict[str, Tensor]:
        """Give the tensors of a model's last message; none if it was not asked."""
        return self._tensors(inference.topic(self.namespace, "model", name, side))

    def pipeline(self, side: str) -> dict[str, Tensor]:
        """Give the tensors that the pipeline was asked with, or answered."""
        return self._tensors(inference.topic(self.namespace, "pipeline", self.name, side))

    def document(self, topic: str) -> dict[str, Any]:
        """Give what a topic's last record says."""
        entry = self.last(topic)
        return (entry.document if entry else None) or {}

    def _tensors(self, topic: str) -> dict[str, Tensor]:
        entry = self.last(topic)
        return (entry.tensors if entry else None) or {}


def utc(seconds: int) -> str:
    """Write a Unix time, without its zone."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%d %H:%M:%S")


def checked(identity: str) -> str:
    """Give an id as it was given; raise `AuditError` if it can be none."""
    if not identity or len(identity) > bandits.LONGEST_ID:
        raise AuditError(
            f"a prediction's id has 1 to {bandits.LONGEST_ID} characters, this has {len(identity)}: "
            "`bellwether decide` prints it, every answer carries it as `prediction_id`"
        )
    if any(each.isspace() or not each.isprintable() for each in identity):
        raise AuditError(f"{identity!r}: an id has no spaces and no control characters")
    return identity
