"""Builds the guard's artifact: forest, references and limits of all of history, and their worth."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from models import features, steps
from runtimes.guard import artifact, windows

from . import calibration, isolation, measure

RUNTIME = "runtimes.guard.runtime.Guard"


def build(task: steps.Task, folder: pathlib.Path) -> Mapping[str, Any]:
    """Write the files; give the content of `model-settings.json`."""
    data = task.data
    rows = np.flatnonzero(np.isfinite(data.features).all(axis=1))
    standard = isolation.Standard.of(data.features[rows], data.symbol[rows], len(data.symbols))
    grown = isolation.fit(standard(data.features[rows], data.symbol[rows]), task.seed)
    flat = isolation.flatten(grown)
    artifact.write(
        folder,
        artifact.Artifact(
            features=tuple(column.name for column in features.FEATURES),
            symbols=data.symbols,
            location=standard.location,
            spread=standard.spread,
            trees=flat,
            scale=isolation.scale(grown, flat),
            references={
                symbol: windows.Reference.of(
                    data.features[rows[data.symbol[rows] == place]], calibration.SAMPLES
                )
                for place, symbol in enumerate(data.symbols)
            },
            limits=calibration.calibrate(data, rows),
            measured=measure.report(data, rows, task.seed),
        ),
    )
    return steps.settings("guard", RUNTIME)
