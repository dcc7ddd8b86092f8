"""Linear over all features, leaning towards more risk."""

import numpy as np

from models import fitting, linear, regimes

EMPHASIS = 3.0
EXPECTILE = 0.55
"""0.5 is the mean; above it, an error counts more if the forecast was too low."""


def fit(task: fitting.Task) -> fitting.Fitted:
    """Fit by iteratively reweighted least squares."""
    sample = task.sample
    return linear.fit(
        sample,
        sample.feature_names,
        weights=sample.emphasis(regimes.FALLING, EMPHASIS),
        reweight=asymmetric,
    )


def asymmetric(errors: linear.Array) -> linear.Array:
    """Give the weights of the expectile's loss for errors, actual less forecast."""
    weights: linear.Array = np.where(errors > 0, EXPECTILE, 1 - EXPECTILE)
    return weights
