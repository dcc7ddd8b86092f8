"""From an artifact's folder to a folder in MLServer's repository, as Seldon's agent does it.

Where Seldon copies the artifact and edits its `model-settings.json`,
the mesh writes an edited `model-settings.json` that points to the artifact.
"""

import hashlib
import json
import shutil
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra import seldon
from infra.local.mesh.envoy import ModelVersion

SETTINGS_FILE = "model-settings.json"

_KEPT = ("implementation", "platform", "versions", "inputs", "outputs", "parallel_workers")
_KEPT_OF_TENSOR = ("name", "shape", "datatype")
_KEPT_OF_PARAMETERS = ("format", "content_type", "environment_tarball")
_SCALING = {"replicas", "min_replicas", "max_replicas"}


class ArtifactError(Exception):
    """An artifact that cannot be loaded, with the reason for a person."""


def digest_of(spec: seldon.ModelSpec) -> str:
    """Sum up what makes a new version: everything but the number of replicas."""
    kept = spec.model_dump_json(exclude=_SCALING, exclude_none=True)
    return hashlib.sha256(kept.encode()).hexdigest()


def folder_of(spec: seldon.ModelSpec) -> Path:
    """Find the folder that holds the artifact's `model-settings.json`.

    As in Seldon: the folder itself; else the subfolder named by `artifactVersion`;
    else the one with the highest number.
    Raises `ArtifactError`.
    """
    folder = _local_path(spec.storage_uri)
    if not folder.is_dir():
        raise ArtifactError(f"storageUri {spec.storage_uri}: there is no folder {folder}")
    if (folder / SETTINGS_FILE).is_file():
        return folder
    numbered = {
        int(each.name): each
        for each in folder.iterdir()
        if each.name.isdecimal() and (each / SETTINGS_FILE).is_file()
    }
    if spec.artifact_version is not None:
        if spec.artifact_version in numbered:
            return numbered[spec.artifact_version]
        have = ", ".join(str(each) for each in sorted(numbered)) or "none"
        raise ArtifactError(
            f"storageUri {spec.storage_uri}: no version {spec.artifact_version}, there are: {have}"
        )
    if numbered:
        return numbered[max(numbered)]
    raise ArtifactError(f"storageUri {spec.storage_uri}: {folder} has no {SETTINGS_FILE}")


def rewritten_settings(
    spec: seldon.ModelSpec, folder: Path, version: ModelVersion
) -> dict[str, Any]:
    """Write what MLServer is told: the artifact's settings as Seldon's agent rewrites them.

    Kept is what the agent keeps;
    batching, caching, content types of single inputs and environment folders are dropped,
    so that a model behaves here as it will on a cluster.
    Raises `ArtifactError`.
    """
    path = folder / SETTINGS_FILE
    try:
        given = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: {error}") from error
    if not isinstance(given, dict) or not isinstance(given.get("implementation"), str):
        raise ArtifactError(f"{path}: needs an object with an implementation (a Python path)")
    parameters = given.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise ArtifactError(f"{path}: parameters has to be an object")
    settings = {key: given[key] for key in _KEPT if key in given}
    for side in ("inputs", "outputs"):
        if side in settings:
            settings[side] = [_tensor(each, path, side) for each in settings[side] or ()]
    settings["name"] = version.internal_name
    kept = {key: parameters[key] for key in _KEPT_OF_PARAMETERS if key in parameters}
    extra = dict(parameters.get("extra") or {})
    extra |= {each.name: each.value for each in spec.parameters or ()}
    settings["parameters"] = {
        **kept,
        "uri": _artifact_uri(folder, parameters.get("uri")),
        # Seldon pins the version that callers see; the real one is part of the name.
        "version": "1",
        "extra": extra,
    }
    return settings


def write(
    repository: Path, version: ModelVersion, settings: Mapping[str, Any], source: Path
) -> None:
    """Put a model version's folder into the repository, whole or not at all."""
    target = repository / version.internal_name
    target.mkdir(parents=True, exist_ok=True)
    document = {**settings, "_artifact": str(source)}
    temporary = target / f".{SETTINGS_FILE}.new"
    temporary.write_text(json.dumps(document, indent=1))
    temporary.replace(target / SETTINGS_FILE)


def remove(repository: Path, version: ModelVersion) -> None:
    """Take a model version's folder out of the repository."""
    shutil.rmtree(repository / version.internal_name, ignore_errors=True)


def _local_path(uri: str) -> Path:
    parts = urllib.parse.urlsplit(uri)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"}:
        return Path(urllib.parse.unquote(parts.path))
    if parts.scheme == "" and uri.startswith("/"):
        return Path(uri)
    raise ArtifactError(
        f"storageUri {uri}: this mesh loads from this machine only, "
        "give file:///… or an absolute path"
    )


def _artifact_uri(folder: Path, uri: object) -> str:
    if not isinstance(uri, str) or not uri:
        return str(folder)
    if "://" in uri or uri.startswith("/"):
        return uri
    return str((folder / uri).resolve())


def _tensor(tensor: object, path: Path, side: str) -> dict[str, Any]:
    if not isinstance(tensor, dict):
        raise ArtifactError(f"{path}: {side} has to be a list of objects")
    return {key: tensor[key] for key in _KEPT_OF_TENSOR if key in tensor}
