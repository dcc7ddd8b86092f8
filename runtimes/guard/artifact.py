"""What the guard and the drift watcher are given: `guard.json` and the arrays in `guard.npz`.

`models.steps.guard` writes it. Needs numpy alone.
"""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from . import forest, windows

SCHEMA = 1
DOCUMENT = "guard.json"
ARRAYS = "guard.npz"

_FOREST = ("roots", "feature", "threshold", "child", "path")


class ArtifactError(Exception):
    """An artifact cannot be used: the message says which file, what is wrong, and how to mend it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Artifact:
    """All that is known of what is usual."""

    features: tuple[str, ...]
    """F names, in the tensor's order."""
    symbols: tuple[str, ...]
    location: forest.Array
    """[symbols + 1, F]: the mean of each symbol's training rows; the last row is of all symbols."""
    spread: forest.Array
    """[symbols + 1, F]: their standard deviation; 1 where a feature never moves."""
    trees: forest.Forest
    """Grown from the standardised rows."""
    scale: forest.Scale
    references: Mapping[str, windows.Reference]
    limits: windows.Limits
    measured: Mapping[str, Any]
    """What the builder found out of sample."""

    def anomaly(self, symbol: str, row: forest.Array) -> float:
        """Say how unusual a row [F] is for `symbol`: 0..1, 0.5 is the border.

        A symbol that was not trained on is measured against all of them.
        1 where a value is missing: every row that is usual was complete.
        """
        if not np.isfinite(row).all():
            return 1.0
        place = self.symbols.index(symbol) if symbol in self.symbols else -1
        standardised = (row - self.location[place]) / self.spread[place]
        # Beyond single precision is as far out as can be told.
        bounded = np.clip(standardised, -_FARTHEST, _FARTHEST)
        return self.scale(self.trees.score(bounded))


_FARTHEST = 1e30


def write(folder: pathlib.Path, artifact: Artifact) -> None:
    """Write the artifact's two files: the same artifact gives the same bytes."""
    arrays = {f"forest/{name}": getattr(artifact.trees, name) for name in _FOREST}
    arrays |= {"location": artifact.location, "spread": artifact.spread}
    arrays["critical"] = artifact.limits.critical
    for place, symbol in enumerate(artifact.symbols):
        arrays[f"reference/{place}/samples"] = artifact.references[symbol].samples
        arrays[f"reference/{place}/mean"] = artifact.references[symbol].mean
    with (folder / ARRAYS).open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    document = {
        "schema": SCHEMA,
        "features": artifact.features,
        "symbols": artifact.symbols,
        "forest": {"depth": artifact.trees.depth, "usual": artifact.trees.usual},
        "scale": dataclasses.asdict(artifact.scale),
        "windows": {"sizes": artifact.limits.sizes, "border": artifact.limits.border},
        "measured": artifact.measured,
        "files": {ARRAYS: hashlib.sha256((folder / ARRAYS).read_bytes()).hexdigest()},
    }
    text = json.dumps(document, indent=2, sort_keys=True) + "\n"
    (folder / DOCUMENT).write_text(text, encoding="utf-8")


def read(folder: pathlib.Path) -> Artifact:
    """Read what `write` wrote, after its digest was checked; raise ArtifactError with the reason."""
    path = folder / DOCUMENT
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA:
            raise ArtifactError(
                f"{path}: has schema {document['schema']!r}, this guard reads {SCHEMA}; "
                "run `bellwether train`"
            )
        _verify(folder / ARRAYS, document["files"][ARRAYS])
        with np.load(folder / ARRAYS, allow_pickle=False) as arrays:
            return _parse(document, dict(arrays))
    except OSError as error:
        raise ArtifactError(
            f"{error.filename}: cannot be read ({error.strerror}); `bellwether train` makes it"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"{path}: is malformed ({error!r}); remove the folder and run `bellwether train`"
        ) from error


def _verify(path: pathlib.Path, expected: str) -> None:
    actual = hashlib.sha256(path.read_bytes()).hexdigest()
    if actual != expected:
        raise ArtifactError(
            f"{path}: is damaged, its SHA-256 is {actual[:12]}… instead of {expected[:12]}…; "
            "remove the folder and run `bellwether train`"
        )


def _parse(document: Mapping[str, Any], arrays: Mapping[str, Any]) -> Artifact:
    symbols = tuple(document["symbols"])
    return Artifact(
        features=tuple(document["features"]),
        symbols=symbols,
        location=arrays["location"],
        spread=arrays["spread"],
        trees=forest.Forest(
            **{name: arrays[f"forest/{name}"] for name in _FOREST}, **document["forest"]
        ),
        scale=forest.Scale(**document["scale"]),
        references={
            symbol: windows.Reference(
                samples=arrays[f"reference/{place}/samples"],
                mean=arrays[f"reference/{place}/mean"],
            )
            for place, symbol in enumerate(symbols)
        },
        limits=windows.Limits(
            sizes=tuple(document["windows"]["sizes"]),
            critical=arrays["critical"],
            border=document["windows"]["border"],
        ),
        measured=document["measured"],
    )
