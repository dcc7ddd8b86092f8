"""What Pulumi's engine says while it works, for people and for the caller."""

import collections.abc
import contextlib
import dataclasses
import re
import threading
import typing

import pulumi.automation

from bellwether import steps


class EnvironmentFailedError(Exception):
    """The environment could not be brought where it should be; the message holds what the parts said."""


@dataclasses.dataclass(frozen=True)
class Change:
    """What one operation did, or would do, to how many resources."""

    counts: dict[str, int]
    steps: tuple[tuple[str, str, tuple[str, ...]], ...]
    """(operation, resource, properties that differ) for everything that is not left alone."""

    @property
    def empty(self) -> bool:
        """Whether nothing changes."""
        return not self.steps


Verb = typing.Literal["up", "preview", "destroy"]
_DIFFERS = re.compile(r"^\s*code: 7\b", re.MULTILINE)
"""How the CLI ends where `--expect-no-changes` does not hold."""


def operate(
    handle: pulumi.automation.Stack,
    lines: list[str],
    step: steps.Step,
    verb: Verb,
    **options: typing.Any,
) -> tuple[Change, str]:
    """Let the engine work; give what changes, and what it wrote to standard output.

    Raises:
        EnvironmentFailedError: it failed; the message holds what the parts said.

    """
    watcher = Watcher(step)
    operation: collections.abc.Callable[..., typing.Any] = getattr(handle, verb)
    with explained(watcher, lines, verb):
        done = operation(on_event=watcher, on_output=lines.append, color="never", **options)
    return watcher.change(), str(done.stdout)


def drift(
    handle: pulumi.automation.Stack, lines: list[str], step: steps.Step
) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """Compare what really is with what was declared last, changing nothing.

    Returns:
        (operation, resource, properties that differ) of everything that is not as it was declared.

    Raises:
        EnvironmentFailedError: it failed, such as for a cluster that does not answer.

    """
    watcher = Watcher(step)
    with explained(watcher, lines, "refresh"):
        try:
            handle.preview_refresh(
                expect_no_changes=True, on_event=watcher, on_output=lines.append, color="never"
            )
        except pulumi.automation.CommandError as error:
            if _DIFFERS.search(str(error)) is None:
                raise
            return watcher.drifted or (("update", "something that the engine did not name", ()),)
    return watcher.drifted


class Watcher:
    """Follows Pulumi's events: progress for people, changes and diagnostics for the caller."""

    def __init__(self, step: steps.Step) -> None:
        self._step = step
        self._lock = threading.Lock()
        self._running: list[str] = []
        self._changes: dict[str, tuple[str, str, tuple[str, ...]]] = {}
        self._counts: dict[str, int] = {}
        self._drifted: dict[str, tuple[str, str, tuple[str, ...]]] = {}
        self.diagnostics: list[str] = []

    def __call__(self, event: pulumi.automation.EngineEvent) -> None:
        """Take one event in; the engine's thread calls it."""
        with self._lock:
            if event.resource_pre_event:
                metadata = event.resource_pre_event.metadata
                name = metadata.urn.rpartition("::")[2]
                described = _described(metadata)
                if described[0] not in {"same", "refresh", "read"} and not _is_stack(metadata.urn):
                    self._changes[metadata.urn] = described
                self._running.append(name)
                self._step.describe(name)
            elif event.res_outputs_event:
                metadata = event.res_outputs_event.metadata
                name = metadata.urn.rpartition("::")[2]
                described = _described(metadata)
                if described[0] == "delete" or (described[0] == "update" and described[2]):
                    self._drifted[metadata.urn] = described
                if name in self._running:
                    self._running.remove(name)
                self._step.advance()
                self._step.describe(self._running[-1] if self._running else "")
            elif event.diagnostic_event and event.diagnostic_event.severity == "error":
                where = (event.diagnostic_event.urn or "").rpartition("::")[2]
                text = event.diagnostic_event.message.strip()
                self.diagnostics.append(f"{where}: {text}" if where else text)
            elif event.summary_event:
                self._counts = {
                    str(getattr(k, "value", k)): v
                    for k, v in (event.summary_event.resource_changes or {}).items()
                }

    @property
    def drifted(self) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
        """What a refresh found to be other than declared."""
        return tuple(self._drifted.values())

    def change(self) -> Change:
        """Say what changed, or would change."""
        return Change(self._counts, tuple(self._changes.values()))


def _described(
    metadata: pulumi.automation.StepEventMetadata,
) -> tuple[str, str, tuple[str, ...]]:
    """Give operation, resource, and the properties that differ."""
    operation = str(getattr(metadata.op, "value", metadata.op))
    name = metadata.urn.rpartition("::")[2]
    differing = tuple(sorted(metadata.detailed_diff or {})) or tuple(metadata.diffs or ())
    return operation, f"{metadata.type.split(':')[-1]} {name}", differing


def _is_stack(urn: str) -> bool:
    return "pulumi:pulumi:Stack" in urn


@contextlib.contextmanager
def explained(watcher: Watcher, lines: list[str], verb: str) -> collections.abc.Iterator[None]:
    """Turn Pulumi's failure into what its parts said."""
    try:
        yield
    except pulumi.automation.CommandError as error:
        said = [line for line in watcher.diagnostics if "update failed" not in line]
        text = "\n".join(dict.fromkeys(said)) or "".join(lines[-20:]) or str(error)
        raise EnvironmentFailedError(f"`{verb}` failed:\n{text}") from error


def summary(change: Change, nothing: str) -> str:
    """Say in a line how many resources there are of each operation; `nothing` if there are none."""
    if change.empty:
        return nothing
    counts: dict[str, int] = {}
    for operation, _, _ in change.steps:
        counts[operation] = counts.get(operation, 0) + 1
    return ", ".join(f"{count} to {operation}" for operation, count in sorted(counts.items()))
