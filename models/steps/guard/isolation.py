"""Fits the isolation forest with scikit-learn, and flattens it for the guard.

Rows are standardised by their symbol's own mean and deviation: what is unusual for an index
is every day's business for oil, and one forest for all has to tell that apart.
"""

import dataclasses

import numpy as np
from sklearn import ensemble

from models import dataset
from runtimes.guard import forest

CONTAMINATION = 0.01
"""Share of the training rows that count as anomalous: it sets the score's border."""


@dataclasses.dataclass(frozen=True, slots=True)
class Standard:
    """Means and deviations [symbols + 1, F]; the last row is of all symbols together."""

    location: dataset.Array
    spread: dataset.Array

    @classmethod
    def of(cls, rows: dataset.Array, symbol: dataset.Rows, symbols: int) -> "Standard":
        """Take them from `rows` [n, F]; a symbol without any row gets those of all."""
        groups = [rows[symbol == place] for place in range(symbols)]
        groups = [group if len(group) else rows for group in [*groups, rows]]
        spread = np.array([group.std(axis=0) for group in groups])
        # A feature that never moves, such as the volume of an index, may not be divided by.
        spread[spread < _STILL] = 1.0
        return cls(np.array([group.mean(axis=0) for group in groups]), spread)

    def __call__(self, rows: dataset.Array, symbol: dataset.Rows) -> dataset.Array:
        """Standardise `rows` [n, F] of the symbols [n]."""
        standardised: dataset.Array = (rows - self.location[symbol]) / self.spread[symbol]
        return standardised


_STILL = 1e-12


def fit(rows: dataset.Array, seed: int) -> ensemble.IsolationForest:
    """Grow scikit-learn's forest from standardised `rows` [n, F]."""
    grown = ensemble.IsolationForest(contamination=CONTAMINATION, random_state=seed)
    return grown.fit(rows)


def flatten(grown: ensemble.IsolationForest) -> forest.Forest:
    """Give the same forest as the guard evaluates it."""
    trees = [
        _flatten(estimator.tree_, np.asarray(columns))
        for estimator, columns in zip(grown.estimators_, grown.estimators_features_, strict=True)
    ]
    sizes = [len(tree.path) for tree in trees]
    roots = np.cumsum([0, *sizes[:-1]])
    return forest.Forest(
        roots=roots,
        feature=np.concatenate([tree.feature for tree in trees]),
        threshold=np.concatenate([tree.threshold for tree in trees]),
        child=np.concatenate([tree.child + root for tree, root in zip(trees, roots, strict=True)]),
        path=np.concatenate([tree.path for tree in trees]),
        depth=max(tree.depth for tree in trees),
        usual=float(mean_path(np.array([grown.max_samples_]))[0]),
    )


def scale(grown: ensemble.IsolationForest, flat: forest.Forest) -> forest.Scale:
    """Give the map to 0..1: its border is where scikit-learn's `contamination` has put it."""
    lowest, highest = flat.bounds()
    return forest.Scale(lowest=lowest, border=float(-grown.offset_), highest=highest)


def mean_path(rows: dataset.Array | dataset.Rows) -> dataset.Array:
    """Give c(n), the mean path length in a tree of n rows (Liu, Ting and Zhou 2008, equation 1)."""
    many = np.maximum(rows, 3).astype(np.float64)
    mean = 2.0 * (np.log(many - 1.0) + np.euler_gamma) - 2.0 * (many - 1.0) / many
    return np.where(rows > _PAIR, mean, np.where(rows == _PAIR, 1.0, 0.0))


_PAIR = 2


@dataclasses.dataclass(frozen=True, slots=True)
class _Tree:
    feature: forest.Places
    threshold: forest.Array
    child: forest.Places
    path: forest.Array
    depth: int


def _flatten(tree: object, columns: dataset.Rows) -> _Tree:
    left, right = tree.children_left, tree.children_right  # type: ignore[attr-defined]  # Cython
    leaf = left < 0
    depth = np.zeros(len(left), dtype=np.int64)
    for node in np.flatnonzero(~leaf):  # a parent comes before its children
        depth[[left[node], right[node]]] = depth[node] + 1
    here = np.arange(len(left))
    child = np.stack([np.where(leaf, here, left), np.where(leaf, here, right)], axis=1)
    return _Tree(
        feature=np.where(leaf, 0, columns[np.where(leaf, 0, tree.feature)]),  # type: ignore[attr-defined]
        threshold=np.where(leaf, np.inf, tree.threshold),  # type: ignore[attr-defined]
        child=child.ravel().astype(np.int64),
        path=np.where(leaf, depth + mean_path(tree.n_node_samples), 0.0),  # type: ignore[attr-defined]
        depth=int(depth.max()),
    )
