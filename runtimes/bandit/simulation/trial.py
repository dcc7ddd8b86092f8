"""Trying policies in a world: the classes that serve, all repetitions at once."""

import collections
import dataclasses
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from runtimes.bandit import allocation, declaration, notation, policies
from runtimes.bandit.policies import batch as batches
from runtimes.bandit.simulation import environment, world

Floats = batches.Floats

FIXED = (0.4, 0.3, 0.2, 0.1)
"""The split that four arms begin with; any other number of arms has an even one."""


@dataclasses.dataclass(frozen=True, slots=True)
class Regret:
    """Expected regret: of the whole traffic, given the weights that each epoch had.

    `curve` [batches] and `band` are the mean over repetitions, cumulated, and its standard error.
    """

    mean: float
    se: float | None
    curve: Floats
    band: Floats


class _Splitter(Protocol):
    def shares(self) -> Floats: ...

    def update(self, batch: batches.Batch) -> None: ...


class _Fixed:
    def __init__(self, split: tuple[float, ...], lanes: int) -> None:
        self._shares = np.tile(np.array(split) / sum(split), (lanes, 1))

    def shares(self) -> Floats:
        return self._shares

    def update(self, batch: batches.Batch) -> None:
        del batch


def spec_of(
    given: environment.Environment, catalogue: declaration.BanditPolicySpec
) -> declaration.BanditPolicySpec:
    """Complete the environment's policy: what is left out is as in the catalogue.

    The kind of rewards follows the environment's, unless the policy says it.

    Raises:
        notation.ManifestError: the policy has unknown or wrong fields, or cannot be simulated.

    """
    base = catalogue.model_dump(mode="json", by_alias=True, exclude_none=True)
    base["rewardKind"] = "binary" if given.reward == "bernoulli" else "continuous"
    try:
        spec = declaration.parse_spec(_merged(base, given.policy))
    except notation.ManifestError as error:
        raise notation.ManifestError(
            tuple(
                dataclasses.replace(
                    each,
                    path=f"policy.{each.path}",
                    message=f"in policy: {each.message}",
                )
                for each in error.problems
            )
        ) from error
    if spec.contextual:
        _refuse("algorithm", f"{spec.algorithm.name} takes a context, which no environment has")
    if spec.reward_kind == "binary" and given.reward == "normal":
        _refuse("rewardKind", "normal rewards are continuous")
    return spec


def _refuse(field: str, why: str) -> None:
    path = f"policy.{field}"
    raise notation.ManifestError((notation.Problem("invalid", path, f"{path}: {why}"),))


def _merged(base: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in given.items():
        old = base.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            other = "name" in value and value["name"] != old.get("name")
            merged[key] = value if other else _merged(old, value)
        else:
            merged[key] = value
    return merged


def run(
    given: environment.Environment,
    catalogue: declaration.BanditPolicySpec,
    progress: Callable[[float, str], None] = lambda _done, _what: None,
) -> dict[str, Regret]:
    """Try the policy, and beside it fixed splits, simpler rules, and an oracle.

    The simpler rules explore as much as the policy does and forget nothing.
    The oracle is Thompson sampling that is told when a phase begins, and then begins anew;
    where means drift, it is told the best arm of each batch instead.
    `progress` hears the share that is done, 0..1, and what is tried.
    """
    spec = spec_of(given, catalogue)
    place = world.World(given)
    lanes, arms = given.repetitions, len(given.arms)
    even = (1.0,) * arms

    def learning(rule: declaration.BanditPolicySpec) -> Callable[[], _Splitter]:
        return lambda: policies.make(rule, given.arms, lanes)

    def plain(algorithm: declaration.Algorithm) -> declaration.BanditPolicySpec:
        return spec.model_copy(update={"algorithm": algorithm, "forgetting": declaration.KeepAll()})

    own = spec.algorithm
    sharp = own if isinstance(own, declaration.Thompson) else declaration.Thompson()
    tried: dict[str, tuple[declaration.BanditPolicySpec | None, Callable[[], _Splitter]]] = {
        "policy": (spec, learning(spec)),
        "fixed": (None, lambda: _Fixed(FIXED if arms == len(FIXED) else even, lanes)),
        "uniform": (None, lambda: _Fixed(even, lanes)),
    }
    for rule in (declaration.EpsilonGreedy(), declaration.Ucb1(), declaration.Thompson()):
        tried[rule.name] = (plain(rule), learning(plain(rule)))
    tried["oracle"] = (plain(sharp), learning(plain(sharp)))
    found = {}
    for number, (name, (rule_spec, make)) in enumerate(tried.items()):

        def told(done: float, name: str = name, number: int = number) -> None:
            progress((number + done) / len(tried), name)

        found[name] = _tried(place, rule_spec, make, name == "oracle", told)
    return found


def _tried(
    place: world.World,
    spec: declaration.BanditPolicySpec | None,
    make: Callable[[], _Splitter],
    is_oracle: bool,
    progress: Callable[[float], None],
) -> Regret:
    given = place.given
    generator = np.random.default_rng([given.seed, 1])
    splitter = make()
    before: Floats | None = None
    waiting: collections.deque[batches.Batch] = collections.deque()
    lost = np.zeros((given.batches, given.repetitions))
    nothing = np.zeros((given.repetitions, len(given.arms)))
    for number in range(given.batches):
        stretches = list(place.stretches(number))
        if is_oracle and place.changes(number):
            splitter = make()
            waiting = collections.deque(batches.Batch(nothing, nothing, nothing) for _ in waiting)
        wanted = splitter.shares()
        if is_oracle and given.drift:
            wanted = _best(stretches[0])
        weights = _weights(wanted, before, spec, len(given.arms)) if spec else wanted
        before = weights
        for stretch in stretches:
            lost[number] += stretch.requests * (weights * stretch.gaps).sum(axis=1)
        waiting.append(world.draw(generator, stretches, weights, given.reward))
        if len(waiting) > given.delay:
            splitter.update(waiting.popleft())
        progress((number + 1) / given.batches)
    return _regret(np.cumsum(lost, axis=0))


def _weights(
    wanted: Floats, before: Floats | None, spec: declaration.BanditPolicySpec, arms: int
) -> Floats:
    _, stepped = allocation.limit(
        wanted,
        before,
        floor=spec.floor(arms),
        max_step=spec.max_step,
        free=np.ones(arms, dtype=np.bool_),
    )
    shares: Floats = allocation.rounded(stepped) / allocation.TOTAL
    return shares


def _best(stretch: world.Stretch) -> Floats:
    best: Floats = (stretch.gaps == 0).astype(np.float64)
    shared: Floats = best / best.sum(axis=1, keepdims=True)
    return shared


def _regret(cumulated: Floats) -> Regret:
    repetitions = cumulated.shape[1]
    curve = cumulated.mean(axis=1)
    if repetitions == 1:
        return Regret(float(curve[-1]), None, curve, np.zeros_like(curve))
    band = cumulated.std(axis=1, ddof=1) / np.sqrt(repetitions)
    return Regret(float(curve[-1]), float(band[-1]), curve, band)
