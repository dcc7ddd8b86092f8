"""Reads a model artifact from a folder and makes forecasts with it.

An artifact is a folder that `models` writes and a predictor serves; the two meet nowhere else.
It holds `artifact.json` (described by `Manifest`),
and the weights that the manifest lists with their digests.
Estimators give the natural logarithm of the annualised volatility and the probability of a rise;
the interval is added here, in the same way for every kind.

Needs numpy; ONNX Runtime or LightGBM only for artifacts of these kinds.
"""

import dataclasses
import hashlib
import importlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

SCHEMA = 1
"""The newest schema of `artifact.json` that this code reads."""

MANIFEST = "artifact.json"

KINDS: Mapping[str, str] = {
    "linear": "runtimes.predictor.forecast_linear",
    "lightgbm": "runtimes.predictor.forecast_lightgbm",
    "onnx": "runtimes.predictor.forecast_onnx",
    "ensemble": "runtimes.predictor.forecast_ensemble",
}
"""The module that reads each kind; it is imported when the first artifact of its kind is loaded."""

VOLATILITY_BOUNDS = (0.005, 20.0)
"""Annualised volatilities outside these bounds are cut to them: no input may give 0 or infinity."""

DIRECTION_BOUNDS = (0.01, 0.99)
"""A direction's probability is never certain."""

Array = npt.NDArray[np.float64]


class ArtifactError(Exception):
    """An artifact is missing, damaged, or of a schema that this code does not read."""


class Estimator(Protocol):
    """What a kind's module loads: the part of a forecast that differs between kinds."""

    def estimate(self, features: Array, history: Array) -> tuple[Array, Array]:
        """Give the log of the annualised volatility [n] and the probability of a rise [n]."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Feature:
    """One column of the tensor `features`: its name, its unit, and what it says."""

    name: str
    unit: str
    description: str


@dataclasses.dataclass(frozen=True, slots=True)
class IntervalRule:
    """Where an interval ends, learnt from residuals of log volatility that no fit had seen.

    With `s = max(minimum, intercept + slope * features[feature])`, the ends are
    `volatility * exp(lower * s)` and `volatility * exp(upper * s)`:
    a split conformal interval (Lei et al. 2018) whose width follows one feature.
    """

    level: float
    lower: float
    upper: float
    feature: str
    intercept: float
    slope: float
    minimum: float

    def scale(self, values: Array) -> Array:
        """Give the width's scale [n] for the values [n] of `feature`."""
        return np.maximum(self.minimum, self.intercept + self.slope * values)


@dataclasses.dataclass(frozen=True, slots=True)
class Manifest:
    """What `artifact.json` says: a model's signature, and what is needed to read its weights."""

    model: str
    kind: str
    features: tuple[Feature, ...]
    history_length: int
    history_channels: tuple[Feature, ...]
    horizon_days: int
    interval: IntervalRule
    files: Mapping[str, str]
    """Every file's path inside the folder, with its SHA-256 in hexadecimal."""
    parameters: Mapping[str, Any]
    """What the kind's module needs beside the files."""
    regime: str | None = None
    """The regime that the model was made for, or None."""

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the columns of `features`, in order."""
        return tuple(feature.name for feature in self.features)

    def document(self) -> dict[str, Any]:
        """Give the content of `artifact.json`."""
        return {"schema": SCHEMA, **dataclasses.asdict(self)}


@dataclasses.dataclass(frozen=True, slots=True)
class Forecast:
    """Forecasts for n rows.

    `volatility` [n]: annualised standard deviation over the next five trading days;
    `direction` [n]: probability that tomorrow closes above today;
    `interval` [n, 2]: lower and upper end for `volatility` at the manifest's level.
    """

    volatility: Array
    direction: Array
    interval: Array


@dataclasses.dataclass(frozen=True, slots=True)
class Forecaster:
    """A loaded artifact."""

    metadata: Manifest
    estimator: Estimator

    def forecast(self, features: npt.ArrayLike, history: npt.ArrayLike) -> Forecast:
        """Forecast `features` [n, F] with `history` [n, T, C], both in the manifest's order.

        Raises ValueError, with the tensor and the shape that is expected, if a shape is wrong.
        """
        inputs = np.ascontiguousarray(features, dtype=np.float64)
        past = np.ascontiguousarray(history, dtype=np.float64)
        self._check_shapes(inputs, past)
        log_volatility, direction = self.estimator.estimate(inputs, past)
        return finish(self.metadata, inputs, log_volatility, direction)

    def _check_shapes(self, features: Array, history: Array) -> None:
        metadata = self.metadata
        width = len(metadata.features)
        if features.ndim != 2 or features.shape[1] != width:  # noqa: PLR2004  # a matrix
            raise ValueError(f"features: expected shape [n, {width}], got {list(features.shape)}")
        shape = (len(features), metadata.history_length, len(metadata.history_channels))
        if history.shape != shape:
            raise ValueError(f"history: expected shape {list(shape)}, got {list(history.shape)}")


def finish(
    manifest: Manifest, features: Array, log_volatility: Array, direction: Array
) -> Forecast:
    """Make forecasts of an estimator's output: cut to the bounds, and add the interval."""
    rule = manifest.interval
    scale = rule.scale(features[:, manifest.feature_names.index(rule.feature)])
    ends = log_volatility[:, None] + scale[:, None] * np.array([rule.lower, rule.upper])
    bounds = np.log(VOLATILITY_BOUNDS)
    return Forecast(
        volatility=np.exp(np.clip(log_volatility, *bounds)),
        direction=np.clip(direction, *DIRECTION_BOUNDS),
        interval=np.exp(np.clip(ends, *bounds)),
    )


