"""The rules without context: ε-greedy, UCB1, Thompson sampling."""

import numpy as np
from numpy.typing import NDArray

from runtimes.bandit import declaration
from runtimes.bandit.policies import best, policy
from runtimes.bandit.policies.batch import Floats

_BINARY_SD = 0.5
"""The standard deviation that UCB1's bound is written for: a reward of 0 or 1 has no larger one."""


class EpsilonGreedy(policy.Weighing):
    """All traffic beyond the floor to the largest mean; equal ones share it."""

    def means(self) -> Floats:
        """Mean reward [L, K] of what counts now; 0 without any."""
        sums = self.belief.expected()
        mean: Floats = sums.sums / np.where(sums.counts > 0, sums.counts, 1.0)
        return mean

    def _rule(self) -> Floats:
        return _winners(self.means(), self.belief.state["seen"] > 0)


class Ucb1(EpsilonGreedy):
    """All traffic beyond the floor to the largest upper confidence bound."""

    def bounds(self) -> Floats:
        """Upper bounds [L, K]."""
        algorithm = self.spec.algorithm
        if not isinstance(algorithm, declaration.Ucb1):
            raise TypeError(f"{algorithm.name} has no bounds")
        counts = self.belief.expected().counts
        width = np.sqrt(
            2
            * np.log(np.maximum(counts.sum(axis=1, keepdims=True), 1.0))
            / np.where(counts > 0, counts, 1.0)
        )
        if self.spec.reward_kind == "continuous":
            width = width * self.belief.pooled(1.0).sd[:, :, 0] / _BINARY_SD
        bounds: Floats = self.means() + algorithm.alpha * width
        return bounds

    def _rule(self) -> Floats:
        return _winners(self.bounds(), self.belief.state["seen"] > 0)


class Thompson(policy.Weighing):
    """Traffic beyond the floor in proportion to P(best)^power."""

    def _rule(self) -> Floats:
        algorithm = self.spec.algorithm
        if not isinstance(algorithm, declaration.Thompson):
            raise TypeError(f"{algorithm.name} has no power")
        chance = best.probabilities(self.belief.mixture())
        sharpened: Floats = (chance / chance.max(axis=1, keepdims=True)) ** algorithm.power
        return sharpened


def _winners(values: Floats, tried: NDArray[np.bool_]) -> Floats:
    known = np.where(tried, values, -np.inf)
    won: Floats = (known == known.max(axis=1, keepdims=True)).astype(np.float64)
    return won
