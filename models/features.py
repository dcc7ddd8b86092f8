"""What a model sees: point-in-time features of a symbol's day, and the history before it.

They are declared in `runtimes.features.definitions`, for training and serving alike.
"""

import pandas as pd

from runtimes.features import batch, definitions
from runtimes.predictor import artifact

HISTORY_DAYS = definitions.HISTORY_DAYS
VARIANCE_FLOOR = definitions.VARIANCE_FLOOR

FEATURES = tuple(column for column in definitions.TECHNICAL_INDICATORS if column.model)
"""What models are trained on, in the order of an artifact's `features`."""

CHANNELS = definitions.CHANNELS
"""The channels of `history`."""


def declared(column: definitions.Feature) -> artifact.Feature:
    """Give what an artifact says of a feature or a channel."""
    return artifact.Feature(column.name, column.unit, column.description)


def daily_variance(prices: pd.DataFrame) -> pd.Series:
    """Give the variance of each day, see `definitions`; missing on the first."""
    symbol = "prices"
    return batch.Market({symbol: prices}).column(symbol, definitions.VARIANCE)
