"""Reads what `models` builds for the explainer: every predictor's artifact, and a background.

A bundle is a folder that holds

- `explainer.json`: the predictors with their artifacts' names, the digest of the background, and
  for explanations on demand what may change and how far (see `Definitions`);
- `background.npz`: `features` [n, F] and `history` [n, T, C] of days that stand for what is usual;
- `evaluation.npz`, on demand only: days with `log_volatility` [n], what came out;
- `predictors/<name>/sha256-<digest>/`: the artifacts, each under its content address.
"""

import dataclasses
import functools
import hashlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pydantic

from runtimes import contract
from runtimes.predictor import artifact

Array = artifact.Array

SCHEMA = 1
DOCUMENT = "explainer.json"
BACKGROUND = "background.npz"
EVALUATION = "evaluation.npz"
PREDICTORS = "predictors"
LOG_VOLATILITY = "log_volatility"

_USUAL = 0.99
"""Share of the background that counts as usual, see `Background.reach`."""


class BundleError(Exception):
    """A bundle is missing, damaged, or does not fit together."""


class Change(pydantic.BaseModel):
    """What becomes of one feature if today had gone otherwise, and why."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    rule: str
    """`chosen`: a scenario sets it; `follows`: it is computed from what is chosen; `held`."""
    reason: str
    least: float
    """Least value observed in training."""
    most: float
    """Greatest value observed in training."""


class Definitions(pydantic.BaseModel):
    """What a scenario of another today needs to know; see `scenario`."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    changes: dict[str, Change]
    """By feature."""
    scales: dict[str, float]
    """By what is chosen: how much of it is one unit of distance."""
    variance_floor: float
    """Least daily variance before a logarithm."""
    symbols: int
    """Over how many symbols `market_tension` is a mean."""


class Document(pydantic.BaseModel):
    """The content of `explainer.json`."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    schema_: int = pydantic.Field(alias="schema", le=SCHEMA)
    seed: int
    background: str
    """SHA-256 over the background's arrays, `sha256-<digest>`."""
    predictors: dict[str, str]
    """The name of each predictor where it is served -> its artifact's name."""
    definitions: Definitions | None = None


@dataclasses.dataclass(frozen=True)
class Background:
    """Days that stand for what is usual: what an attribution is relative to."""

    features: Array
    """[n, F]"""
    history: Array
    """[n, T, C]"""
    digest: str

    def __len__(self) -> int:
        return len(self.features)

    @functools.cached_property
    def mean(self) -> Array:
        """The mean [F] of the features."""
        result: Array = self.features.mean(axis=0)
        return result

    @functools.cached_property
    def mean_history(self) -> Array:
        """The mean [T, C] of the histories."""
        result: Array = self.history.mean(axis=0)
        return result

    @functools.cached_property
    def deviation(self) -> Array:
        """The standard deviation [F] of the features; 1 where they stand still."""
        spread = self.features.std(axis=0)
        result: Array = np.where(spread > 0, spread, 1.0)
        return result

    @functools.cached_property
    def reach(self) -> float:
        """The distance from the mean that 99 % of the background stay within."""
        return float(np.quantile(self.distance(self.features), _USUAL))

    def distance(self, features: Array) -> Array:
        """Give the root mean square [n] of the standardised `features` [n, F]."""
        standardised = (features - self.mean) / self.deviation
        result: Array = np.sqrt(np.einsum("nf,nf->n", standardised, standardised) / len(self.mean))
        return result

    def typicality(self, features: Array) -> float:
        """Say how usual one row [1, F] is: 1 within the background's reach, reach/distance beyond."""
        distance = float(self.distance(features)[0])
        return 1.0 if distance <= self.reach else self.reach / distance


@dataclasses.dataclass(frozen=True, slots=True)
class Predictor:
    """One predictor's artifact, as it is served."""

    name: str
    """The model where it is served."""
    address: str
    """The artifact's content address."""
    forecaster: artifact.Forecaster


@dataclasses.dataclass(frozen=True, slots=True)
class Evaluation:
    """Days with what came out."""

    features: Array
    history: Array
    log_volatility: Array
    """[n]"""


