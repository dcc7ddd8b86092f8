"""Writes a trained model as an artifact, with its card, under the digest of all its files.

No time and no path of this machine is written: the same training gives the same bytes.
"""

import dataclasses
import hashlib
import json
import pathlib
import shutil
from typing import Any

import numpy as np

from runtimes import contract
from runtimes.predictor import artifact

from . import cache, card, dataset, discovery, features, fitting, index, provenance, sources, steps

SETTINGS = "model-settings.json"
RUNTIME = "runtimes.predictor.runtime.Predictor"


def save(
    trained: fitting.Trained,
    data: dataset.Dataset,
    source: sources.Source,
    origin: provenance.Provenance,
) -> pathlib.Path:
    """Write the artifact; give its folder, `<artifacts>/<model>/sha256-<digest>`."""
    parent = cache.artifacts() / trained.name
    with cache.new_folder(parent) as folder:
        parameters = trained.fitted.save(folder)
        _write_json(folder / SETTINGS, settings(trained.name))
        described = card.describe(trained, data, source, origin)
        _write_json(folder / card.DOCUMENT, described)
        (folder / card.PAGE).write_text(card.page(described), encoding="utf-8")
        manifest = _manifest(trained, data, folder, parameters)
        _write_json(folder / artifact.MANIFEST, manifest.document())
        return _publish(folder, parent)


def save_step(name: str, task: steps.Task) -> pathlib.Path:
    """Build the step `name` and write its artifact; give its folder, as `save` does."""
    parent = cache.artifacts() / name
    with cache.new_folder(parent) as folder:
        _write_json(folder / SETTINGS, steps.builder(name).build(task, folder))
        return _publish(folder, parent)


def settings(name: str) -> dict[str, Any]:
    """Give what MLServer reads: which runtime serves the folder, and under which name."""
    return {
        "name": f"{name}-predictor",
        "implementation": RUNTIME,
        "parameters": {"uri": "."},
    }


def _manifest(
    trained: fitting.Trained,
    data: dataset.Dataset,
    folder: pathlib.Path,
    parameters: Any,
) -> artifact.Manifest:
    return artifact.Manifest(
        model=trained.name,
        kind=trained.fitted.kind,
        features=tuple(map(features.declared, features.FEATURES)),
        history_length=data.length,
        history_channels=tuple(map(features.declared, features.CHANNELS)),
        horizon_days=contract.HORIZON_DAYS,
        interval=trained.interval,
        files={
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            # Seldon's agent rewrites the settings: they are no part of what must stay as it was.
            if path.is_file() and path.name != SETTINGS
        },
        parameters=dict(parameters),
        regime=discovery.declared(trained.name).regime,
    )


def _publish(folder: pathlib.Path, parent: pathlib.Path) -> pathlib.Path:
    target = parent / index.name(folder)
    if target.exists():
        if index.intact(target):
            return target
        shutil.rmtree(target)
    # A temporary folder is private; an artifact is read by whoever serves it.
    folder.chmod(0o755)
    return folder.rename(target)


def _write_json(path: pathlib.Path, document: Any) -> None:
    path.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def save_ledger(path: pathlib.Path, ledger: fitting.Ledger) -> None:
    """Keep a ledger for the models that combine others."""
    with cache.new_file(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **dataclasses.asdict(ledger))


def load_ledger(path: pathlib.Path) -> fitting.Ledger:
    """Read what `save_ledger` wrote."""
    with np.load(path, allow_pickle=False) as stored:
        return fitting.Ledger(**{name: stored[name] for name in stored.files})
