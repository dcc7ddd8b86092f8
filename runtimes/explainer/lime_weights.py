"""LIME (Ribeiro, Singh and Guestrin 2016): a line that is true near one day.

Features are drawn around the day, each on its own, as widely as they vary in the background; near
days count more; the library fits a ridge regression to the model's outputs.
R² says how well the line does near the day: a low one means that the weights mean little.
The history is held.
"""

from typing import Any

import numpy as np
from lime import lime_tabular

from runtimes.predictor import artifact

from . import bundle, explanation

Array = artifact.Array


def explain(  # noqa: PLR0913  # each is a different thing
    estimator: artifact.Estimator,
    source: bundle.Bundle,
    features: Array,
    history: Array,
    *,
    samples: int,
    seed: int,
) -> dict[str, Any]:
    """Explain one row: `features` [1, F], `history` [1, T, C]."""
    names = [feature.name for feature in source.features]
    explainer = lime_tabular.LimeTabularExplainer(
        source.background.features,
        mode="regression",
        feature_names=names,
        discretize_continuous=False,
        sample_around_instance=True,
        random_state=seed,
    )

    def outputs(rows: Array) -> Array:
        pasts = np.broadcast_to(history, (len(rows), *history.shape[1:]))
        log_volatility, _ = estimator.estimate(np.ascontiguousarray(rows), pasts)
        return log_volatility

    found = explainer.explain_instance(
        features[0], outputs, num_features=len(names), num_samples=samples
    )
    # The one output of a regression: the library keeps its weights under 1, and 0 for the mirrored.
    weights = dict(found.local_exp[1])
    deviation = explainer.scaler.scale_
    order = sorted(weights, key=lambda at: -abs(weights[at]))
    return {
        "method": "lime",
        "target": explanation.TARGET,
        "output": float(np.ravel(found.predicted_value)[0]),
        "output_of_line": float(np.ravel(found.local_pred)[0]),
        "r_squared": float(found.score),
        "samples": samples,
        "attributions": [
            {
                "feature": names[at],
                "value": float(features[0, at]),
                "unit": source.features[at].unit,
                "weight": float(weights[at]),
                "weight_unit": "log volatility by one standard deviation of the feature",
                "standard_deviation": float(deviation[at]),
            }
            for at in order
        ],
        "held": [f"history.{channel.name}" for channel in source.channels],
        "background": {"rows": len(source.background), "digest": source.background.digest},
    }