def load(path: str | pathlib.Path) -> Forecaster:
    """Load the artifact in the folder `path`, after its files' digests were checked.

    Raises ArtifactError, with the file and the reason, if it cannot be served.
    """
    folder = pathlib.Path(path)
    manifest = read_manifest(folder)
    verify(folder, manifest)
    return Forecaster(metadata=manifest, estimator=load_estimator(folder, manifest))


def load_estimator(folder: pathlib.Path, manifest: Manifest) -> Estimator:
    """Load the weights in `folder` with the module of the manifest's kind."""
    try:
        module = importlib.import_module(KINDS[manifest.kind])
    except ModuleNotFoundError as error:
        raise ArtifactError(
            f"{folder}: a model of kind {manifest.kind!r} needs the library {error.name!r}, "
            "which this Python lacks: load it in the serving or the training environment"
        ) from error
    try:
        estimator: Estimator = module.load(folder, manifest)
    except ArtifactError:
        raise
    except Exception as error:
        raise ArtifactError(
            f"{folder}: the weights of kind {manifest.kind!r} cannot be read: {error}"
        ) from error
    return estimator


def read_manifest(folder: pathlib.Path) -> Manifest:
    """Read `artifact.json`; raise ArtifactError if it is missing, damaged or too new."""
    path = folder / MANIFEST
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ArtifactError(
            f"{path}: there is no artifact here; `bellwether train` makes one"
        ) from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ArtifactError(
            f"{path}: cannot be read ({error}); remove the folder and run `bellwether train`"
        ) from error
    if not isinstance(document, dict) or not isinstance(document.get("schema"), int):
        raise ArtifactError(f"{path}: has no whole number `schema`: it is no artifact manifest")
    if document["schema"] > SCHEMA:
        raise ArtifactError(
            f"{path}: has schema {document['schema']}, this predictor reads up to {SCHEMA}: "
            "deploy a newer predictor, or train again with this version"
        )
    try:
        manifest = _parse(document)
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"{path}: a field is missing or malformed ({error!r}); remove the folder and run "
            "`bellwether train`"
        ) from error
    if manifest.kind not in KINDS:
        raise ArtifactError(
            f"{path}: kind {manifest.kind!r} is unknown; known are {', '.join(KINDS)}"
        )
    return manifest


def verify(folder: pathlib.Path, manifest: Manifest) -> None:
    """Compare every listed file with its digest; raise ArtifactError at the first that differs."""
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ArtifactError(f"{folder / MANIFEST}: the file {name!r} lies outside the folder")
        try:
            actual = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise ArtifactError(
                f"{path}: listed in {MANIFEST} but cannot be read ({error.strerror}); "
                "remove the folder and run `bellwether train`"
            ) from error
        if actual != expected:
            raise ArtifactError(
                f"{path}: is damaged, its SHA-256 is {actual[:12]}… instead of {expected[:12]}…; "
                "remove the folder and run `bellwether train`"
            )


def _parse(document: Mapping[str, Any]) -> Manifest:
    feature_names = {feature["name"] for feature in document["features"]}
    interval = IntervalRule(**document["interval"])
    if interval.feature not in feature_names:
        raise ValueError(f"interval.feature {interval.feature!r} is none of the features")
    return Manifest(
        model=document["model"],
        kind=document["kind"],
        features=tuple(Feature(**feature) for feature in document["features"]),
        history_length=int(document["history_length"]),
        history_channels=tuple(Feature(**channel) for channel in document["history_channels"]),
        horizon_days=int(document["horizon_days"]),
        interval=interval,
        files=dict(document["files"]),
        parameters=dict(document["parameters"]),
        regime=document["regime"],
    )
