"""Linear models of log volatility and of the log odds of a rise, in numpy.

Coefficients are found on standardised features with a ridge penalty, and given for the features
as they are, with ten significant digits.
"""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from runtimes.predictor import forecast_linear

from . import fitting

Array = fitting.Array
Reweight = Callable[[Array], Array]
"""Gives weights for the errors [n] of a fit: how a loss other than the squared one is fitted."""

PRIOR_ROWS = 100.0
"""How many rows' worth of evidence it takes to move away from last month's volatility.

Coefficients are shrunk towards a forecast that says: as volatile as last month.
With decades of days this changes nothing; with a year of one symbol it keeps the fit sound,
because targets overlap and features persist: there are fewer independent days than rows.
"""

LEVEL = "log_variance_22d"
HALF = 0.5
"""The logarithm of a volatility is half that of its variance."""

RIDGE_OF_ODDS = 0.2
"""The same for direction, where there is next to nothing to learn: it stays near the base rate."""

STILL = 1e-9
"""A feature whose standard deviation is below this does not move."""

ROUNDS = 25
DIRECTION_FEATURES = ("return_1d", "return_5d", "shock_1d", "trend_60d", "market_tension")


@dataclasses.dataclass(frozen=True, slots=True)
class FittedLines:
    """A fitted linear model."""

    feature_names: tuple[str, ...]
    lines: forecast_linear.Linear

    kind = "linear"

    def estimate(self, features: Array, history: Array) -> tuple[Array, Array]:
        """See `artifact.Estimator`."""
        return self.lines.estimate(features, history)

    def save(self, folder: pathlib.Path) -> Mapping[str, Any]:
        """See `fitting.Fitted`."""
        document = {
            "log_volatility": self.lines.log_volatility.document(self.feature_names),
            "log_odds": self.lines.log_odds.document(self.feature_names),
        }
        text = json.dumps(document, indent=2, sort_keys=True) + "\n"
        (folder / forecast_linear.WEIGHTS).write_text(text, encoding="utf-8")
        return {}


def fit(
    sample: fitting.Sample,
    features: Sequence[str],
    *,
    weights: Array | None = None,
    reweight: Reweight | None = None,
) -> FittedLines:
    """Fit log volatility on `features`, by least squares or iteratively reweighted ones."""
    start = np.ones(len(sample.rise)) if weights is None else weights
    return FittedLines(
        feature_names=sample.feature_names,
        lines=forecast_linear.Linear(
            log_volatility=volatility(sample, features, start, reweight),
            log_odds=direction(sample, start),
        ),
    )


def volatility(
    sample: fitting.Sample,
    features: Sequence[str],
    weights: Array,
    reweight: Reweight | None = None,
) -> forecast_linear.Line:
    """Fit the line of log volatility."""
    scaled = _Scaled.of(sample, features)
    place = sample.feature_names.index(LEVEL)
    target = sample.log_volatility - HALF * sample.features[:, place]
    coefficients = _weighted(scaled.design, target, weights, PRIOR_ROWS)
    if reweight is not None:
        for _ in range(ROUNDS):
            renewed = weights * reweight(target - scaled.design @ coefficients)
            coefficients = _weighted(scaled.design, target, renewed, PRIOR_ROWS)
    line = scaled.line(coefficients)
    line.coefficients[place] = rounded(line.coefficients[place] + HALF)
    return line


def direction(
    sample: fitting.Sample, weights: Array, features: Sequence[str] = DIRECTION_FEATURES
) -> forecast_linear.Line:
    """Fit the line of the log odds of a rise: logistic regression by Newton's method."""
    scaled = _Scaled.of(sample, features)
    design = scaled.design
    coefficients = np.zeros(design.shape[1])
    for _ in range(ROUNDS):
        chance = 1.0 / (1.0 + np.exp(-design @ coefficients))
        curvature = weights * np.maximum(chance * (1 - chance), 1e-6)
        working = design @ coefficients + (sample.rise - chance) * weights / curvature
        coefficients = _weighted(design, working, curvature, RIDGE_OF_ODDS * len(design))
    return scaled.line(coefficients)


def rounded(value: float) -> float:
    """Give ten significant digits: what the last bits hold depends on the processor."""
    return float(f"{value:.10g}")


@dataclasses.dataclass(frozen=True, slots=True)
class _Scaled:
    """Standardised features with a leading column of ones, and the way back."""

    design: Array
    mean: Array
    deviation: Array
    places: tuple[int, ...]
    width: int

    @classmethod
    def of(cls, sample: fitting.Sample, features: Sequence[str]) -> "_Scaled":
        places = tuple(sample.feature_names.index(name) for name in features)
        chosen = sample.features[:, places]
        mean = chosen.mean(axis=0)
        spread = chosen.std(axis=0)
        # A feature that never moves, such as the volume score of close-only data, counts nothing.
        deviation = np.where(spread > STILL, spread, np.inf)
        ones = np.ones((len(chosen), 1))
        return cls(
            design=np.hstack([ones, (chosen - mean) / deviation]),
            mean=mean,
            deviation=deviation,
            places=places,
            width=len(sample.feature_names),
        )

    def line(self, coefficients: Array) -> forecast_linear.Line:
        slopes = coefficients[1:] / self.deviation
        full = np.zeros(self.width)
        full[list(self.places)] = [rounded(slope) for slope in slopes]
        intercept = coefficients[0] - (slopes * self.mean).sum()
        return forecast_linear.Line(intercept=rounded(intercept), coefficients=full)


def _weighted(design: Array, target: Array, weights: Array, rows: float) -> Array:
    penalty = np.full(design.shape[1], rows * weights.mean())
    penalty[0] = 0.0
    gram = design.T @ (design * weights[:, None]) + np.diag(penalty)
    return np.asarray(np.linalg.solve(gram, design.T @ (target * weights)), dtype=np.float64)
