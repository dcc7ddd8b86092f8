"""A contextual policy as its router reads it: regressions in, an arm with its propensity out.

The controller learns, and writes a `Record` into Valkey's hash `KEY`, one field an experiment;
the router reads it beside the path and chooses with it. With a context's design vector x, arm a has

    mean  m_a = θ_a · x          spread  s_a = noise · sqrt(xᵀ A_a⁻¹ x)

(Li, Chu, Langford and Schapire 2010; Agrawal and Goyal 2013). `linucb` prefers the arm with the
largest m_a + width · s_a, `linear-thompson` each arm as often as it is the best of N(m_a,
(width · s_a)²). The floor of exploration / K is under every arm.

An arm has had enough rewards in a context if 1 / (xᵀ A⁻¹ x) - ridge / |x|² is at least `minimum`:
that is the number of rewards if all of them came in this context, and less the further they were
from it. Until every arm has, a fallback arm is taken with probability 1 - exploration, and the
others share the exploration.
"""

import bisect
import dataclasses
import hashlib
import itertools
import statistics
from collections.abc import Mapping
from typing import Annotated, Literal, Self

import numpy as np
import pydantic
from numpy.typing import NDArray

from runtimes import contract
from runtimes.contract import bandits, regimes

KEY = "bellwether:bandit:choices"

BRANCH: dict[str, str] = dict(zip(regimes.NAMES, contract.BRANCHES, strict=True))
"""The router's branch that is made for each regime."""

Floats = NDArray[np.float64]

_QUANTILES = 32
_SCORES: Floats = np.array(
    [statistics.NormalDist().inv_cdf((place + 0.5) / _QUANTILES) for place in range(_QUANTILES)]
)
_FAR = 8.0
"""Standard deviations beyond which a normal law is 0 or 1."""

Share = Annotated[float, pydantic.Field(ge=0, le=1)]
Positive = Annotated[float, pydantic.Field(gt=0)]
AtLeastNothing = Annotated[float, pydantic.Field(ge=0)]


class Record(bandits.Record):
    """A policy's state after an epoch, with everything that a choice depends on."""

    experiment: bandits.Name
    policy: bandits.Name
    epoch: Annotated[int, pydantic.Field(ge=0)]
    time: float
    """Unix time in seconds."""
    mode: Literal["active", "shadow"]
    """Whether the policy's choice is taken, or logged beside the fallback's."""
    algorithm: Literal["linucb", "linear-thompson"]
    width: AtLeastNothing
    exploration: Share
    """Share of the traffic that explores, over all arms."""
    minimum: AtLeastNothing
    """Rewards that each arm needs in a context before it is compared there."""
    ridge: Positive
    noise: AtLeastNothing
    """Standard deviation of a reward around its regression."""
    arms: tuple[bandits.Name, ...]
    features: tuple[bandits.Name, ...]
    """The context's numbers, by name, in the order of the columns."""
    intercept: bool
    """Whether the design has a 1 before the features."""
    coefficients: tuple[tuple[float, ...], ...]
    """θ [K, D]."""
    inverses: tuple[tuple[tuple[float, ...], ...], ...]
    """A⁻¹ [K, D, D]."""

    @pydantic.model_validator(mode="after")
    def _fits_together(self) -> Self:
        arms, columns = len(self.arms), len(self.features) + self.intercept
        if not arms or len(set(self.arms)) != arms or not columns:
            raise ValueError("arms: at least one is due, each once, and a column to learn")
        try:
            coefficients = np.asarray(self.coefficients, dtype=np.float64)
            inverses = np.asarray(self.inverses, dtype=np.float64)
        except ValueError as error:
            raise ValueError(f"coefficients and inverses have ragged rows: {error}") from error
        if coefficients.shape != (arms, columns) or inverses.shape != (arms, columns, columns):
            raise ValueError(
                f"coefficients [{arms}, {columns}] and inverses [{arms}, {columns}, {columns}] "
                f"are due for these arms and features, got {coefficients.shape} and "
                f"{inverses.shape}"
            )
        return self


class UnknownContextError(KeyError):
    """A context that lacks a number which the policy looks at."""


@dataclasses.dataclass(frozen=True, slots=True)
class Choice:
    """An arm for a context, and how probable each one was."""

    arm: str
    propensities: Mapping[str, float]
    """By arm; they sum to 1."""
    unknown: tuple[str, ...]
    """The arms that had too few rewards here; where there are any, the fallback led."""

    @property
    def propensity(self) -> float:
        """The probability with which this arm was chosen."""
        return self.propensities[self.arm]


