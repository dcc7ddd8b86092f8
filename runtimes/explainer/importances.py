"""Permutation importances (Breiman 2001; Fisher, Rudin and Dominici 2019), of the model as a whole.

How much worse forecasts of known days become when one feature, or one channel of the history, is
that of another day: the increase of the mean squared error of log volatility.
Intervals are the middle 95 % over shuffles.
"""

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import inspection

from runtimes.predictor import artifact

from . import bundle, explanation

Array = artifact.Array
Days = npt.NDArray[np.intp]

ENDS = (2.5, 97.5)


@dataclasses.dataclass(frozen=True, slots=True)
class _Days:
    """Forecasts days of which each group may come from another day.

    The library shuffles columns: column g says of which day group g is.
    """

    estimator: artifact.Estimator
    evaluation: bundle.Evaluation

    def fit(self, days: Days, actual: Array) -> "_Days":
        """Nothing is fitted: the library asks for the method."""
        del days, actual
        return self

    def error(self, days: Days, actual: Array) -> float:
        """Give the mean squared error of log volatility."""
        width = self.evaluation.features.shape[1]
        columns = np.arange(width)
        features = self.evaluation.features[days[:, :width], columns]
        channels = np.arange(self.evaluation.history.shape[2])
        # [n, C, T] -> [n, T, C]
        history = self.evaluation.history[days[:, width:], :, channels].transpose(0, 2, 1)
        log_volatility, _ = self.estimator.estimate(
            np.ascontiguousarray(features), np.ascontiguousarray(history)
        )
        return float(np.mean((log_volatility - actual) ** 2))


def explain(
    estimator: artifact.Estimator,
    source: bundle.Bundle,
    evaluation: bundle.Evaluation,
    *,
    repeats: int,
    seed: int,
) -> dict[str, Any]:
    """Explain the model on the bundle's days with what came out."""
    named = explanation.groups(source)
    model = _Days(estimator, evaluation)
    rows = len(evaluation.log_volatility)
    days = np.repeat(np.arange(rows)[:, None], len(named), axis=1)
    found = inspection.permutation_importance(
        model,
        days,
        evaluation.log_volatility,
        scoring=lambda each, moved, actual: -each.error(moved, actual),
        n_repeats=repeats,
        random_state=seed,
    )
    low, high = np.percentile(found.importances, ENDS, axis=1)
    order = np.argsort(-found.importances_mean, kind="stable")
    return {
        "method": "permutation importances",
        "target": explanation.TARGET,
        "mean_squared_error": model.error(days, evaluation.log_volatility),
        "days": rows,
        "repeats": repeats,
        "importances": [
            {
                "feature": named[at].name,
                "importance": float(found.importances_mean[at]),
                "interval": [float(low[at]), float(high[at])],
                "unit": "increase of the mean squared error of log volatility",
            }
            for at in order.tolist()
        ],
    }
