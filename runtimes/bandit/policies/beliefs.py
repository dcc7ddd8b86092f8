"""What is believed of the arms: runs of epochs without a change, and how probable each run is.

A *world* says when all arms last changed at once; within a world the arms are independent,
and each may have changed alone since. Arrays: L lanes, T starts, K arms, J priors.
"""

import abc
import dataclasses
from typing import Any

import numpy as np

from runtimes.bandit import declaration
from runtimes.bandit.policies import conjugate
from runtimes.bandit.policies.batch import Batch, Floats

POOL_FACTOR = 0.99
"""What the pool of all arms' rewards, which new runs begin near to, keeps of itself an epoch."""

_LEAST_SD = 1e-9


@dataclasses.dataclass(frozen=True, slots=True)
class Mixture:
    """Laws of the arms' means: worlds [L, T], in each the runs' weights [L, T, K, T·J].

    `laws` has the shape [L, K, T·J]; weights sum to 1 over the last axis.
    """

    worlds: Floats
    runs: Floats
    laws: conjugate.Posterior

    @property
    def weights(self) -> Floats:
        """Weight of each law over all worlds [L, K, T·J]."""
        lanes, starts, arms, runs = self.runs.shape
        flat = self.runs.reshape(lanes, starts, arms * runs)
        return (self.worlds[:, None, :] @ flat).reshape(lanes, arms, runs)


class Belief(abc.ABC):
    """What was learnt, in L lanes at once."""

    def __init__(self, spec: declaration.BanditPolicySpec, lanes: int, arms: int) -> None:
        self._spec = spec
        self.family = conjugate.family(spec.reward_kind)
        self.state: dict[str, Any] = {
            "seen": np.zeros((lanes, arms)),
            "pool": np.zeros((3, lanes)),
        }
        """Arrays by name: all that is known."""

    def update(self, batch: Batch) -> None:
        """Learn an epoch's rewards [L, K]."""
        news = conjugate.Sums(batch.counts, batch.sums, batch.deviations)
        self.state["seen"] = self.state["seen"] + batch.counts
        any_news = batch.counts.sum(axis=1) > 0
        kept = np.where(any_news, POOL_FACTOR, 1.0)
        freedom = np.maximum(batch.counts - 1, 0)
        within = np.where(freedom > 0, batch.deviations, 0.0)
        added = np.stack([batch.counts.sum(axis=1), batch.sums.sum(axis=1), within.sum(axis=1)])
        self.state["pool"] = self.state["pool"] * kept + added
        self._learn(news)

    @abc.abstractmethod
    def _learn(self, news: conjugate.Sums) -> None: ...

    @abc.abstractmethod
    def mixture(self) -> Mixture:
        """Say what the arms' means are believed to be."""

    @abc.abstractmethod
    def expected(self) -> conjugate.Sums:
        """Give the sums [L, K] that count now: weighted over the runs, or discounted."""

    def pooled(self, strength: float) -> conjugate.Prior:
        """Give a law [L, 1, 1] around the recent rewards of all arms."""
        counts, sums, within = self.state["pool"]
        if self._spec.reward_kind == "binary":
            mean = (sums + 1) / (counts + 2)
            sd = np.sqrt(mean * (1 - mean))
        else:
            mean = sums / np.where(counts > 0, counts, 1)
            sd = np.sqrt(within / np.where(counts > 0, counts, 1))
            sd = np.maximum(np.where(sd > 0, sd, np.abs(mean) * _LEAST_SD), _LEAST_SD)
        wide = (slice(None), None, None)
        return conjugate.Prior(mean[wide], sd[wide], np.full_like(mean, strength)[wide])

    def _prior(self) -> conjugate.Prior:
        """Give the declared prior [L, 1, 1]."""
        pooled = self.pooled(self._spec.prior.strength)
        return conjugate.declared(self._spec.prior, pooled, self._spec.reward_kind)


class Discounted(Belief):
    """One run from the start; with a factor below 1, what is old counts less."""

    def __init__(
        self, spec: declaration.BanditPolicySpec, lanes: int, arms: int, factor: float
    ) -> None:
        super().__init__(spec, lanes, arms)
        self._factor = factor
        self.state["sums"] = np.zeros((3, lanes, arms))

    def _learn(self, news: conjugate.Sums) -> None:
        kept = self.expected().times(self._factor).plus(news)
        self.state["sums"] = np.stack([kept.counts, kept.sums, kept.deviations])

    def expected(self) -> conjugate.Sums:
        """Give the discounted sums."""
        return conjugate.Sums(*self.state["sums"])

    def mixture(self) -> Mixture:
        """Give one world of one run."""
        sums = self.expected()
        lanes, arms = sums.counts.shape
        one = conjugate.Sums(*(each[..., None] for each in self.state["sums"]))
        laws = self.family.posterior(one, self._prior())
        return Mixture(np.ones((lanes, 1)), np.ones((lanes, 1, arms, 1)), laws)
