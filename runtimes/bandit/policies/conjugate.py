"""Conjugate laws of an arm's mean: evidence of what was seen, and the posterior.

Sums are those of `Batch`; every array broadcasts over lanes, arms and runs.
"""

import collections.abc
import dataclasses
import typing

import numpy as np

from runtimes.bandit import declaration
from runtimes.bandit.policies import special
from runtimes.bandit.policies.batch import Floats

NEAR_EVIDENCE = 1.0
"""Least a and b of a Beta law around a known mean."""

_MANY = 15
"""a and b from which a Beta law is normal but for its skewness, within 2e-3."""


@dataclasses.dataclass(frozen=True, slots=True)
class Sums:
    """Count, sum, and sum of squared deviations from the mean."""

    counts: Floats
    sums: Floats
    deviations: Floats

    def plus(self, other: "Sums") -> "Sums":
        """Add what others saw (Chan, Golub and LeVeque 1983)."""
        counts = self.counts + other.counts
        both = (self.counts > 0) & (other.counts > 0)
        gap = _mean(self) - _mean(other)
        between = gap * gap * self.counts * other.counts / np.where(both, counts, 1.0)
        return Sums(
            counts,
            self.sums + other.sums,
            self.deviations + other.deviations + np.where(both, between, 0.0),
        )

    def times(self, factor: float) -> "Sums":
        """Let everything count less."""
        return Sums(self.counts * factor, self.sums * factor, self.deviations * factor)


def _mean(sums: Sums) -> Floats:
    mean: Floats = sums.sums / np.where(sums.counts > 0, sums.counts, 1.0)
    return mean


@dataclasses.dataclass(frozen=True, slots=True)
class Prior:
    """Where a run begins: a mean, a reward's standard deviation, how many rewards that is worth."""

    mean: Floats
    sd: Floats
    strength: Floats


class Posterior(typing.Protocol):
    """Laws of arms' means, in arrays of any shape."""

    @property
    def mean(self) -> Floats:
        """The mean reward that is expected."""
        ...

    @property
    def sd(self) -> Floats:
        """How uncertain it is."""
        ...

    def map(self, change: collections.abc.Callable[[Floats], Floats]) -> typing.Self:
        """Choose or reshape the laws: `change` is applied to each parameter."""
        ...

    def cdf(self, x: Floats) -> Floats:
        """Probability that the mean is below x [n, X], of laws [n, 1]."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class BetaLaw:
    """Beta(a, b)."""

    a: Floats
    b: Floats

    @property
    def mean(self) -> Floats:
        """The mean reward that is expected."""
        mean: Floats = self.a / (self.a + self.b)
        return mean

    @property
    def sd(self) -> Floats:
        """How uncertain it is."""
        n = self.a + self.b
        sd: Floats = np.sqrt(self.a * self.b / (n * n * (n + 1)))
        return sd

    def map(self, change: collections.abc.Callable[[Floats], Floats]) -> "BetaLaw":
        """Choose or reshape the laws."""
        return BetaLaw(change(self.a), change(self.b))

    def cdf(self, x: Floats) -> Floats:
        """See `Posterior`."""
        plain = np.minimum(self.a, self.b)[:, 0] > _MANY
        a, b, inside = self.a[~plain], self.b[~plain], np.clip(x[~plain], 1e-12, 1 - 1e-12)
        score = np.empty_like(x)
        score[~plain] = special.beta_score(inside, a, b)
        many = self.map(lambda values: values[plain])
        total = many.a + many.b
        skewness = 2 * (many.b - many.a) * np.sqrt((total + 1) / (many.a * many.b)) / (total + 2)
        score[plain] = special.skewed_score((x[plain] - many.mean) / many.sd, skewness)
        below = special.normal_cdf(score)
        below[x <= 0] = 0.0
        below[x >= 1] = 1.0
        return below


@dataclasses.dataclass(frozen=True, slots=True)
class StudentLaw:
    """Student's t with `freedom` degrees, around `mean`."""

    mean: Floats
    scale: Floats
    freedom: Floats

    @property
    def sd(self) -> Floats:
        """How uncertain the mean is."""
        sd: Floats = self.scale * np.sqrt(self.freedom / (self.freedom - 2))
        return sd

    def map(self, change: collections.abc.Callable[[Floats], Floats]) -> "StudentLaw":
        """Choose or reshape the laws."""
        return StudentLaw(change(self.mean), change(self.scale), change(self.freedom))

    def cdf(self, x: Floats) -> Floats:
        """See `Posterior`."""
        return special.normal_cdf(special.t_score((x - self.mean) / self.scale, self.freedom))


