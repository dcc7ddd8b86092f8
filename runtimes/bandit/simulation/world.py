"""The world that policies are tried in: the arms' means over time, and rewards drawn from them."""

import dataclasses
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from runtimes.bandit.policies import batch
from runtimes.bandit.simulation import environment

Floats = batch.Floats


@dataclasses.dataclass(frozen=True, slots=True)
class Stretch:
    """Requests of one batch under the same means [L, K]; standard deviations [K]."""

    requests: int
    means: Floats
    sd: Floats

    @property
    def gaps(self) -> Floats:
        """How far each arm is from the best one [L, K]."""
        gaps: Floats = self.means.max(axis=1, keepdims=True) - self.means
        return gaps


class World:
    """Every batch's stretches; the same for each policy that is tried."""

    def __init__(self, given: environment.Environment) -> None:
        self.given = given
        lanes, arms = given.repetitions, len(given.arms)
        steps = np.zeros((given.batches, lanes, arms))
        if given.drift:
            generator = np.random.default_rng([given.seed, 0])
            steps[1:] = generator.normal(0, given.drift, (given.batches - 1, lanes, arms))
        self._walk = np.cumsum(steps, axis=0)

    def stretches(self, number: int) -> Iterator[Stretch]:
        """Give a batch's stretches; there is more than one if a phase begins within it."""
        given = self.given
        begin = number * given.batch
        end = min(begin + given.batch, given.horizon)
        later = [*(phase.begin for phase in given.phases[1:]), given.horizon]
        for phase, until in zip(given.phases, later, strict=True):
            first, last = max(begin, phase.begin), min(end, until)
            if first < last:
                means = np.array(phase.means) + self._walk[number]
                yield Stretch(last - first, self._bounded(means), np.array(phase.sd or 1.0))

    def changes(self, number: int) -> bool:
        """Whether a phase other than the first begins in a batch, or within the one before."""
        given = self.given
        begin = number * given.batch
        return any(begin - given.batch < phase.begin <= begin for phase in given.phases[1:])

    def _bounded(self, means: Floats) -> Floats:
        """Reflect the means of Bernoulli rewards at 0 and 1."""
        if self.given.reward == "normal":
            return means
        folded: Floats = 1 - np.abs(1 - np.mod(means, 2))
        return folded


def draw(
    generator: np.random.Generator,
    stretches: list[Stretch],
    shares: Floats,
    reward: str,
) -> batch.Batch:
    """Route a batch's requests by shares [L, K], and sum up the rewards that they bring."""
    counts, sums, squares = (np.zeros(shares.shape) for _ in range(3))
    parts = [_drawn(generator, stretch, shares, reward) for stretch in stretches]
    for n, s, _ in parts:
        counts += n
        sums += s
    mean = np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)
    for n, s, d in parts:
        own = np.divide(s, n, out=np.zeros_like(s), where=n > 0)
        squares += d + n * (own - mean) ** 2
    return batch.Batch(counts, sums, squares)


def _drawn(
    generator: np.random.Generator, stretch: Stretch, shares: Floats, reward: str
) -> tuple[Floats, Floats, Floats]:
    routed: NDArray[np.int64] = generator.multinomial(stretch.requests, shares)
    n = routed.astype(np.float64)
    if reward == "bernoulli":
        s = generator.binomial(routed, stretch.means).astype(np.float64)
        return n, s, s - s * s / np.maximum(n, 1)
    s = n * stretch.means + np.sqrt(n) * stretch.sd * generator.normal(size=n.shape)
    freedom = np.maximum(n - 1, 0)
    spread = generator.chisquare(np.maximum(freedom, 1)) * (freedom > 0)
    return n, s, stretch.sd**2 * spread
