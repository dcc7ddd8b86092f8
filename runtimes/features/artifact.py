"""What lies in an artifact of the step `enrichment`, and under which names.

`models/steps/enrichment` writes it; it needs no Feast to be named.
"""

import pathlib

import pydantic

from runtimes.features import definitions

MANIFEST = "feature-store.json"
OFFLINE = "offline"

ENTITY = "symbol"
EVENT_TIME = "event_timestamp"
CREATED_TIME = "created_timestamp"


class ArtifactError(Exception):
    """The artifact is missing, damaged, or of another make; the message says what to do."""


class Manifest(pydantic.BaseModel):
    """What an artifact says of itself."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    symbols: tuple[str, ...]
    definitions: str
    """The digest of the definitions that its files were computed with."""


def declared(folder: pathlib.Path) -> definitions.Definitions:
    """Give the definitions for the artifact's symbols; raise ArtifactError if it is of others."""
    path = folder / MANIFEST
    try:
        found = Manifest.model_validate_json(path.read_bytes())
    except (OSError, pydantic.ValidationError) as error:
        raise ArtifactError(
            f"{path}: is no manifest of a feature store ({error}); `bellwether train` writes one"
        ) from error
    result = definitions.declare(found.symbols)
    if result.digest != found.definitions:
        raise ArtifactError(
            f"{folder}: was computed with other feature definitions than this code has; "
            "`bellwether train` makes it anew"
        )
    return result


def offline_file(folder: pathlib.Path, view: str) -> pathlib.Path:
    """Give the file of a view in the offline store."""
    return folder / OFFLINE / f"{view}.parquet"
