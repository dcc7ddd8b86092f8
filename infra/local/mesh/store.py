"""What the mesh remembers: objects, and which version of each model is where.

SQLite with a write-ahead log.
A killed process loses nothing that was acknowledged;
a second process on the same file is refused.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.local.mesh.envoy import ModelVersion

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    plural TEXT NOT NULL,
    name TEXT NOT NULL,
    manifest TEXT NOT NULL,
    PRIMARY KEY (plural, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS versions (
    model TEXT NOT NULL,
    version INTEGER NOT NULL,
    digest TEXT NOT NULL,
    live INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (model, version)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counters (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class VersionRecord:
    """A model version that exists somewhere: wanted, serving, or on its way out.

    `digest` is that of the spec it was made from; `live` says that the routes lead to it.
    """

    version: ModelVersion
    digest: str
    live: bool


class StoreError(RuntimeError):
    """The state file cannot be used."""


class Store:
    """The state file. Every method commits, except inside `transaction`."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=2)
        try:
            # Exclusive before the log is opened: no shared-memory file, and one process at a time.
            self._connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.executescript(_SCHEMA)
            self._connection.execute("INSERT OR IGNORE INTO counters VALUES ('resource', 0)")
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise StoreError(
                f"{path}: {error}; "
                "is another mesh using this state_dir? if not, the file is damaged: "
                "remove it, and declare the objects again"
            ) from error

    def close(self) -> None:
        """Give the file back."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make several writes one."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def objects(self) -> list[tuple[str, str, str]]:
        """Read all objects: plural, name, manifest."""
        query = "SELECT plural, name, manifest FROM objects ORDER BY plural, name"
        return list(self._connection.execute(query))

    def put_object(self, plural: str, name: str, manifest: str) -> None:
        """Write an object."""
        self._connection.execute(
            "INSERT INTO objects VALUES (?, ?, ?)"
            " ON CONFLICT (plural, name) DO UPDATE SET manifest = excluded.manifest",
            (plural, name, manifest),
        )

    def delete_object(self, plural: str, name: str) -> None:
        """Forget an object."""
        self._connection.execute(
            "DELETE FROM objects WHERE plural = ? AND name = ?", (plural, name)
        )

    def next_resource_version(self) -> int:
        """Count one change of any object."""
        query = "UPDATE counters SET value = value + 1 WHERE name = 'resource' RETURNING value"
        value: int = self._connection.execute(query).fetchone()[0]
        return value

    def resource_version(self) -> int:
        """Say how many changes there were."""
        query = "SELECT value FROM counters WHERE name = 'resource'"
        value: int = self._connection.execute(query).fetchone()[0]
        return value

    def versions(self) -> list[VersionRecord]:
        """Read all model versions, oldest first for each model."""
        query = "SELECT model, version, digest, live FROM versions ORDER BY model, version"
        return [
            VersionRecord(ModelVersion(model, version), digest, bool(live))
            for model, version, digest, live in self._connection.execute(query)
        ]

    def add_version(self, version: ModelVersion, digest: str) -> None:
        """Write a new model version, not live yet."""
        self._connection.execute(
            "INSERT INTO versions (model, version, digest) VALUES (?, ?, ?)",
            (version.model, version.version, digest),
        )

    def set_live(self, version: ModelVersion) -> None:
        """Make one version of a model the one that the routes lead to."""
        self._connection.execute(
            "UPDATE versions SET live = (version = ?) WHERE model = ?",
            (version.version, version.model),
        )

    def set_none_live(self, model: str) -> None:
        """Make no version of a model the one that the routes lead to."""
        self._connection.execute("UPDATE versions SET live = 0 WHERE model = ?", (model,))

    def remove_version(self, version: ModelVersion) -> None:
        """Forget a model version."""
        self._connection.execute(
            "DELETE FROM versions WHERE model = ? AND version = ?",
            (version.model, version.version),
        )
