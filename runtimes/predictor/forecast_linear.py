"""Linear artifacts: log volatility is linear in the features, the log odds of a rise too."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from . import artifact

WEIGHTS = "linear.json"


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """An intercept and one coefficient for each feature [F]; most may be 0."""

    intercept: float
    coefficients: artifact.Array

    @classmethod
    def parse(cls, document: Mapping[str, Any], features: tuple[str, ...]) -> "Line":
        """Read `{"intercept": a, "coefficients": {feature: b}}`; a feature left out counts 0."""
        coefficients: Mapping[str, float] = document["coefficients"]
        if unknown := sorted(set(coefficients) - set(features)):
            raise ValueError(f"{WEIGHTS} has coefficients of unknown features {unknown}")
        return cls(
            intercept=float(document["intercept"]),
            coefficients=np.array([float(coefficients.get(name, 0.0)) for name in features]),
        )

    def document(self, features: tuple[str, ...]) -> dict[str, Any]:
        """Give what `parse` reads."""
        coefficients = dict(zip(features, self.coefficients.tolist(), strict=True))
        return {
            "intercept": float(self.intercept),
            "coefficients": {name: value for name, value in coefficients.items() if value != 0.0},
        }

    def __call__(self, features: artifact.Array) -> artifact.Array:
        """Evaluate the line for `features` [n, F], row by row the same whatever n is."""
        # A matrix product rounds differently for one row and for many: a sum per row does not.
        value: artifact.Array = (features * self.coefficients).sum(axis=1) + self.intercept
        return value


@dataclasses.dataclass(frozen=True, slots=True)
class Linear:
    """The estimator of a linear artifact."""

    log_volatility: Line
    log_odds: Line

    def estimate(
        self, features: artifact.Array, history: artifact.Array
    ) -> tuple[artifact.Array, artifact.Array]:
        """See `artifact.Estimator`; the history is not used."""
        del history
        odds = np.clip(self.log_odds(features), -20.0, 20.0)
        return self.log_volatility(features), 1.0 / (1.0 + np.exp(-odds))


def load(folder: pathlib.Path, manifest: artifact.Manifest) -> Linear:
    """Load `linear.json`."""
    document = json.loads((folder / WEIGHTS).read_text(encoding="utf-8"))
    return Linear(
        log_volatility=Line.parse(document["log_volatility"], manifest.feature_names),
        log_odds=Line.parse(document["log_odds"], manifest.feature_names),
    )
