"""Refused requests, with the `Status` body that Kubernetes' API server would give."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from infra import seldon


@dataclass(frozen=True)
class Cause:
    """One reason for a refusal: Kubernetes' name for it, the field, and what is wrong there."""

    reason: str
    field: str
    message: str


class Refusal(Exception):  # noqa: N818 - a refused request is an answer, not an error of ours
    """A request that is answered with a `Status` of failure.

    `reason` is Kubernetes' own word for the class of failure, `code` the HTTP status.
    """

    def __init__(  # noqa: PLR0913 - the fields of a Status
        self,
        code: int,
        reason: str,
        message: str,
        *,
        kind: str = "",
        name: str = "",
        group: str = seldon.GROUP,
        causes: Sequence[Cause] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.kind = kind
        self.name = name
        self.group = group
        self.causes = tuple(causes)

    def body(self) -> dict[str, Any]:
        """Write the `Status`."""
        details: dict[str, Any] = {}
        if self.name:
            details["name"] = self.name
        if self.kind:
            details |= {"group": self.group, "kind": self.kind}
        if self.causes:
            details["causes"] = [
                {"reason": cause.reason, "message": cause.message, "field": cause.field}
                for cause in self.causes
            ]
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "details": details,
            "code": self.code,
        }


def bad_request(message: str) -> Refusal:
    """Refuse what cannot be understood."""
    return Refusal(400, "BadRequest", message)


def not_found(plural: str, name: str, group: str = seldon.GROUP) -> Refusal:
    """Refuse to find what is not there."""
    message = f'{plural}.{group} "{name}" not found'
    return Refusal(404, "NotFound", message, kind=plural, name=name, group=group)


def already_exists(plural: str, name: str, group: str = seldon.GROUP) -> Refusal:
    """Refuse to create what is there."""
    message = f'{plural}.{group} "{name}" already exists'
    return Refusal(409, "AlreadyExists", message, kind=plural, name=name, group=group)


MODIFIED = (
    "the object has been modified; please apply your changes to the latest version and try again"
)
"""Why a write is refused that names another version than the newest."""


def conflict(plural: str, name: str, why: str, group: str = seldon.GROUP) -> Refusal:
    """Refuse what contradicts the state of things."""
    message = f'Operation cannot be fulfilled on {plural}.{group} "{name}": {why}'
    return Refusal(409, "Conflict", message, kind=plural, name=name, group=group)


def invalid(plural: str, name: str, message: str, field: str) -> Refusal:
    """Refuse an object whose fields are known but whose values make no sense.

    The message is given as it is, because callers compare it with Seldon's.
    """
    cause = Cause("FieldValueInvalid", field, message)
    return Refusal(422, "Invalid", message, kind=plural, name=name, causes=(cause,))


def invalid_status(plural: str, name: str, group: str) -> Refusal:
    """Refuse a status that is no object."""
    cause = Cause("FieldValueTypeInvalid", "status", "status has to be an object")
    return Refusal(
        422, "Invalid", cause.message, kind=plural, name=name, group=group, causes=(cause,)
    )


class Unread(Protocol):
    """One thing that is wrong with a manifest."""

    @property
    def kind(self) -> Literal["unknown", "required", "invalid"]:
        """What is wrong with the field."""

    @property
    def path(self) -> str:
        """The field, as in `spec.candidates[0].weight`."""

    @property
    def message(self) -> str:
        """What a person is told."""


def unreadable(
    kind: type[seldon.Resource], name: str, problems: Sequence[seldon.Problem]
) -> Refusal:
    """Refuse a manifest that cannot be read: 400 for unknown fields, 422 for wrong values."""
    return unreadable_as(kind.__name__, kind.plural, seldon.API_VERSION, name, problems)


def unreadable_as(
    title: str, plural: str, api_version: str, name: str, problems: Sequence[Unread]
) -> Refusal:
    """Refuse a manifest of any kind; `title` is the kind's name."""
    reasons = {
        "unknown": "FieldValueNotSupported",
        "required": "FieldValueRequired",
        "invalid": "FieldValueInvalid",
    }
    group, _, version = api_version.rpartition("/")
    causes = [Cause(reasons[each.kind], each.path, each.message) for each in problems]
    listed = ", ".join(each.message for each in problems)
    code, reason = 422, "Invalid"
    message = f'{title}.{group} "{name}" is invalid: {listed}'
    if any(each.kind == "unknown" for each in problems):
        code, reason = 400, "BadRequest"
        message = (
            f'{title} in version "{version}" cannot be handled as a {title}: '
            f"strict decoding error: {listed}"
        )
    return Refusal(code, reason, message, kind=plural, name=name, group=group, causes=causes)
