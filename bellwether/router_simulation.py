"""`bellwether simulate router`: the contextual policy beside the thresholds' rule and fixed branches.

In made-up markets, and on real days that no model had seen. The very classes that serve decide and
learn: the router's rule and contextual policy, the controller's policy, the state between them.
What a policy earned is computed with its propensities, not with the arms it happened to take;
so only what it learnt depends on luck.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infra.catalogue import bandits, models
from runtimes import contract
from runtimes.bandit import declaration, policies, routing
from runtimes.bandit.policies import linear
from runtimes.contract import linear_choice, regimes
from runtimes.router import contextual, policy, rule

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

BRANCHES = contract.BRANCHES
SD = 0.02
"""Of a reward around its mean, in a made-up market."""

_NOTHING = np.zeros((1, 1, 1))


@dataclasses.dataclass(frozen=True, slots=True)
class World:
    """A made-up market: what each branch earns on average [n, 4] at volatility and trend [n]."""

    what: str
    means: Callable[[Array, Array], Array]


def _elsewhere(volatility: Array, trend: Array) -> Array:
    size = np.log(volatility / 0.17)
    return np.column_stack(
        [
            0.032 - 0.006 * size,
            0.031 - 0.06 * trend,
            0.031 + 0.06 * trend,
            0.032 + 0.006 * size,
        ]
    )


def _misplaced(volatility: Array, trend: Array) -> Array:
    return np.column_stack(
        [
            0.030 + 0.006 * np.tanh(2 * np.log(volatility / 0.2)),
            0.031 + 0.004 * np.tanh(trend / 0.03),
            0.029 + 0.004 * np.tanh((-trend - 0.02) / 0.03),
            np.full(len(volatility), 0.032),
        ]
    )


def _single(volatility: Array, trend: Array) -> Array:
    del trend
    return np.tile([0.030, 0.031, 0.029, 0.034], (len(volatility), 1))


def _right(volatility: Array, trend: Array) -> Array:
    made = by_thresholds()
    taken = np.array(
        [
            made.choose(_context(*each, None)).branch
            for each in zip(volatility.tolist(), trend.tolist(), strict=True)
        ]
    )
    means: Array = 0.030 + 0.004 * (taken[:, None] == np.array(BRANCHES))
    return means


WORLDS = {
    "strengths elsewhere": World(
        "robust is best in quiet markets, baseline in volatile ones, and trends are the other way",
        _elsewhere,
    ),
    "thresholds misplaced": World(
        "branches are good where the rule takes them, with borders elsewhere, and not straight",
        _misplaced,
    ),
    "one branch": World("the context says nothing: baseline is best everywhere", _single),
    "thresholds right": World("the rule's branch is the best one everywhere", _right),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Markets:
    """Requests in the order in which they came: volatility and trend [n], as the rule has them."""

    volatility: Array
    trend: Array

    def __len__(self) -> int:
        return len(self.volatility)


@dataclasses.dataclass
class _State:
    """What the router would have read from Valkey."""

    chooser: linear_choice.Chooser | None = None
    missing: str = "nothing was learnt yet"


def by_thresholds() -> rule.RegimeRule:
    """Make the catalogue's rule."""
    given = dict(models.REGIME_ROUTER.parameters)
    return rule.RegimeRule(
        volatility_threshold=float(given["volatility_threshold"]),
        trend_threshold=float(given["trend_threshold"]),
        window_days=int(given["window_days"]),
        hysteresis=float(given["hysteresis"]),
    )


def ruled(markets: Markets) -> Rows:
    """Give the place of the rule's branch [n]."""
    made = by_thresholds()
    places = {branch: place for place, branch in enumerate(BRANCHES)}
    return np.array([places[made.choose(each).branch] for each in _contexts(markets, None)])


