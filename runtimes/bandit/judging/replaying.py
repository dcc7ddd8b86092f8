"""What another policy would have done: it learns from the records, epoch by epoch.

In each epoch its split follows from the rewards that had come in before, as the controller would
have had them: so a row's target never depends on its own reward, and importance weighting is
unbiased. It learns from the traffic that there was, which is not the traffic that it would have had.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from runtimes.bandit import allocation, declaration, policies, routing
from runtimes.bandit.policies import linear
from runtimes.contract import linear_choice

from .joined import Joined
from .splits import Splits

Array = NDArray[np.float64]
_FINE = 1_000_000
"""What the shares that act are rounded to, where weights are asked for."""

Said = Callable[[int, int], None]
"""Told how many epochs are done, of how many."""


class Unusable(ValueError):  # noqa: N818  named after the policy that cannot be replayed
    """A policy that cannot be judged by these records: why, and what to change."""


def targets(
    spec: declaration.BanditPolicySpec, joined: Joined, splits: Splits, said: Said | None = None
) -> Array:
    """Give the policy's probability [n, K] of each arm for each rewarded decision.

    Floors, the largest step, minimum rewards and the vetoes that were in force act as they would
    have. Raises `Unusable`.
    """
    every = max(1, round(spec.update_frequency.total_seconds() * 1000))
    decided, rewarded = joined.times // every, joined.reward_times // every
    by_reward = np.argsort(joined.reward_times, kind="stable")
    epochs = np.unique(np.concatenate([decided, rewarded]))
    replay = _Replay(spec, splits, joined)
    target = np.empty((len(joined.arms), len(splits.arms)))
    for number, epoch in enumerate(epochs):
        rows = slice(*np.searchsorted(decided, [epoch, epoch + 1]))
        if rows.start < rows.stop:
            target[rows] = replay.chances(rows)
        news = slice(*np.searchsorted(rewarded[by_reward], [epoch, epoch + 1]))
        replay.learn(by_reward[news], int((epoch + 1) * every))
        if said is not None:
            said(number + 1, len(epochs))
    return target


class _Replay:
    def __init__(self, spec: declaration.BanditPolicySpec, splits: Splits, joined: Joined) -> None:
        self._spec, self._splits, self._joined = spec, splits, joined
        self._contexts = self._ordered_contexts()
        self._policy = policies.make(spec, splits.arms)
        self._rewards = 0
        first = joined.intervals[0] if len(joined.intervals) else 0
        self._acting: Array = splits.shares[first]

    def chances(self, rows: slice) -> Array:
        """Give the arms' probabilities for decisions of the running epoch."""
        if self._contexts is None:
            return self._acting
        given = self._contexts[rows]
        known = np.isfinite(given).all(axis=1)
        chances = np.tile(self._policy.shares(), (len(given), 1))
        if isinstance(self._policy, linear.Contextual):
            choose = self._chooser(self._policy)
            for place in np.flatnonzero(known):
                chances[place] = choose(rows.start + int(place))
        return chances

    def _chooser(self, policy: linear.Contextual) -> Callable[[int], Array | list[float]]:
        """Give what says a decision's chances: as the router has them, if it was a router's."""
        joined, contexts = self._joined, self._contexts
        if contexts is None:
            raise TypeError("a contextual policy without contexts")
        if set(policy.arms) != set(linear_choice.BRANCH.values()) or not (
            set(linear_choice.BRANCH) <= set(joined.features)
        ):
            return lambda row: policy.propensities(contexts[row])
        chooser = linear_choice.Chooser(
            routing.record(self._spec, policy, name="judged", epoch=0, time=0, mode="active")
        )

        def chances(row: int) -> list[float]:
            context = dict(zip(joined.features, joined.contexts[row].tolist(), strict=True))
            return chooser.propensities(context, routing.ruled(context) or policy.arms[0])[0]

        return chances

    def learn(self, rows: NDArray[np.int64], now: int) -> None:
        """End an epoch with the rewards that came in it."""
        contexts = None if self._contexts is None else self._contexts[rows]
        if contexts is not None:
            rows, contexts = self._with_context(rows, contexts)
        arms, rewards = self._joined.arms[rows], self._joined.rewards[rows]
        try:
            batch = policies.Batch.of(len(self._splits.arms), arms, rewards, contexts)
            self._policy.update(batch)
        except ValueError as error:
            raise Unusable(f"the policy cannot learn these rewards: {error}") from error
        self._rewards += len(rows)
        if self._contexts is None:
            self._split(now)

    def _split(self, now: int) -> None:
        arms = self._splits.arms
        enough = self._rewards >= self._spec.guardrails.minimum_rewards
        shares = self._policy.shares() if enough else self._acting
        vetoed = self._splits.vetoed[int(self._splits.at(np.array([now]))[0])]
        found = allocation.allocate(
            dict(zip(arms, map(float, shares), strict=True)),
            dict(zip(arms, (round(each * _FINE) for each in self._acting), strict=True)),
            floor=self._spec.floor(len(arms)),
            max_step=self._spec.max_step,
            vetoed=[] if vetoed.all() else [arms[place] for place in np.flatnonzero(vetoed)],
        )
        self._acting = np.array([found.weights[arm] for arm in arms]) / allocation.TOTAL

    @staticmethod
    def _with_context(rows: NDArray[np.int64], contexts: Array) -> tuple[NDArray[np.int64], Array]:
        known = np.isfinite(contexts).all(axis=1)
        return rows[known], contexts[known]

    def _ordered_contexts(self) -> Array | None:
        wanted = getattr(self._spec.algorithm, "features", None)
        if wanted is None:
            return None
        missing = [name for name in wanted if name not in self._joined.features]
        if missing:
            there = ", ".join(self._joined.features) or "no context"
            raise Unusable(
                f"the policy's feature {missing[0]!r} is not in the decisions, which have {there}"
            )
        columns = [self._joined.features.index(name) for name in wanted]
        contexts: Array = self._joined.contexts[:, columns]
        return contexts
