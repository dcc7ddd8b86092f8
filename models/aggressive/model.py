"""Few large steps of trees, with its eyes on rising days."""

from models import boosting, fitting, regimes

EMPHASIS = 3.0
TREES = boosting.Trees(rounds=60, rate=0.1, leaves=12, fewest=150)


def fit(task: fitting.Task) -> fitting.Fitted:
    """Fit with rising days counting thrice."""
    return boosting.fit(task, TREES, weights=task.sample.emphasis(regimes.RISING, EMPHASIS))
