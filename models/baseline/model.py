"""HAR-RV on logarithms, for all symbols together.

Corsi 2009, "A Simple Approximate Long-Memory Model of Realized Volatility".
"""

from models import fitting, linear

TERMS = ("log_variance_22d", "variance_ratio_5d", "variance_ratio_1d")
"""The month, the week against the month, and the day against the month.

A line over these is a line over the logarithms of day, week and month, and the other way round.
"""


def fit(task: fitting.Task) -> fitting.Fitted:
    """Fit by least squares."""
    return linear.fit(task.sample, TERMS)
