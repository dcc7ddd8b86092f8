"""A bandit policy on real history, day by day, as it would have gone.

The very classes that serve: policies, and the allocation of weights.
Every day each symbol is asked for `requests` times; the split of the day says which arm answers how
many of them. What an answer was worth is known five trading days later, and learnt then.
Several independent runs are made at once: they differ by the luck of the split alone.
"""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from models import unseen
from runtimes.bandit import allocation, declaration, policies

Array = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True)
class Replay:
    """What came of it; n rows (a day and symbol each), R runs, K arms, E epochs."""

    earned: Array
    """[R, n]: mean utility of the requests, by the arms that answered."""
    shares: Array
    """[E + 1, R, K]: the split before the first epoch's end, and after each."""
    ends: NDArray[np.datetime64]
    """[E]: the day on which each epoch ended."""
    requests: int

    @property
    def runs(self) -> int:
        """How many runs were made."""
        return len(self.earned)


@dataclasses.dataclass(frozen=True, slots=True)
class Traffic:
    """How much is asked, and how often weights move."""

    requests: int = 20
    """For each symbol and day."""
    epoch_days: int = 1
    """Trading days after which an epoch ends."""
    runs: int = 20
    seed: int = 1


def replay(
    days: unseen.Unseen,
    spec: declaration.BanditPolicySpec,
    fixed: Mapping[str, int],
    traffic: Traffic | None = None,
    on_day: Callable[[float], None] = lambda _: None,
) -> Replay:
    """Walk through the days, from the weights `fixed` on; the arms are `days.models`, in order.

    `on_day` is told the share of the days that is done. The same seed gives the same, to the bit.
    """
    given = traffic or Traffic()
    arms = days.models
    generator = np.random.default_rng(given.seed)
    policy = policies.make(spec, arms, given.runs)
    weights = np.tile([float(fixed[arm]) for arm in arms], (given.runs, 1))
    shares = weights / weights.sum(axis=1, keepdims=True)
    counts = np.zeros((given.runs, len(days), len(arms)))
    told, ends = [shares], []
    dates, first = np.unique(days.date, return_index=True)
    bounds = [*first.tolist(), len(days)]
    pending = np.arange(0)
    for number, date in enumerate(dates):
        today = np.arange(bounds[number], bounds[number + 1])
        for row in today:
            counts[:, row] = generator.multinomial(given.requests, shares)
        pending = np.concatenate([pending, today])
        if (number + 1) % given.epoch_days == 0:
            come = days.known[pending] <= date
            policy.update(_batch(counts[:, pending[come]], days.utility[pending[come]]))
            pending = pending[~come]
            weights = _weights(policy, spec, weights)
            shares = weights / weights.sum(axis=1, keepdims=True)
            told.append(shares)
            ends.append(date)
        on_day((number + 1) / len(dates))
    return Replay(
        earned=(counts * days.utility).sum(axis=2) / given.requests,
        shares=np.array(told),
        ends=np.array(ends, dtype="datetime64[D]"),
        requests=given.requests,
    )


def _batch(counts: Array, rewards: Array) -> policies.Batch:
    """Sum up the rewards [m, K] of arms that answered `counts` [R, m, K] times."""
    total = counts.sum(axis=1)
    sums = (counts * rewards).sum(axis=1)
    means = np.divide(sums, total, out=np.zeros_like(sums), where=total > 0)
    deviations = (counts * (rewards - means[:, None]) ** 2).sum(axis=1)
    return policies.Batch(total, sums, deviations)


def _weights(policy: policies.Policy, spec: declaration.BanditPolicySpec, previous: Array) -> Array:
    """Give each run's weights [R, K], as `allocation.allocate` gives one run's; none has a veto."""
    arms = len(policy.arms)
    _, allowed = allocation.limit(
        policy.shares(),
        previous / previous.sum(axis=1, keepdims=True),
        floor=spec.floor(arms),
        max_step=spec.max_step,
        free=np.full(arms, fill_value=True),
    )
    return allocation.rounded(allowed).astype(np.float64)
