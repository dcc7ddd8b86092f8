"""Remembers which artifact came of which provenance, so that nothing is trained twice."""

import dataclasses
import hashlib
import json
import pathlib

from . import cache, provenance


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """One finished training."""

    key: str
    model: str
    artifact: str
    """The artifact's folder, `sha256-<digest>`."""
    seconds: float
    forecasts: bool = True
    """Whether it is a model, which forecasts, and so has a ledger."""

    @property
    def folder(self) -> pathlib.Path:
        """Where the artifact lies."""
        return cache.artifacts() / self.model / self.artifact

    @property
    def ledger(self) -> pathlib.Path:
        """Where the model's forecasts of the days that it had not seen lie."""
        return cache.index() / f"{self.key}.npz"


def find(wanted: provenance.Provenance) -> Record | None:
    """Give the record of `wanted`, or None if it was not trained or is no longer whole."""
    path = _path(wanted.key)
    try:
        record = Record(**json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    if record.forecasts and not record.ledger.is_file():
        return None
    if not intact(record.folder):
        return None
    return record


def write(record: Record) -> None:
    """Remember `record`; its ledger must be there already."""
    with cache.new_file(_path(record.key)) as temporary:
        temporary.write_text(json.dumps(dataclasses.asdict(record), indent=2), encoding="utf-8")


def name(folder: pathlib.Path) -> str:
    """Give the name that an artifact's folder must have: the digest over all its files."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            total.update(f"{path.relative_to(folder).as_posix()} {content}\n".encode())
    return f"sha256-{total.hexdigest()}"


def intact(folder: pathlib.Path) -> bool:
    """Tell whether every byte in an artifact's folder is as it was written."""
    return folder.is_dir() and name(folder) == folder.name


def _path(key: str) -> pathlib.Path:
    return cache.index() / f"{key}.json"