@dataclasses.dataclass(frozen=True)
class Bundle:
    """A bundle that was read and checked."""

    folder: pathlib.Path
    seed: int
    background: Background
    predictors: Mapping[str, Predictor]
    """By name."""
    by_artifact: Mapping[str, Predictor]
    """By every name that the predictor may give its artifact."""
    definitions: Definitions | None

    @property
    def features(self) -> tuple[artifact.Feature, ...]:
        """What the columns of `features` are, the same for all predictors."""
        return self._any.features

    @property
    def channels(self) -> tuple[artifact.Feature, ...]:
        """What the channels of `history` are."""
        return self._any.history_channels

    @property
    def days(self) -> int:
        """The days of a history."""
        return self._any.history_length

    @property
    def _any(self) -> artifact.Manifest:
        return next(iter(self.predictors.values())).forecaster.metadata

    def evaluation(self) -> Evaluation:
        """Read the days with what came out; raise BundleError if the bundle has none."""
        stored = _arrays(
            self.folder / EVALUATION, contract.FEATURES, contract.HISTORY, LOG_VOLATILITY
        )
        return Evaluation(**stored)


def load(folder: pathlib.Path) -> Bundle:
    """Read the bundle in `folder`; raise BundleError, with the file and the reason, if it is unfit."""
    path = folder / DOCUMENT
    try:
        document = Document.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, pydantic.ValidationError) as error:
        raise BundleError(
            f"{path}: cannot be read ({error}); `bellwether train` makes it"
        ) from error
    stored = _arrays(folder / BACKGROUND, contract.FEATURES, contract.HISTORY)
    background = Background(**stored, digest=digest(stored))
    if background.digest != document.background:
        raise BundleError(
            f"{folder / BACKGROUND}: is damaged, its digest is {background.digest[:19]}… instead of "
            f"{document.background[:19]}…; remove the folder and run `bellwether train`"
        )
    if not document.predictors:
        raise BundleError(f"{path}: names no predictor that could be explained; train one first")
    predictors = {
        name: _predictor(folder, name, address, background)
        for name, address in document.predictors.items()
    }
    return Bundle(
        folder=folder,
        seed=document.seed,
        background=background,
        predictors=predictors,
        by_artifact=_by_artifact(folder, predictors),
        definitions=document.definitions,
    )


def digest(arrays: Mapping[str, Array]) -> str:
    """Give the name of arrays: `sha256-` and the digest over names, shapes and values."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        values = np.ascontiguousarray(arrays[name], dtype=np.float64)
        total.update(json.dumps([name, values.shape]).encode())
        total.update(values.tobytes())
    return f"sha256-{total.hexdigest()}"


def place(folder: pathlib.Path, name: str, address: str) -> pathlib.Path:
    """Give the folder of a predictor's artifact inside a bundle."""
    return folder / PREDICTORS / name / address


def _predictor(folder: pathlib.Path, name: str, address: str, background: Background) -> Predictor:
    inner = place(folder, name, address)
    try:
        forecaster = artifact.load(inner)
    except artifact.ArtifactError as error:
        raise BundleError(f"predictor {name!r}: {error}") from error
    manifest = forecaster.metadata
    takes = (len(manifest.features), manifest.history_length, len(manifest.history_channels))
    if takes != (background.features.shape[1], *background.history.shape[1:]):
        raise BundleError(
            f"{inner}: takes {takes[0]} features and a history of {takes[1]} days of {takes[2]} "
            f"channels; the background has shapes {list(background.features.shape)} and "
            f"{list(background.history.shape)}: train again"
        )
    return Predictor(name=name, address=address, forecaster=forecaster)


def _by_artifact(folder: pathlib.Path, predictors: Mapping[str, Predictor]) -> dict[str, Predictor]:
    found: dict[str, Predictor] = {}
    for each in predictors.values():
        manifest = (place(folder, each.name, each.address) / artifact.MANIFEST).read_bytes()
        found[each.address] = each
        # What a predictor calls its artifact where Seldon's agent gave the folder another name.
        found[f"manifest-sha256-{hashlib.sha256(manifest).hexdigest()}"] = each
    return found


def _arrays(path: pathlib.Path, *names: str) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: np.ascontiguousarray(stored[name], dtype=np.float64) for name in names}
    except (OSError, ValueError, KeyError) as error:
        raise BundleError(
            f"{path}: cannot be read ({error}); remove the folder and run `bellwether train`"
        ) from error
