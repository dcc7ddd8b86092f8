"""What an artifact was made of, as one key: the same key needs no training.

Asking is quick, and imports neither numpy nor torch nor pandas.
"""

import dataclasses
import functools
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from packaging import markers

from . import code, discovery, sources, steps

LOCK = code.REPOSITORY / "uv.lock"

PACKAGES = ("arch", "numpy", "pandas")
"""Libraries whose versions decide the features of every model."""


@dataclasses.dataclass(frozen=True, slots=True)
class Provenance:
    """All that decides a model's bytes."""

    model: str
    code: str
    data: str
    seed: int
    packages: Mapping[str, str]
    members: Mapping[str, str]
    """For a model that combines others: their keys."""

    def document(self) -> dict[str, Any]:
        """Give it as JSON's types."""
        return dataclasses.asdict(self)

    @property
    def key(self) -> str:
        """A SHA-256 over all of it, in hexadecimal."""
        text = json.dumps(self.document(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def of_all(source: sources.Source, seed: int) -> dict[str, Provenance]:
    """Give every model's provenance, members before what combines them."""
    data = source.digest()
    found: dict[str, Provenance] = {}
    for name in discovery.folders():
        found[name] = Provenance(
            model=name,
            code=code.digest(
                f"models.{name}", f"models.{name}.model", "models.procedure", "models.artifacts"
            ),
            data=data,
            seed=seed,
            packages=versions((*PACKAGES, *discovery.declared(name).packages)),
            members={member: found[member].key for member in discovery.members(name)},
        )
    return found


def of_steps(
    source: sources.Source, seed: int, models: Mapping[str, Provenance]
) -> dict[str, Provenance]:
    """Give the provenance of every step of the pipeline, built after `models`."""
    data = source.digest()
    return {
        name: Provenance(
            model=name,
            code=code.digest(f"models.steps.{name}", f"models.steps.{name}.build"),
            data=data,
            seed=seed,
            packages=versions((*PACKAGES, *steps.packages(name))),
            members={model: origin.key for model, origin in models.items()},
        )
        for name in steps.folders()
    }


def versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Give the versions of `packages` in the lock file."""
    locked = _locked()
    return {package: locked.get(package, "not locked") for package in sorted(set(packages))}


_GROUPS = ("serving", "training")
"""Where artifacts are made and used. What other environments hold is no part of an artifact."""

_PROJECT = "bellwether"
_EXTRA = f"group-{len(_PROJECT)}-{_PROJECT}-"
"""How uv names a group in a marker."""

_ENTRY = re.compile(r'\s*\{ name = "([^"]+)"(?:, version = "([^"]+)")?(?:.*, marker = "([^"]+)")?')
_LIST = re.compile(r"([\w-]+) = \[")

Package = tuple[str, str]
"""Name and version."""
Needed = tuple[str, str, str]
"""Name, version and marker; either of the last two may be empty."""


@functools.cache
def _locked() -> Mapping[str, str]:
    """Give the locked versions of each package in the groups' environments; mostly it is one."""
    known, needs, groups = _read(LOCK.read_text(encoding="utf-8").splitlines())
    versions_of: dict[str, set[str]] = {}
    for group in _GROUPS:
        waiting, reached = list(groups[group]), set[Package]()
        while waiting:
            name, version, marker = waiting.pop()
            if marker and not _holds(marker, group):
                continue
            for found in [version] if version else known[name]:
                if (name, found) not in reached:
                    reached.add((name, found))
                    waiting += needs.get((name, found), [])
        for name, version in reached:
            versions_of.setdefault(name, set()).add(version)
    return {name: " ".join(sorted(found)) for name, found in versions_of.items()}


def _read(
    lines: list[str],
) -> tuple[dict[str, list[str]], dict[Package, list[Needed]], dict[str, list[Needed]]]:
    """Read the lock file's packages, what each needs, and the project's groups, line by line.

    Parsing it as TOML would take longer than everything else here. An entry that names no version
    means the one that there is.
    """
    known: dict[str, list[str]] = {}
    needs: dict[Package, list[Needed]] = {}
    groups: dict[str, list[Needed]] = {}
    current, table, listing = ("", ""), "", ""
    for place, line in enumerate(lines):
        if line == "[[package]]":
            name, version = (_value(text) for text in lines[place + 1 : place + 3])
            current, table = (name, version), ""
            known.setdefault(name, []).append(version)
        elif line.startswith("[package."):
            table = line
        elif begins := _LIST.match(line):
            listing = begins[1]
        elif entry := _ENTRY.match(line):
            if current[0] != _PROJECT:
                into = needs.setdefault(current, [])
            elif table == "[package.dev-dependencies]":
                into = groups.setdefault(listing, [])
            else:
                continue
            into.append((entry[1], entry[2] or "", entry[3] or ""))
    return known, needs, groups


@functools.cache
def _holds(marker: str, group: str) -> bool:
    """Say whether a dependency is one in a group's environment."""
    return markers.Marker(marker).evaluate({"extra": f"{_EXTRA}{group}"})


def _value(line: str) -> str:
    return line.partition("=")[2].strip().strip('"')