class Family(typing.Protocol):
    """Rewards of a kind."""

    def log_evidence(self, sums: Sums, prior: Prior) -> Floats:
        """Logarithm of the probability (density) of what was seen, up to a constant of the sums."""
        ...

    def posterior(self, sums: Sums, prior: Prior) -> Posterior:
        """Law of the mean after what was seen."""
        ...

    def near(self, prior: Prior) -> Prior:
        """Make a law around a known mean one that has a mode."""
        ...


class Binary:
    """Rewards of 0 and 1: Beta and Bernoulli."""

    def log_evidence(self, sums: Sums, prior: Prior) -> Floats:
        """See `Family`."""
        law = self.posterior(sums, prior)
        evidence: Floats = (
            special.log_gamma(law.a) + special.log_gamma(law.b) - special.log_gamma(law.a + law.b)
        )
        return evidence

    def posterior(self, sums: Sums, prior: Prior) -> BetaLaw:
        """See `Family`."""
        return BetaLaw(
            prior.mean * prior.strength + sums.sums,
            (1 - prior.mean) * prior.strength + sums.counts - sums.sums,
        )

    def near(self, prior: Prior) -> Prior:
        """See `Family`."""
        rarer = np.minimum(prior.mean, 1 - prior.mean)
        return dataclasses.replace(
            prior, strength=np.maximum(prior.strength, NEAR_EVIDENCE / rarer)
        )


class Continuous:
    """Normal rewards of unknown mean and variance: normal-inverse-gamma (Murphy 2007).

    A prior of strength k: mean ~ N(m, v / k), v ~ inverse gamma(1 + k / 2, sd² k / 2), E[v] = sd².
    """

    def log_evidence(self, sums: Sums, prior: Prior) -> Floats:
        """See `Family`."""
        alpha, beta, kappa = self._updated(sums, prior)
        evidence: Floats = special.log_gamma(alpha) - alpha * np.log(beta) - 0.5 * np.log(kappa)
        return evidence

    def posterior(self, sums: Sums, prior: Prior) -> StudentLaw:
        """See `Family`."""
        alpha, beta, kappa = self._updated(sums, prior)
        mean = (prior.strength * prior.mean + sums.sums) / kappa
        return StudentLaw(mean, np.sqrt(beta / (alpha * kappa)), 2 * alpha)

    def near(self, prior: Prior) -> Prior:
        """See `Family`."""
        return prior

    def _updated(self, sums: Sums, prior: Prior) -> tuple[Floats, Floats, Floats]:
        kappa = prior.strength + sums.counts
        gap = _mean(sums) - prior.mean
        alpha = 1 + 0.5 * kappa
        between = prior.strength * sums.counts * gap * gap / kappa
        beta = 0.5 * (prior.strength * prior.sd**2 + sums.deviations + between)
        return alpha, beta, kappa


def family(kind: typing.Literal["binary", "continuous"]) -> Family:
    """Give the family of a kind of rewards."""
    return Binary() if kind == "binary" else Continuous()


def declared(prior: declaration.Prior, pooled: Prior, kind: str) -> Prior:
    """Give the declared prior; what was left out comes from the pool of all rewards."""
    mean = 0.5 if prior.mean is None and kind == "binary" else prior.mean
    return Prior(
        pooled.mean if mean is None else np.full_like(pooled.mean, mean),
        pooled.sd if prior.sd is None else np.full_like(pooled.sd, prior.sd),
        np.full_like(pooled.mean, prior.strength),
    )
