"""What `pulumi preview --json` writes, as far as a reviewer needs it."""

import collections.abc
import pathlib
import typing

import pydantic

from bellwether.review import change

_OPERATIONS: dict[str, change.Operation] = {
    "create": "create",
    "update": "update",
    "replace": "replace",
    "create-replacement": "replace",
    "delete-replaced": "replace",
    "delete": "delete",
    "import": "create",
    "import-replacement": "replace",
    "discard": "delete",
    "read-replacement": "replace",
}
"""The engine's steps that change something; `same`, `read`, `refresh` and their kin do not."""
_STACK = "pulumi:pulumi:Stack"
_PROVIDER = "pulumi:providers:"


class ReportError(Exception):
    """A file that the comment is made of cannot be read; the message names it and what made it."""


class _Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    @pydantic.model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, given: typing.Any) -> typing.Any:
        """The engine writes `null` for a map that is empty."""
        if not isinstance(given, collections.abc.Mapping):
            return given
        return {key: value for key, value in given.items() if value is not None}


class State(_Part):
    """A resource before or after."""

    type: str
    protect: bool = False
    inputs: dict[str, typing.Any] = {}


class Step(_Part):
    """What the engine would do with one resource."""

    op: str
    urn: str
    old_state: State | None = pydantic.Field(None, alias="oldState")
    new_state: State | None = pydantic.Field(None, alias="newState")
    diff_reasons: tuple[str, ...] = pydantic.Field((), alias="diffReasons")
    replace_reasons: tuple[str, ...] = pydantic.Field((), alias="replaceReasons")
    detailed_diff: dict[str, typing.Any] = pydantic.Field({}, alias="detailedDiff")


class Diagnostic(_Part):
    """What the program, the engine or a provider said."""

    message: str
    severity: str = "info"
    urn: str = ""


class Preview(_Part):
    """The digest of one preview."""

    steps: tuple[Step, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    change_summary: dict[str, int] = pydantic.Field({}, alias="changeSummary")
    may_be_corrupt: bool = pydantic.Field(False, alias="maybeCorrupt")

    @property
    def changes(self) -> tuple[change.Change, ...]:
        """Everything that is not left alone, each resource once."""
        found: dict[str, change.Change] = {}
        for step in self.steps:
            kind = _type(step)
            operation = _OPERATIONS.get(step.op)
            if operation is None or kind == _STACK or kind.startswith(_PROVIDER):
                continue
            # A replacement is several steps of one resource: the first that knows both states is it.
            known = found.get(step.urn)
            if known is None or (not known.before and step.old_state and step.new_state):
                found[step.urn] = _change(step, operation)
        return tuple(found.values())

    @property
    def counts(self) -> dict[str, int]:
        """How many resources there are of each operation."""
        counted = dict.fromkeys(typing.get_args(change.Operation), 0)
        for each in self.changes:
            counted[each.operation] += 1
        return {operation: count for operation, count in counted.items() if count}

    @property
    def complaints(self) -> tuple[str, ...]:
        """What was said in earnest."""
        return tuple(
            f"{each.severity}: {each.message.strip()}"
            for each in self.diagnostics
            if each.severity in {"error", "warning"}
        )


def parse(text: str, where: str) -> Preview:
    """Read what `pulumi preview --json` wrote.

    Raises:
        ReportError: it is something else; the message names `where`.

    """
    try:
        return Preview.model_validate_json(text)
    except pydantic.ValidationError as error:
        raise ReportError(
            f"{where} is not what `pulumi preview --json` writes: {_first(error)}; "
            "`bellwether preview -s STACK --report FILE` makes one"
        ) from error


def read(path: pathlib.Path) -> Preview:
    """Read a file; see `parse`."""
    return parse(path.read_text(), str(path))


def _first(error: pydantic.ValidationError) -> str:
    problem = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(map(str, problem["loc"]))
    return f"{place or 'the document'}: {problem['msg']}"


def _type(step: Step) -> str:
    state = step.new_state or step.old_state
    return state.type if state else step.urn.split("::")[2].rpartition("$")[2]


def _change(step: Step, operation: change.Operation) -> change.Change:
    before, after = _document(step.old_state), _document(step.new_state)
    shown = after or before
    return change.Change(
        operation=operation,
        kind=str(shown.get("kind") or _type(step).rpartition(":")[2]),
        name=step.urn.rpartition("::")[2],
        before=before,
        after=after,
        properties=tuple(sorted({*step.detailed_diff, *step.replace_reasons}))
        or tuple(sorted(step.diff_reasons)),
        was_protected=bool(step.old_state and step.old_state.protect),
        is_protected=bool(step.new_state and step.new_state.protect),
    )


def _document(state: State | None) -> dict[str, typing.Any]:
    """Give the object itself: the local provider wraps a Seldon object in `manifest`."""
    if state is None:
        return {}
    manifest = state.inputs.get("manifest")
    inner = manifest if isinstance(manifest, collections.abc.Mapping) else state.inputs
    return change.without_secrets(inner)