def walk(
    markets: Markets,
    epochs: Iterable[tuple[Rows, Rows]],
    reward: Callable[[Rows, Rows], Array],
    spec: declaration.BanditPolicySpec,
    seed: int,
) -> Array:
    """Let the contextual policy act; give its propensities [n, 4] of each branch.

    `epochs` gives the requests of each epoch, and those whose rewards are known at its end;
    `reward` gives the rewards [k] of requests [k] whose places of branches [k] were taken.
    """
    learner = policies.make(spec, BRANCHES)
    if not isinstance(learner, linear.Contextual) or not isinstance(
        spec.algorithm, declaration.LinUcb | declaration.LinearThompson
    ):
        raise TypeError(f"{spec.algorithm.name} looks at no context")
    state = _State()
    router = contextual.ContextualPolicy(by_thresholds(), state, spec.experiment)
    propensities, taken = np.zeros((len(markets), 4)), np.zeros(len(markets), dtype=np.intp)
    seen = np.zeros((len(markets), len(spec.algorithm.features)))
    contexts = list(_contexts(markets, seed))
    for number, (asked, known) in enumerate(epochs):
        state.chooser = linear_choice.Chooser(
            routing.record(spec, learner, name="simulated", epoch=number, time=0, mode="active")
        )
        for row in asked:
            choice = router.choose(contexts[row])
            if choice.decided is None:
                raise TypeError("the policy tells nothing of its choice")
            taken[row] = BRANCHES.index(choice.branch)
            propensities[row] = [choice.decided.propensities[branch] for branch in BRANCHES]
            seen[row] = [choice.decided.context[name] for name in spec.algorithm.features]
        rewards = reward(known, taken[known])
        learner.update(policies.Batch.of(4, taken[known], rewards, seen[known]))
    return propensities


def _contexts(markets: Markets, seed: int | None) -> Iterable[policy.Context]:
    for row, each in enumerate(
        zip(markets.volatility.tolist(), markets.trend.tolist(), strict=True)
    ):
        yield _context(*each, None if seed is None else f"{seed}-{row}")


def _context(volatility: float, trend: float, identity: str | None) -> policy.Context:
    return policy.Context(None, volatility, trend, None, _NOTHING, identity)


@dataclasses.dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over repetitions, with its standard error."""

    mean: float
    se: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Estimate":
        """Sum up repetitions, two at least."""
        found = np.asarray(values)
        return cls(float(found.mean()), float(found.std(ddof=1) / np.sqrt(len(found))))


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What policies earned per decision in one world; gains are the contextual policy's."""

    earned: Mapping[str, Estimate]
    gains: Mapping[str, Estimate]
    late_gains: Mapping[str, Estimate]
    """Over the last quarter of the requests, when it has learnt."""

    def document(self) -> dict[str, Any]:
        """Give it as JSON's types."""
        return dataclasses.asdict(self)


CONTEXTUAL, RULE, FIXED, ORACLE = "contextual", "rule", "best fixed branch", "oracle"


def simulate(  # noqa: PLR0913  each is an option of the command
    name: str,
    *,
    spec: declaration.BanditPolicySpec = bandits.REGIME_ROUTER.spec,
    horizon: int = 8000,
    batch: int = 100,
    repetitions: int = 10,
    seed: int = 1,
    said: Callable[[], None] = lambda: None,
) -> Outcome:
    """Simulate one of `WORLDS`. The best fixed branch is picked with hindsight, each time anew."""
    world = WORLDS[name]
    parts: dict[str, list[Array]] = {each: [] for each in (CONTEXTUAL, RULE, FIXED, ORACLE)}
    for repetition in range(repetitions):
        random = np.random.default_rng([seed, repetition])
        markets = _made_up(random, horizon)
        means = world.means(markets.volatility, markets.trend)
        noise = SD * random.normal(size=horizon)
        order = np.arange(horizon)
        epochs = [(order[at : at + batch],) * 2 for at in range(0, horizon, batch)]
        chances = walk(
            markets,
            epochs,
            lambda rows, arms, m=means, n=noise: m[rows, arms] + n[rows],  # type: ignore[misc]
            spec,
            repetition + 1000 * seed,
        )
        parts[CONTEXTUAL].append((chances * means).sum(axis=1))
        parts[RULE].append(means[order, ruled(markets)])
        parts[FIXED].append(means[:, means.mean(axis=0).argmax()])
        parts[ORACLE].append(means.max(axis=1))
        said()
    late = slice(3 * horizon // 4, None)
    return Outcome(
        earned={
            each: Estimate.of([float(one.mean()) for one in ones]) for each, ones in parts.items()
        },
        gains=_gains(parts, slice(None)),
        late_gains=_gains(parts, late),
    )


def _gains(parts: Mapping[str, Sequence[Array]], rows: slice) -> dict[str, Estimate]:
    return {
        other: Estimate.of(
            [
                float((ours - theirs)[rows].mean())
                for ours, theirs in zip(parts[CONTEXTUAL], parts[other], strict=True)
            ]
        )
        for other in (RULE, FIXED, ORACLE)
    }


def _made_up(random: np.random.Generator, count: int) -> Markets:
    """Draw markets: ln volatility N(ln 0.17, 0.5²), the trend as wide as the volatility says."""
    volatility = np.exp(random.normal(np.log(0.17), 0.5, count))
    window = np.sqrt(regimes.DAYS / contract.TRADING_DAYS)
    return Markets(volatility, np.expm1(volatility * window * random.normal(size=count)))
