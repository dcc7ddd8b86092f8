"""The small bundles, read; where they lie is said by a variable."""

import json
import os
import pathlib

import numpy as np
import pytest

from runtimes.explainer import bundle
from runtimes.predictor import artifact

KINDS = ("line", "trees", "lstm", "transformer", "ensemble")


@pytest.fixture(scope="session")
def folder() -> pathlib.Path:
    """Where the small bundles lie."""
    return pathlib.Path(os.environ["BELLWETHER_SMALL_BUNDLE"])


@pytest.fixture(scope="session")
def folders(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    names = json.loads((folder / "names.json").read_text())
    return {name: pathlib.Path(path) for name, path in names.items()}


@pytest.fixture(scope="session")
def rows(folder: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    """Features [n, F] and history [n, T, C] of every day of the market."""
    with np.load(folder / "rows.npz") as stored:
        return stored["features"], stored["history"]


@pytest.fixture(scope="session")
def source(folders: dict[str, pathlib.Path]) -> bundle.Bundle:
    """The bundle for explanations on demand."""
    return bundle.load(folders["explanations"])


@pytest.fixture(scope="session")
def models(folders: dict[str, pathlib.Path]) -> dict[str, artifact.Forecaster]:
    """Each kind's artifact, as the predictor reads it."""
    return {kind: artifact.load(folders[kind]) for kind in (*KINDS, "line2")}
