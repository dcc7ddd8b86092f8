"""Bayesian online change point detection on two levels.

Adams and MacKay's recursion (2007), once over the epochs at which all arms may have changed
at once (worlds), and within each world once an arm, over the epochs at which it changed alone.
Given its world, an arm's rewards do not depend on the others': the recursion is exact,
until starts are merged to bound their number.
A run begins with the declared prior, or near to the centre, the mean of the arms' expected rewards:
each has its share.
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from runtimes.bandit import declaration
from runtimes.bandit.policies import beliefs, conjugate
from runtimes.bandit.policies.batch import Floats

_PRIORS = 2


class ChangePoints(beliefs.Belief):
    """Worlds and runs. `start` [L, T] is each start's epoch, -1 where there is none yet."""

    def __init__(
        self,
        spec: declaration.BanditPolicySpec,
        lanes: int,
        arms: int,
        rule: declaration.ChangePoints,
    ) -> None:
        super().__init__(spec, lanes, arms)
        self._rule = rule
        starts = rule.run_starts
        self._shares = np.array([1 - rule.near, rule.near])
        self.state |= {
            "epoch": np.zeros(1),
            "centre": np.full(lanes, 0.5 if spec.reward_kind == "binary" else 0.0),
            "start": np.full((lanes, starts), -1.0),
            "sums": np.zeros((3, lanes, arms, starts)),
            "worlds": np.zeros((lanes, starts)),
            "runs": np.zeros((lanes, starts, arms, starts, _PRIORS)),
        }
        self._begin()

    def _learn(self, news: conjugate.Sums) -> None:
        if self.state["epoch"][0]:
            self._begin()
        self.state["epoch"] = self.state["epoch"] + 1
        first = self.state["seen"].sum(axis=1) == news.counts.sum(axis=1)
        pooled = self.pooled(1.0).mean[:, 0, 0]
        self.state["centre"] = np.where(first, pooled, self.state["centre"])
        prior = self._priors()
        sums = conjugate.Sums(*self.state["sums"])
        after = sums.plus(
            conjugate.Sums(news.counts[..., None], news.sums[..., None], news.deviations[..., None])
        )
        self._weigh(sums, after, prior)
        known = self.state["start"][:, None, :] >= 0
        self.state["sums"] = np.stack(
            [np.where(known, each, 0.0) for each in (after.counts, after.sums, after.deviations)]
        )
        mixture = self.mixture()
        expected = (mixture.weights * mixture.laws.mean).sum(axis=2)
        self.state["centre"] = expected.mean(axis=1)

    def _begin(self) -> None:
        """Make the next epoch a possible start, in each lane in the place of the least likely."""
        state, rule = self.state, self._rule
        lanes = np.arange(len(state["start"]))
        first = not state["epoch"][0]
        place = np.zeros(len(lanes), np.int64) if first else self._vacated()
        state["start"][lanes, place] = state["epoch"][0]
        state["sums"][:, lanes, :, place] = 0
        state["worlds"] *= 1 - rule.joint_hazard
        state["worlds"][lanes, place] = 1.0 if first else rule.joint_hazard
        hazard = rule.arm_hazard / state["runs"].shape[2]
        state["runs"] *= 1 - hazard
        alone = np.where(state["worlds"] > 0, hazard, 0.0)
        state["runs"][lanes, :, :, place, :] = alone[:, :, None, None] * self._shares
        state["runs"][lanes, place] = 0
        state["runs"][lanes, place, :, place] = self._shares

    def _vacated(self) -> NDArray[np.int64]:
        """Free a place in each lane: an unused one, else that of the start that matters least."""
        state = self.state
        lanes = np.arange(len(state["start"]))
        place: NDArray[np.int64] = np.argmax(state["start"] < 0, axis=1)
        full = (state["start"] >= 0).all(axis=1)
        if not full.any():
            return place
        weights = self.mixture_weights().max(axis=1)
        matters = np.maximum(state["worlds"], weights)
        matters[lanes, np.argmax(state["start"], axis=1)] = np.inf
        place = np.where(full, np.argmin(matters, axis=1), place)
        for lane in np.flatnonzero(full):
            self._merge(int(lane), int(place[lane]))
        return place

    def _merge(self, lane: int, place: int) -> None:
        """Give a start's weight to the next later one."""
        starts = self.state["start"][lane]
        worlds, runs = self.state["worlds"][lane], self.state["runs"][lane]
        later = int(np.argmin(np.where(starts > starts[place], starts, np.inf)))
        runs[:, :, later] += runs[:, :, place]
        runs[:, :, place] = 0
        both = worlds[place] + worlds[later]
        if both > 0:
            runs[later] = (worlds[place] * runs[place] + worlds[later] * runs[later]) / both
        worlds[later] = both
        worlds[place] = 0
        runs[place] = 0

    def mixture_weights(self) -> Floats:
        """Weight of each start for each arm [L, K, T]."""
        runs = self.state["runs"].sum(axis=-1)
        lanes, starts, arms, _ = runs.shape
        flat = runs.reshape(lanes, starts, arms * starts)
        weights: Floats = self.state["worlds"][:, None, :] @ flat
        return weights.reshape(lanes, arms, starts)

    def _weigh(self, sums: conjugate.Sums, after: conjugate.Sums, prior: conjugate.Prior) -> None:
        state = self.state
        wide_before, wide_after = _with_priors(sums), _with_priors(after)
        evidence = self.family.log_evidence(wide_after, prior)
        evidence = evidence - self.family.log_evidence(wide_before, prior)
        used = (state["start"] >= 0)[:, None, :, None]
        evidence = np.where(used, evidence, -np.inf)
        evidence -= evidence.max(axis=(2, 3), keepdims=True)
        runs = state["runs"] * np.exp(evidence)[:, None]
        of_arm = runs.sum(axis=(3, 4), keepdims=True)
        state["runs"] = runs / np.where(of_arm > 0, of_arm, 1.0)
        with np.errstate(divide="ignore"):
            worlds = np.log(state["worlds"]) + np.log(of_arm[..., 0, 0]).sum(axis=2)
        worlds = np.exp(worlds - worlds.max(axis=1, keepdims=True))
        state["worlds"] = worlds / worlds.sum(axis=1, keepdims=True)

    def _priors(self) -> conjugate.Prior:
        """Give both priors [L, 1, 1, J]."""
        declared = self._prior()
        pooled = self.pooled(self._rule.near_strength)
        centre = self.state["centre"][:, None, None]
        near = self.family.near(dataclasses.replace(pooled, mean=centre))
        return conjugate.Prior(
            *(
                np.stack([getattr(declared, name), getattr(near, name)], axis=-1)
                for name in ("mean", "sd", "strength")
            )
        )

    def expected(self) -> conjugate.Sums:
        """Give the sums since each arm's change, weighted over its possible starts."""
        weights = self.mixture_weights()
        counts, sums, deviations = (self.state["sums"] * weights).sum(axis=-1)
        return conjugate.Sums(counts, sums, deviations)

    def mixture(self) -> beliefs.Mixture:
        """Give all worlds and runs."""
        sums = _with_priors(conjugate.Sums(*self.state["sums"]))
        laws = self.family.posterior(sums, self._priors())
        runs = self.state["runs"]
        lanes, starts, arms = runs.shape[:3]
        wide, flat = (lanes, arms, starts, _PRIORS), (lanes, arms, starts * _PRIORS)
        return beliefs.Mixture(
            self.state["worlds"],
            runs.reshape(lanes, starts, arms, starts * _PRIORS),
            laws.map(lambda values: np.broadcast_to(values, wide).reshape(flat)),
        )


def _with_priors(sums: conjugate.Sums) -> conjugate.Sums:
    return conjugate.Sums(sums.counts[..., None], sums.sums[..., None], sums.deviations[..., None])