class Chooser:
    """Chooses by one record. Pure: the same context and draw give the same arm."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self._coefficients: Floats = np.array(record.coefficients, dtype=np.float64)
        self._inverses: Floats = np.array(record.inverses, dtype=np.float64)
        self._places = {arm: place for place, arm in enumerate(record.arms)}
        self._floor = record.exploration / len(record.arms)

    def choose(self, context: Mapping[str, float], fallback: str, draw: float) -> Choice:
        """Choose an arm; `draw` is uniform on [0, 1), `fallback` what is taken for want of rewards.

        Raises:
            UnknownContextError: the context lacks a feature.
            KeyError: `fallback` is none of the arms.

        """
        propensities, unknown = self.propensities(context, fallback)
        return self.drawn(propensities, unknown, draw)

    def explore(self, fallback: str, draw: float) -> Choice:
        """Choose as long as nothing is known: the fallback, or an explored arm."""
        return self.drawn(self._cold(self._places[fallback]), self.record.arms, draw)

    def propensities(
        self, context: Mapping[str, float], fallback: str
    ) -> tuple[list[float], tuple[str, ...]]:
        """Give each arm's probability [K] in a context, and the arms that are unknown there."""
        return self._propensities(self._design(context), self._places[fallback])

    def drawn(self, propensities: list[float], unknown: tuple[str, ...], draw: float) -> Choice:
        """Give the arm at which the draw falls."""
        edges = list(itertools.accumulate(propensities))
        place = bisect.bisect_right(edges, draw * edges[-1])
        arms = self.record.arms
        return Choice(
            arms[min(place, len(arms) - 1)],
            dict(zip(arms, propensities, strict=True)),
            unknown,
        )

    def _design(self, context: Mapping[str, float]) -> Floats:
        row = [1.0] if self.record.intercept else []
        try:
            row += [context[name] for name in self.record.features]
        except KeyError as error:
            raise UnknownContextError(
                f"policy {self.record.policy!r} looks at {error}, which the context lacks; "
                f"it has {', '.join(context)}"
            ) from error
        return np.array(row)

    def _propensities(self, design: Floats, fallback: int) -> tuple[list[float], tuple[str, ...]]:
        record = self.record
        leverages = ((self._inverses @ design) @ design).tolist()
        nothing = record.ridge / max(float(design @ design), 1e-300)
        enough = record.minimum + nothing
        unknown = tuple(
            arm
            for arm, leverage in zip(record.arms, leverages, strict=True)
            if leverage * enough > 1 or leverage <= 0  # a damaged inverse says nothing either
        )
        if unknown:
            return self._cold(fallback), unknown
        means = (self._coefficients @ design).tolist()
        spreads = [record.width * record.noise * leverage**0.5 for leverage in leverages]
        if record.algorithm == "linucb":
            rule = _largest([m + s for m, s in zip(means, spreads, strict=True)])
        else:
            rule = chances(np.array(means), np.array(spreads)).tolist()
        rest = 1 - record.exploration
        return [self._floor + rest * share for share in rule], ()

    def _cold(self, fallback: int) -> list[float]:
        count, exploration = len(self.record.arms), self.record.exploration
        if count == 1:
            return [1.0]
        shares = [exploration / (count - 1)] * count
        shares[fallback] = 1 - exploration
        return shares


def _largest(values: list[float]) -> list[float]:
    best = max(values)
    winners = [float(value == best) for value in values]
    total = sum(winners)
    return [each / total for each in winners]


def chances(means: Floats, spreads: Floats) -> Floats:
    """Give how probable it is that each of independent normal laws [K] is the largest; sums to 1.

    By the midpoint rule over 32 quantiles of each law, within 0.02; as propensities they are
    exact, because what is drawn is drawn with them.
    """
    spread = np.maximum(spreads, 1e-12 * (1 + np.abs(means)))
    points = means[:, None] + spread[:, None] * _SCORES
    score = np.clip((points[:, :, None] - means) / spread, -_FAR, _FAR)
    # Φ within 2e-4 (Page 1977).
    below = 1 / (1 + np.exp(-score * (1.5976 + 0.070566 * score * score)))
    places = np.arange(len(means))
    below[places, :, places] = 1.0
    chance: Floats = below.prod(axis=2).sum(axis=1)
    total: Floats = chance / chance.sum()
    return total


def draw(experiment: str, identity: str) -> float:
    """Give a request's number in [0, 1): uniform over ids, the same whenever the id comes again.

    So a request that is sent again takes the arm it took, and replicas agree.
    """
    digest = hashlib.blake2b(f"{experiment}\0{identity}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest) >> 11) / (1 << 53)
