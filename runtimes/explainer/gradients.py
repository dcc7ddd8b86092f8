"""Integrated gradients over groups, without a gradient: by differences along each group.

The contribution of a group is the integral, over the straight path from the background's mean day
to the row, of the derivative along the group's part of it (Sundararajan, Taly and Yan 2017,
"Axiomatic Attribution for Deep Networks"; over groups: the Aumann-Shapley value).
One derivative along a group stands for those by all of its values: a channel of 60 days costs as
much as a feature.

The path is cut into stretches, short ones at its ends: networks that scale a history by its own
deviation bend most near the mean one.
On each stretch a group moves alone from its begin to its end, while all others stand at its middle:
the difference is the derivative's integral up to the square of the stretch, at any kink, and no
division makes noise of single precision larger.
The check is completeness: stretches are halved until the contributions add up to 1e-3.
"""

import numpy as np

from runtimes.predictor import artifact, forecast_ensemble, forecast_lightgbm

from . import attribution, bundle

Array = artifact.Array

TOLERANCE = 1e-3
"""Relative error of the volatility that the contributions add up to."""

STRETCHES = (32, 64, 128, 256, 512, 1024)
CHUNK = 64
"""Stretches whose rows are forecast at a time."""


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
    for stretches in STRETCHES:
        contributions = _integral(estimator, ends, stretches)
        found = attribution.Attribution(
            base=values[1], output=values[0], contributions=contributions, days=len(background)
        )
        if found.completeness_error <= TOLERANCE:
            return found
    raise NoGradientError(
        f"the contributions add up to the output only within {found.completeness_error:.1e} after "
        f"{stretches} stretches, more than {TOLERANCE:.0e}; ask for method shap"
    )


def stepwise(estimator: artifact.Estimator) -> bool:
    """Tell whether the output is constant nearly everywhere along some direction."""
    if isinstance(estimator, forecast_ensemble.Ensemble):
        return any(stepwise(member.estimator) for member in estimator.members)
    return isinstance(estimator, forecast_lightgbm.Trees)


def _integral(
    estimator: artifact.Estimator,
    ends: tuple[tuple[Array, Array], tuple[Array, Array]],
    stretches: int,
) -> Array:
    """Give the contributions [F + C] with the path cut into `stretches`."""
    (features, history), (start, past) = ends
    width, channels = features.shape[1], history.shape[2]
    groups = width + channels
    cuts = (1 - np.cos(np.linspace(0, np.pi, stretches + 1))) / 2
    contributions = np.zeros(groups)
    for part in range(0, stretches, CHUNK):
        begin, end = cuts[:-1][part : part + CHUNK], cuts[1:][part : part + CHUNK]
        middle, half = (begin + end) / 2, (end - begin) / 2
        # Where each group is on the path: all in the middle of a stretch, one at its end or begin.
        aside = half[:, None, None] * np.eye(groups)
        places = middle[:, None, None] + np.concatenate([aside, -aside], axis=1)
        places = places.reshape(-1, groups)
        outputs, _ = estimator.estimate(
            start + places[:, :width] * (features - start),
            past + places[:, None, width:] * (history - past),
        )
        at_end, at_begin = outputs.reshape(len(middle), 2, groups).transpose(1, 0, 2)
        contributions += (at_end - at_begin).sum(axis=0)
    return contributions
