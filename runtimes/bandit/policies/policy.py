"""What a policy is: it learns batches, and says how traffic is split."""

import abc
from typing import Any, Self

import numpy as np

from runtimes.bandit import declaration
from runtimes.bandit.policies import beliefs, change_points
from runtimes.bandit.policies.batch import Batch, Floats


class SnapshotError(ValueError):
    """A snapshot that does not belong to this policy."""


class Policy(abc.ABC):
    """Learns an epoch's batch, and gives each arm its share of the next epoch's traffic.

    With `lanes`, as many independent policies are computed at once:
    batches and shares are [L, K] instead of [K].
    What it says is a function of its spec and of the batches; it holds no clock and no generator.
    """

    def __init__(
        self, spec: declaration.BanditPolicySpec, arms: tuple[str, ...], lanes: int | None = None
    ) -> None:
        self.spec = spec
        self.arms = arms
        self.floor = spec.floor(len(arms))
        self._lanes = lanes

    @abc.abstractmethod
    def update(self, batch: Batch) -> None:
        """Learn an epoch's rewards; an epoch without any is an epoch too.

        Raises:
            ValueError: the batch has other arms, or rewards that are not of the declared kind.

        """

    @abc.abstractmethod
    def shares(self) -> Floats:
        """Give each arm's share of the traffic: at least the floor, 1 in all."""

    @abc.abstractmethod
    def estimates(self) -> dict[str, Floats]:
        """Give what is believed of each arm: `mean` and `sd` of its mean reward."""

    @abc.abstractmethod
    def arrays(self) -> dict[str, Floats]:
        """Name the arrays that hold all that was learnt; `restore` fills them."""

    def snapshot(self) -> dict[str, Any]:
        """Write all that was learnt, for JSON; floats survive to the bit."""
        return {
            "algorithm": self.spec.algorithm.name,
            "arms": list(self.arms),
            "state": {name: array.tolist() for name, array in self.arrays().items()},
        }

    def load(self, snapshot: dict[str, Any]) -> Self:
        """Take over a snapshot.

        Raises:
            SnapshotError: it is another algorithm's, has other arms, or another shape.

        """
        for name, here in (("algorithm", self.spec.algorithm.name), ("arms", list(self.arms))):
            if snapshot.get(name) != here:
                raise SnapshotError(
                    f"the snapshot's {name} {snapshot.get(name)!r} differ from the policy's "
                    f"{here!r}: replay the topics from the start instead"
                )
        arrays, given = self.arrays(), snapshot.get("state", {})
        for name, array in arrays.items():
            found = np.asarray(given.get(name, []), dtype=np.float64)
            if found.shape != array.shape or set(given) != set(arrays):
                raise SnapshotError(
                    f"the snapshot's {name!r} has the shape {found.shape}, not {array.shape}: "
                    "the policy's spec changed since; replay the topics from the start instead"
                )
            array[...] = found
        return self


class Weighing(Policy):
    """A policy without context: a rule over what is believed of the arms."""

    def __init__(
        self, spec: declaration.BanditPolicySpec, arms: tuple[str, ...], lanes: int | None = None
    ) -> None:
        super().__init__(spec, arms, lanes)
        self.belief = _belief(spec, lanes or 1, len(arms))

    def update(self, batch: Batch) -> None:
        """Learn an epoch's rewards."""
        shape = (self._lanes or 1, len(self.arms))
        due = shape if self._lanes else shape[1:]
        if batch.counts.shape != due:
            raise ValueError(f"a batch of shape {batch.counts.shape} where {due} is due")
        if self.spec.reward_kind == "binary" and not (
            (batch.sums >= 0).all() and (batch.sums <= batch.counts).all()
        ):
            raise ValueError(
                "binary rewards are 0 or 1: declare rewardKind continuous for others; "
                f"an epoch's sums were {batch.sums.tolist()} of {batch.counts.tolist()} rewards"
            )
        self.belief.update(
            Batch(
                batch.counts.reshape(shape),
                batch.sums.reshape(shape),
                batch.deviations.reshape(shape),
            )
        )

    def shares(self) -> Floats:
        """Give each arm's share: the floor, and the rest by the rule.

        An arm that never had a reward counts as an even share beside the others,
        until its first one comes: it is tried first, and cannot take all traffic if none comes.
        """
        tried = self.belief.state["seen"] > 0
        arms = len(self.arms)
        rule = np.where(tried, self._rule(), 0.0)
        total = rule.sum(axis=1, keepdims=True)
        rule = rule / np.where(total > 0, total, 1.0)
        of_tried = np.where(total > 0, tried.sum(axis=1, keepdims=True) / arms, 0.0)
        split = np.where(tried, rule * of_tried, 1 / arms)
        split = split / split.sum(axis=1, keepdims=True)
        return self._outside(self.floor + (1 - arms * self.floor) * split)

    def estimates(self) -> dict[str, Floats]:
        """Give mean and standard deviation of each arm's mean, over all that is possible."""
        mixture = self.belief.mixture()
        weights, laws = mixture.weights, mixture.laws
        mean = (weights * laws.mean).sum(axis=2)
        square = (weights * (laws.sd**2 + (laws.mean - mean[:, :, None]) ** 2)).sum(axis=2)
        return {"mean": self._outside(mean), "sd": self._outside(np.sqrt(square))}

    def arrays(self) -> dict[str, Floats]:
        """Name the belief's arrays."""
        return self.belief.state

    @abc.abstractmethod
    def _rule(self) -> Floats:
        """Split the traffic [L, K] beyond the floor."""

    def _outside(self, values: Floats) -> Floats:
        return values if self._lanes else values[0]


def _belief(spec: declaration.BanditPolicySpec, lanes: int, arms: int) -> beliefs.Belief:
    match spec.forgetting:
        case declaration.KeepAll():
            return beliefs.Discounted(spec, lanes, arms, 1.0)
        case declaration.Discount(factor=factor):
            return beliefs.Discounted(spec, lanes, arms, factor)
        case declaration.ChangePoints() as rule:
            return change_points.ChangePoints(spec, lanes, arms, rule)
