"""Integrated gradients over groups, without a gradient: by differences along each group.

The contribution of a group is the integral, over the straight path from the background's mean day
to the row, of the derivative along the group's part of it (Sundararajan, Taly and Yan 2017,
"Axiomatic Attribution for Deep Networks"; over groups: the Aumann-Shapley value).
One derivative along a group stands for those by all of its values: a channel of 60 days costs as
much as a feature.
Derivatives are central differences, the integral is the midpoint rule; the check is completeness:
points are doubled until the contributions add up to 1e-3.
"""

import numpy as np

from runtimes.predictor import artifact, forecast_ensemble, forecast_lightgbm

from . import attribution, bundle

Array = artifact.Array

TOLERANCE = 1e-3
"""Relative error of the volatility that the contributions add up to."""

POINTS = (32, 64, 128, 256)
STEP = 0.01
"""Of the path's length: networks compute in single precision, smaller steps drown in its noise."""


class NoGradientError(Exception):
    """The model has none, or the integral does not settle."""


def attribute(
    estimator: artifact.Estimator, background: bundle.Background, features: Array, history: Array
) -> attribution.Attribution:
    """Explain one row: `features` [1, F], `history` [1, T, C]; raise NoGradientError if it has none."""
    if stepwise(estimator):
        raise NoGradientError(
            "trees are constant between their splits and have no gradient; ask for method shap"
        )
    ends = (features, history), (background.mean[None], background.mean_history[None])
    values = [float(estimator.estimate(*end)[0][0]) for end in ends]
    for points in POINTS:
        contributions = _integral(estimator, ends, points)
        found = attribution.Attribution(
            base=values[1], output=values[0], contributions=contributions, days=len(background)
        )
        if found.completeness_error <= TOLERANCE:
            return found
    raise NoGradientError(
        f"the contributions add up to the output only within {found.completeness_error:.1e} after "
        f"{points} points, more than {TOLERANCE:.0e}; ask for method shap"
    )


def stepwise(estimator: artifact.Estimator) -> bool:
    """Tell whether the output is constant nearly everywhere along some direction."""
    if isinstance(estimator, forecast_ensemble.Ensemble):
        return any(stepwise(member.estimator) for member in estimator.members)
    return isinstance(estimator, forecast_lightgbm.Trees)


def _integral(
    estimator: artifact.Estimator,
    ends: tuple[tuple[Array, Array], tuple[Array, Array]],
    points: int,
) -> Array:
    """Give the contributions [F + C] with the path cut into `points`."""
    (features, history), (start, past) = ends
    width, channels = features.shape[1], history.shape[2]
    groups = width + channels
    # Which place on the path each group is at: all at the same, one a step aside.
    middles = (np.arange(points) + 0.5) / points
    aside = STEP * np.eye(groups)
    places = middles[:, None, None] + np.concatenate([aside, -aside])[None]
    places = places.reshape(-1, groups)
    rows = start + places[:, :width] * (features - start)
    pasts = past + places[:, None, width:] * (history - past)
    outputs, _ = estimator.estimate(rows, pasts)
    ahead, behind = outputs.reshape(points, 2, groups).transpose(1, 0, 2)
    contributions: Array = ((ahead - behind) / (2 * STEP)).mean(axis=0)
    return contributions
