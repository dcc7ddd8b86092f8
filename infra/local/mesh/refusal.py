"""Refused requests, with the `Status` body that Kubernetes' API server would give."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
        causes: Sequence[Cause] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.kind = kind
        self.name = name
        self.causes = tuple(causes)

    def body(self) -> dict[str, Any]:
        """Write the `Status`."""
        details: dict[str, Any] = {}
        if self.name:
            details["name"] = self.name
        if self.kind:
            details |= {"group": seldon.GROUP, "kind": self.kind}
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


def not_found(plural: str, name: str) -> Refusal:
    """Refuse to find what is not there."""
    message = f'{plural}.{seldon.GROUP} "{name}" not found'
    return Refusal(404, "NotFound", message, kind=plural, name=name)


def already_exists(plural: str, name: str) -> Refusal:
    """Refuse to create what is there."""
    message = f'{plural}.{seldon.GROUP} "{name}" already exists'
    return Refusal(409, "AlreadyExists", message, kind=plural, name=name)


def conflict(plural: str, name: str, why: str) -> Refusal:
    """Refuse what contradicts the state of things."""
    message = f'Operation cannot be fulfilled on {plural}.{seldon.GROUP} "{name}": {why}'
    return Refusal(409, "Conflict", message, kind=plural, name=name)


def invalid(plural: str, name: str, message: str, field: str) -> Refusal:
    """Refuse an object whose fields are known but whose values make no sense.

    The message is given as it is, because callers compare it with Seldon's.
    """
    cause = Cause("FieldValueInvalid", field, message)
    return Refusal(422, "Invalid", message, kind=plural, name=name, causes=(cause,))


def unreadable(
    kind: type[seldon.Resource], name: str, problems: Sequence[seldon.Problem]
) -> Refusal:
    """Refuse a manifest that cannot be read: 400 for unknown fields, 422 for wrong values."""
    reasons = {
        "unknown": "FieldValueNotSupported",
        "required": "FieldValueRequired",
        "invalid": "FieldValueInvalid",
    }
    causes = [Cause(reasons[each.kind], each.path, each.message) for each in problems]
    listed = ", ".join(each.message for each in problems)
    title = kind.__name__
    if any(each.kind == "unknown" for each in problems):
        message = (
            f'{title} in version "{seldon.VERSION}" cannot be handled as a {title}: '
            f"strict decoding error: {listed}"
        )
        return Refusal(400, "BadRequest", message, kind=kind.plural, name=name, causes=causes)
    message = f'{title}.{seldon.GROUP} "{name}" is invalid: {listed}'
    return Refusal(422, "Invalid", message, kind=kind.plural, name=name, causes=causes)
