"""Learns where a forecast's interval ends, from errors on days that no fit had seen.

Split conformal prediction (Lei, G'Sell, Rinaldo, Tibshirani and Wasserman 2018), with errors
scaled by a linear function of one feature: days whose variance scatters get a wider interval.
"""

import numpy as np

from runtimes.predictor import artifact

from . import linear

LEVEL = 0.8
"""Share of the days whose volatility the interval is to contain."""

FEATURE = "volatility_of_volatility_22d"

NOT_LEARNT = artifact.IntervalRule(
    level=LEVEL, lower=0.0, upper=0.0, feature=FEATURE, intercept=1.0, slope=0.0, minimum=1.0
)


def learn(
    feature_names: tuple[str, ...], features: artifact.Array, errors: artifact.Array
) -> artifact.IntervalRule:
    """Give the rule for `errors` [n] of log volatility, actual less forecast."""
    column = features[:, feature_names.index(FEATURE)]
    sizes = np.abs(errors)
    slope, intercept = np.polyfit(column, sizes, deg=1)
    if slope <= 0:
        slope, intercept = 0.0, sizes.mean()
    rule = artifact.IntervalRule(
        level=LEVEL,
        lower=0.0,
        upper=0.0,
        feature=FEATURE,
        intercept=linear.rounded(intercept),
        slope=linear.rounded(slope),
        minimum=linear.rounded(max(sizes.mean() / 4, 1e-6)),
    )
    scaled = errors / rule.scale(column)
    tail = (1 - LEVEL) / 2
    # The finite-sample correction of conformal prediction: one error more than there are.
    outward = tail * (1 - 1 / len(errors))
    return artifact.IntervalRule(
        level=LEVEL,
        # The forecast itself is always inside, however biased the errors were.
        lower=linear.rounded(min(np.quantile(scaled, outward), 0.0)),
        upper=linear.rounded(max(np.quantile(scaled, 1 - outward), 0.0)),
        feature=FEATURE,
        intercept=rule.intercept,
        slope=rule.slope,
        minimum=rule.minimum,
    )
