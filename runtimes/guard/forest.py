"""An isolation forest as flat arrays: what scikit-learn's costs milliseconds for, in microseconds.

The score of Liu, Ting and Zhou (2008, "Isolation Forest"):
`s(x) = 2 ** (-E[h(x)] / c(n))`, where h is a tree's path length to x's leaf,
extended by `c(size of the leaf)` where the tree stopped early,
and `c(n) = 2 (ln(n - 1) + 0.5772...) - 2 (n - 1) / n` is the mean path length in a tree of n rows.
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Places = NDArray[np.int64]


@dataclasses.dataclass(frozen=True, slots=True)
class Forest:
    """The nodes of all trees in one row.

    A row x goes from node i to `child[2 i]` if `x[feature[i]] <= threshold[i]`, else to
    `child[2 i + 1]`; a leaf leads to itself.
    """

    roots: Places
    """[trees]"""
    feature: Places
    """[nodes]"""
    threshold: Array
    """[nodes]: infinite for a leaf."""
    child: Places
    """[2 nodes]"""
    path: Array
    """[nodes]: for a leaf its path length, for an inner node 0."""
    depth: int
    """The most steps from a root to a leaf."""
    usual: float
    """c(n) of the rows that each tree was grown from."""

    def score(self, row: Array) -> float:
        """Score one row [F]: between 0 and 1, more is more anomalous."""
        # scikit-learn's trees compare single precision with their thresholds: so does this.
        values = row.astype(np.float32)
        node = self.roots
        for _ in range(self.depth):
            goes_right = values.take(self.feature.take(node)) > self.threshold.take(node)
            node = self.child.take(2 * node + goes_right)
        return float(2.0 ** (-self.path.take(node).mean() / self.usual))

    def bounds(self) -> tuple[float, float]:
        """Give scores that no row is below or above: each tree's longest and shortest path."""
        leaves = np.isinf(self.threshold)
        starts = self.roots.tolist()
        ends = [*starts[1:], len(self.path)]
        lengths = [
            self.path[start:end][leaves[start:end]] for start, end in zip(starts, ends, strict=True)
        ]
        longest = np.mean([each.max() for each in lengths])
        shortest = np.mean([each.min() for each in lengths])
        return (
            float(2.0 ** (-longest / self.usual)),
            float(2.0 ** (-shortest / self.usual)),
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Scale:
    """The map from a forest's score to 0..1: linear below its border and above it, never falling.

    `lowest` becomes 0, `border` 0.5, `highest` 1.
    """

    lowest: float
    border: float
    """The score that the share `contamination` of the training rows is above."""
    highest: float

    def __call__(self, score: float) -> float:
        """Map a score."""
        if score <= self.border:
            return max(0.0, 0.5 * (score - self.lowest) / (self.border - self.lowest))
        return min(1.0, 0.5 + 0.5 * (score - self.border) / (self.highest - self.border))
