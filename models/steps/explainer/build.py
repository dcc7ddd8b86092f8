"""Writes the bundle that `runtimes.explainer.bundle` reads.

The background is a sample of days, in equal shares of every symbol and regime as they occur, so
that its mean forecast is what a forecast is on a usual day.
"""

import json
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

import numpy as np

from models import dataset, index, regimes, steps
from runtimes import contract
from runtimes.explainer import bundle

BACKGROUND_DAYS = 128
SERVED_ALONE = "model-settings.json"
"""What a copied artifact leaves behind: a server would take it for a model of its own."""


def build(task: steps.Task, folder: pathlib.Path) -> Mapping[str, Any]:
    """Write the bundle for the path."""
    write(task, folder, {})
    return steps.settings("explainer", "runtimes.explainer.runtime.Explainer")


def write(task: steps.Task, folder: pathlib.Path, more: Mapping[str, Any]) -> dataset.Rows:
    """Write background, predictors and document; give the background's rows."""
    rows = sample(task.data, BACKGROUND_DAYS, task.seed)
    background = {
        contract.FEATURES: task.data.features[rows],
        contract.HISTORY: np.ascontiguousarray(task.data.history(rows)),
    }
    save(folder / bundle.BACKGROUND, background)
    document = {
        "schema": bundle.SCHEMA,
        "seed": task.seed,
        "background": bundle.digest(background),
        "predictors": {
            _copy(record, folder): record.artifact
            for record in (task.models[name] for name in sorted(task.models))
        },
        **more,
    }
    text = json.dumps(document, indent=2, sort_keys=True) + "\n"
    (folder / bundle.DOCUMENT).write_text(text, encoding="utf-8")
    return rows


def sample(data: dataset.Dataset, days: int, seed: int) -> dataset.Rows:
    """Draw `days` rows whose targets are known, symbols and regimes in their shares, shuffled."""
    random = np.random.default_rng(seed)
    rows = np.flatnonzero(np.isfinite(data.log_volatility))
    regime = regimes.of(data.history(rows))
    strata = [
        random.permutation(rows[(data.symbol[rows] == symbol) & (regime == name)])
        for symbol in range(len(data.symbols))
        for name in regimes.NAMES
    ]
    # Every row at the middle of its share of its stratum: evenly spaced picks keep the shares.
    places = np.concatenate([(np.arange(len(part)) + 0.5) / max(len(part), 1) for part in strata])
    order = np.argsort(places, kind="stable")
    return random.permutation(np.concatenate(strata)[order][:days])


def save(path: pathlib.Path, arrays: Mapping[str, dataset.Array]) -> None:
    """Write arrays; the same arrays give the same bytes."""
    # Its type information takes a mapping's values for its own option.
    np.savez(path, **arrays)  # type: ignore[arg-type]


def _copy(record: index.Record, folder: pathlib.Path) -> str:
    """Copy a predictor's artifact under its content address; give the name it is served by."""
    settings = json.loads((record.folder / SERVED_ALONE).read_text(encoding="utf-8"))
    name: str = settings["name"]
    shutil.copytree(
        record.folder,
        bundle.place(folder, name, record.artifact),
        ignore=shutil.ignore_patterns(SERVED_ALONE),
    )
    return name
