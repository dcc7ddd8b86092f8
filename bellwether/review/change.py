"""One object that changes, wherever it was learnt from: an engine's preview, or two renderings."""

import collections.abc
import dataclasses
import typing

Manifest = collections.abc.Mapping[str, typing.Any]
Operation = typing.Literal["create", "update", "replace", "delete"]

HIDDEN = "[secret]"
_SECRET_FIELDS = ("data", "stringData")


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """An object, and what becomes of it."""

    operation: Operation
    kind: str
    name: str
    before: Manifest = dataclasses.field(default_factory=dict)
    after: Manifest = dataclasses.field(default_factory=dict)
    properties: tuple[str, ...] = ()
    """Paths of what differs, where the engine said so."""
    was_protected: bool = False
    is_protected: bool = False

    @property
    def title(self) -> str:
        """Kind and name."""
        return f"{self.kind} {self.name}"


def without_secrets(document: Manifest) -> dict[str, typing.Any]:
    """Hide what a Secret holds, also where whoever wrote the document did not."""
    if document.get("kind") != "Secret":
        return dict(document)
    hidden = dict(document)
    for field in _SECRET_FIELDS:
        held = document.get(field)
        if isinstance(held, collections.abc.Mapping):
            hidden[field] = dict.fromkeys(held, HIDDEN)
        elif held is not None:
            hidden[field] = HIDDEN
    return hidden
