"""The small bundles, read; where they lie is said by a variable."""

import json
import os
import pathlib

import numpy as np
import pytest

from runtimes.explainer import bundle
from runtimes.predictor import artifact

FOLDER = pathlib.Path(os.environ["BELLWETHER_SMALL_BUNDLE"])
FOLDERS = {
    name: pathlib.Path(folder)
    for name, folder in json.loads((FOLDER / "names.json").read_text()).items()
}
KINDS = ("line", "trees", "lstm", "transformer", "ensemble")


@pytest.fixture(scope="session")
def folders() -> dict[str, pathlib.Path]:
    return FOLDERS


@pytest.fixture(scope="session")
def rows() -> tuple[np.ndarray, np.ndarray]:
    """Features [n, F] and history [n, T, C] of every day of the market."""
    with np.load(FOLDER / "rows.npz") as stored:
        return stored["features"], stored["history"]


@pytest.fixture(scope="session")
def source() -> bundle.Bundle:
    """The bundle for explanations on demand."""
    return bundle.load(FOLDERS["explanations"])


@pytest.fixture(scope="session")
def models() -> dict[str, artifact.Forecaster]:
    """Each kind's artifact, as the predictor reads it."""
    return {kind: artifact.load(FOLDERS[kind]) for kind in (*KINDS, "line2")}
