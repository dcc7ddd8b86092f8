"""What differs between two renderings of a stack, file by file and object by object."""

import collections.abc
import difflib
import pathlib
import typing

import pydantic
import yaml

from bellwether.review import change
from infra.cluster import rendering

_CONTEXT = 3


class File(pydantic.BaseModel):
    """One rendered file that differs."""

    model_config = pydantic.ConfigDict(frozen=True, extra="ignore")

    path: str
    added: int
    """Lines."""
    removed: int
    diff: str
    """Unified, without the two lines of file names."""
    before: tuple[dict[str, typing.Any], ...]
    after: tuple[dict[str, typing.Any], ...]

    @property
    def operation(self) -> change.Operation:
        """What becomes of the file."""
        if not self.before:
            return "create"
        return "update" if self.after else "delete"


class Rendered(pydantic.BaseModel):
    """How a stack's manifests differ from another revision's."""

    model_config = pydantic.ConfigDict(frozen=True, extra="ignore")

    stack: str
    base: str
    """The revision that it is compared with."""
    files: tuple[File, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many files there are of each operation."""
        counted = dict.fromkeys(("create", "update", "delete"), 0)
        for file in self.files:
            counted[file.operation] += 1
        return {operation: count for operation, count in counted.items() if count}

    @property
    def changes(self) -> tuple[change.Change, ...]:
        """The objects, each with what it was and what it becomes."""
        return tuple(each for file in self.files for each in _objects(file))


def compare(base: pathlib.Path, head: pathlib.Path) -> tuple[File, ...]:
    """Compare two folders that `bellwether render` wrote; a missing one is empty."""
    before, after = _texts(base), _texts(head)
    return tuple(
        _file(path, before.get(path, ""), after.get(path, ""))
        for path in sorted(set(before) | set(after))
        if before.get(path) != after.get(path)
    )


def _texts(folder: pathlib.Path) -> dict[str, str]:
    """Read every file, with what its Secrets hold hidden."""
    return {
        path.relative_to(folder).as_posix(): "---\n".join(map(rendering.dump, _documents(path)))
        for path in sorted(folder.rglob("*.yaml"))
    }


def _documents(path: pathlib.Path) -> list[dict[str, typing.Any]]:
    found = yaml.safe_load_all(path.read_text())
    return [change.without_secrets(each) for each in found if isinstance(each, dict)]


def _file(path: str, before: str, after: str) -> File:
    lines = list(
        difflib.unified_diff(before.splitlines(), after.splitlines(), n=_CONTEXT, lineterm="")
    )[2:]
    return File(
        path=path,
        added=sum(line.startswith("+") for line in lines),
        removed=sum(line.startswith("-") for line in lines),
        diff="\n".join(lines),
        before=tuple(yaml.safe_load_all(before)) if before else (),
        after=tuple(yaml.safe_load_all(after)) if after else (),
    )


def _objects(file: File) -> collections.abc.Iterator[change.Change]:
    before = {_title(each): each for each in file.before}
    after = {_title(each): each for each in file.after}
    for kind, name in sorted(set(before) | set(after)):
        old, new = before.get((kind, name), {}), after.get((kind, name), {})
        if old == new:
            continue
        operation: change.Operation = "update" if old and new else "create" if new else "delete"
        yield change.Change(operation, kind, name, old, new)


def _title(document: collections.abc.Mapping[str, typing.Any]) -> tuple[str, str]:
    if "chart" in document:
        return "Chart", str(document.get("name") or document["chart"])
    meta = document.get("metadata") or {}
    return str(document.get("kind", "")), str(meta.get("name", ""))
