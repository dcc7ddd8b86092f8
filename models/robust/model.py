"""Linear over all features, fitted so that single days cannot pull it far."""

import numpy as np

from models import fitting, linear, regimes

EMPHASIS = 3.0
TUNING = 1.345
"""Huber's constant: 95 % efficiency if errors were normal after all."""


def fit(task: fitting.Task) -> fitting.Fitted:
    """Fit by iteratively reweighted least squares."""
    sample = task.sample
    return linear.fit(
        sample,
        sample.feature_names,
        weights=sample.emphasis(regimes.VOLATILE, EMPHASIS),
        reweight=huber,
    )


def huber(errors: linear.Array) -> linear.Array:
    """Give the weights of Huber's loss, the scale taken from the median absolute error."""
    scale = max(float(np.median(np.abs(errors))) / 0.6745, 1e-9)
    weights: linear.Array = np.minimum(1.0, TUNING * scale / np.maximum(np.abs(errors), 1e-12))
    return weights
