"""The contextual rules: LinUCB and linear Thompson sampling, a regression for each arm.

An arm's coefficients have the posterior N(A⁻¹ b, s² A⁻¹), with A = ridge · I + Σ x xᵀ and
b = Σ r x over its rewards r with contexts x; s² is a reward's variance around its regression.
"""

import abc
import dataclasses

import numpy as np

from runtimes.bandit import declaration
from runtimes.bandit.policies import best, policy
from runtimes.bandit.policies.batch import Batch, Floats, Rows

_SAMPLE = 200
"""Contexts of an epoch, evenly spaced, over which propensities are averaged."""


@dataclasses.dataclass(frozen=True, slots=True)
class Regressions:
    """The arms' posteriors: N(`coefficients` [K, D], `noise`² · `inverses` [K, D, D])."""

    coefficients: Floats
    inverses: Floats
    noise: float


class Contextual(policy.Policy):
    """Chooses an arm for a context; `shares` are the mean propensities over the last epoch's contexts."""

    def __init__(
        self, spec: declaration.BanditPolicySpec, arms: tuple[str, ...], lanes: int | None = None
    ) -> None:
        if lanes is not None:
            raise ValueError("a contextual policy has one lane")
        super().__init__(spec, arms, lanes)
        algorithm = spec.algorithm
        if not isinstance(algorithm, declaration.LinUcb | declaration.LinearThompson):
            raise TypeError(f"{algorithm.name} takes no context")
        self._linear = algorithm
        match spec.forgetting:
            case declaration.Discount(factor=factor):
                self._factor = factor
            case _:
                self._factor = 1.0
        arms_, size = len(arms), len(algorithm.features) + algorithm.intercept
        self._state: dict[str, Floats] = {
            "seen": np.zeros(arms_),
            "counts": np.zeros(arms_),
            "squares": np.zeros(arms_),
            "moments": np.zeros((arms_, size, size)),
            "products": np.zeros((arms_, size)),
            "shares": np.full(arms_, 1 / arms_),
        }
        self._solve()

    def update(self, batch: Batch) -> None:
        """Learn an epoch's rewards with their contexts."""
        rows = batch.rows
        if rows is None:
            if batch.counts.any():
                raise ValueError(f"{self._linear.name} learns rewards with their contexts")
            rows = Rows(
                np.zeros((0, len(self._linear.features))), np.zeros(0, np.int64), np.zeros(0)
            )
        given = self._design(rows.contexts)
        for name in ("counts", "squares", "moments", "products"):
            self._state[name] = self._state[name] * self._factor
        for arm in range(len(self.arms)):
            of_arm = rows.arms == arm
            x, r = given[of_arm], rows.rewards[of_arm]
            self._state["seen"][arm] += len(r)
            self._state["counts"][arm] += len(r)
            self._state["squares"][arm] += r @ r
            self._state["moments"][arm] += x.T @ x
            self._state["products"][arm] += r @ x
        self._solve()
        if len(given):
            some = given[:: -(-len(given) // _SAMPLE)]
            chances = np.stack([self._propensities(x) for x in some])
            self._state["shares"] = chances.mean(axis=0)

    def shares(self) -> Floats:
        """Give the arms' mean propensities over the contexts of the last epoch that had any."""
        return self._state["shares"].copy()

    def propensities(self, context: Floats) -> Floats:
        """Give each arm's probability [K] of being chosen in a context [d].

        Raises:
            ValueError: the context has another length, or is not finite.

        """
        given = np.asarray(context, dtype=np.float64)
        if given.shape != (len(self._linear.features),) or not np.isfinite(given).all():
            raise ValueError(
                f"a context of {', '.join(self._linear.features)} is due, all finite; got {given}"
            )
        return self._propensities(self._design(given[None])[0])

    def choose(self, context: Floats, generator: np.random.Generator) -> tuple[str, Floats]:
        """Choose an arm for a context [d]; also give all propensities [K]."""
        chance = self.propensities(context)
        edges = np.cumsum(chance)
        arm = int(np.searchsorted(edges, generator.random() * edges[-1], side="right"))
        return self.arms[min(arm, len(self.arms) - 1)], chance

    def estimates(self) -> dict[str, Floats]:
        """Give mean reward and its standard error of each arm, over its own contexts."""
        counts = np.where(self._state["counts"] > 0, self._state["counts"], 1.0)
        mean = self._sums() / counts
        return {"mean": mean, "sd": self._noise / np.sqrt(counts)}

    def arrays(self) -> dict[str, Floats]:
        """Name the regressions' arrays."""
        return self._state

    def load(self, snapshot: dict[str, object]) -> "Contextual":
        """Take over a snapshot; see `Policy.load`."""
        super().load(snapshot)
        self._solve()
        return self

    def scores(self, design: Floats) -> tuple[Floats, Floats]:
        """Give each arm's expected reward and its standard deviation in a context."""
        mean = self._coefficients @ design
        variance = np.einsum("i,kij,j->k", design, self._inverses, design)
        return mean, self._noise * np.sqrt(variance)

    def regressions(self) -> Regressions:
        """Give what was learnt, for whoever chooses elsewhere; the intercept comes first."""
        return Regressions(self._coefficients, self._inverses, self._noise)

    @abc.abstractmethod
    def _rule(self, design: Floats) -> Floats: ...

    def _propensities(self, design: Floats) -> Floats:
        arms = len(self.arms)
        tried = self._state["seen"] > 0
        rule = np.where(tried, self._rule(design), 0.0)
        if not tried.any():
            return np.full(arms, 1 / arms)
        split = np.where(tried, rule / rule.sum() * tried.sum() / arms, 1 / arms)
        chance: Floats = self.floor + (1 - arms * self.floor) * split
        return chance

    def _design(self, contexts: Floats) -> Floats:
        if contexts.ndim != 2 or contexts.shape[1] != len(self._linear.features):  # noqa: PLR2004  rows, features
            raise ValueError(
                f"contexts of shape {contexts.shape}; "
                f"{len(self._linear.features)} columns are due: {', '.join(self._linear.features)}"
            )
        if not self._linear.intercept:
            return contexts
        return np.concatenate([np.ones((len(contexts), 1)), contexts], axis=1)

    def _sums(self) -> Floats:
        means: Floats = np.einsum("ki,ki->k", self._state["products"], self._coefficients)
        return means if not self._linear.intercept else self._state["products"][:, 0]

    def _solve(self) -> None:
        size = self._state["moments"].shape[1]
        precisions = self._state["moments"] + self._linear.ridge * np.eye(size)
        self._inverses = np.asarray(np.linalg.inv(precisions), dtype=np.float64)
        self._coefficients: Floats = np.einsum(
            "kij,kj->ki", self._inverses, self._state["products"]
        )
        self._noise = self._linear.noise_sd or self._estimated_noise()

    def _estimated_noise(self) -> float:
        """Pool the residuals of all arms' regressions; 1 as long as there are none."""
        explained = np.einsum("ki,ki->k", self._state["products"], self._coefficients)
        residual = (self._state["squares"] - explained).sum()
        counts = self._state["counts"].sum()
        return float(np.sqrt(residual / counts)) if counts > 0 and residual > 0 else 1.0


class LinUcb(Contextual):
    """The largest upper bound of the expected reward wins."""

    def bounds(self, design: Floats) -> Floats:
        """Upper bounds [K] in a context."""
        algorithm = self.spec.algorithm
        if not isinstance(algorithm, declaration.LinUcb):
            raise TypeError(f"{algorithm.name} has no bounds")
        mean, sd = self.scores(design)
        bounds: Floats = mean + algorithm.alpha * sd
        return bounds

    def _rule(self, design: Floats) -> Floats:
        bounds = np.where(self._state["seen"] > 0, self.bounds(design), -np.inf)
        won: Floats = (bounds == bounds.max()).astype(np.float64)
        return won


class LinearThompson(Contextual):
    """An arm is chosen as often as its expected reward may be the largest."""

    def _rule(self, design: Floats) -> Floats:
        algorithm = self.spec.algorithm
        if not isinstance(algorithm, declaration.LinearThompson):
            raise TypeError(f"{algorithm.name} has no posterior to compare")
        mean, sd = self.scores(design)
        return best.of_normals(mean, algorithm.scale * sd)
