"""What an artifact was made of, as one key: the same key needs no training.

Asking is quick, and imports neither numpy nor torch nor pandas.
"""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping
from typing import Any

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


@functools.cache
def _locked() -> Mapping[str, str]:
    # uv writes a package's name and version on the two lines after its table's header; parsing
    # the whole file as TOML would take longer than everything else here.
    lines = LOCK.read_text(encoding="utf-8").splitlines()
    found: dict[str, list[str]] = {}
    for place, line in enumerate(lines):
        if line == "[[package]]":
            name, version = (_value(text) for text in lines[place + 1 : place + 3])
            found.setdefault(name, []).append(version)
    # An environment of its own may hold another version of the same package: name them all.
    return {name: " ".join(sorted(set(found[name]))) for name in found}


def _value(line: str) -> str:
    return line.partition("=")[2].strip().strip('"')
