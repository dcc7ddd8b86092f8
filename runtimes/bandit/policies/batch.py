"""What a policy learns from at an epoch's end: each arm's rewards, summed up."""

import dataclasses
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True)
class Rows:
    """Rewards one by one with their contexts, for contextual policies.

    `contexts` [n, d] in the order of the policy's features, `arms` [n] indices, `rewards` [n].
    """

    contexts: Floats
    arms: NDArray[np.int64]
    rewards: Floats


@dataclasses.dataclass(frozen=True, slots=True)
class Batch:
    """An epoch's rewards: count, sum, and sum of squared deviations from the arm's mean.

    Shapes are [K], or [L, K] for a policy that is simulated in L lanes at once.
    """

    counts: Floats
    sums: Floats
    deviations: Floats
    rows: Rows | None = None

    @classmethod
    def empty(cls, arms: int) -> Self:
        """Make an epoch's batch without any reward."""
        return cls(np.zeros(arms), np.zeros(arms), np.zeros(arms))

    @classmethod
    def of(
        cls, arms: int, chosen: ArrayLike, rewards: ArrayLike, contexts: ArrayLike | None = None
    ) -> Self:
        """Sum up rewards [n] of the arms with the indices `chosen` [n], contexts [n, d].

        The same rewards in the same order give the same sums, to the bit.

        Raises:
            ValueError: an index that is no arm's, a reward or context that is not finite,
                or lengths that differ.

        """
        index = np.asarray(chosen, dtype=np.int64)
        values = np.asarray(rewards, dtype=np.float64)
        if index.shape != values.shape or index.ndim != 1:
            raise ValueError(f"{index.shape} arms and {values.shape} rewards: one of each is due")
        if index.size and not (index.min() >= 0 and index.max() < arms):
            raise ValueError(f"arm {index[(index < 0) | (index >= arms)][0]} of {arms} arms")
        _check_finite("reward", values)
        counts = np.bincount(index, minlength=arms).astype(np.float64)
        sums = np.bincount(index, values, arms).astype(np.float64)
        means = np.divide(sums, counts, out=np.zeros(arms), where=counts > 0)
        deviations = np.bincount(index, (values - means[index]) ** 2, arms).astype(np.float64)
        if contexts is None:
            return cls(counts, sums, deviations)
        given = np.asarray(contexts, dtype=np.float64)
        if given.ndim != 2 or len(given) != len(values):  # noqa: PLR2004  rows and features
            raise ValueError(f"contexts of shape {given.shape} for {len(values)} rewards")
        _check_finite("context", given)
        return cls(counts, sums, deviations, Rows(given, index, values))


def _check_finite(what: str, values: Floats) -> None:
    if not np.isfinite(values).all():
        raise ValueError(f"a {what} is not finite: {values[~np.isfinite(values)].flat[0]}")
