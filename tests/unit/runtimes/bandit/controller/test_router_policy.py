"""A contextual policy on real parts: what the controller learns reaches the router through Valkey."""

from typing import Any

import numpy as np
import pytest
import redis

from loadtests import bandit_parts
from runtimes import contract
from runtimes.bandit.judging import acting
from runtimes.contract import linear_choice, regimes
from runtimes.router import contextual

BRANCHES = contract.BRANCHES
ALGORITHM = {"name": "linear-thompson", "features": ["log_volatility", "scaled_trend"]}
CALM = {"volatility": 0.1, "trend": 0.0}


def state(parts: bandit_parts.Parts) -> linear_choice.Record | None:
    """What the router would read."""
    with redis.Redis(port=parts.valkey_port) as client:
        value: Any = client.hget(linear_choice.KEY, parts.experiment)
    return None if value is None else linear_choice.Record.decode(value)


def until_state(parts: bandit_parts.Parts, **wanted: Any) -> linear_choice.Record:
    def found() -> linear_choice.Record | None:
        record = state(parts)
        good = record and all(getattr(record, name) == value for name, value in wanted.items())
        return record if good else None

    return bandit_parts.until(found, f"the router's state has {wanted}", 20)


def drive(parts: bandit_parts.Parts, prefix: str, count: int, seed: int = 1) -> None:
    """Traffic of an exploring router: `robust` earns in calm markets, the rule takes `baseline`."""
    random, traffic = np.random.default_rng(seed), parts.traffic()
    for number in range(count):
        volatility = float(np.exp(random.normal(-2.3, 0.3)))
        seen = contextual.features(volatility, 0.0, regimes.CALM)
        chances = [0.1, 0.1, 0.1, 0.7]
        place = int(random.choice(4, p=chances))
        traffic.decide(
            f"routed-{prefix}-{number}", BRANCHES[place], context=seen, propensity=chances[place]
        )
    traffic.flush()
    random = np.random.default_rng(seed)
    for number in range(count):
        random.normal(-2.3, 0.3)
        place = int(random.choice(4, p=chances))
        traffic.reward(f"routed-{prefix}-{number}", float(place == 0) + 0.1 * (number % 3 - 1))
    traffic.flush()


def place(parts: bandit_parts.Parts) -> acting.Place:
    return acting.Place(parts.kafka, parts.api, bandit_parts.NAMESPACE)


def chances(record: linear_choice.Record) -> dict[str, float]:
    seen = contextual.features(0.1, 0.0, regimes.CALM)
    return dict(linear_choice.Chooser(record).choose(seen, "baseline", 0.5).propensities)


def test_a_routers_policy_learns_in_the_shade_acts_at_once_and_is_taken_back(
    parts: bandit_parts.Parts,
) -> None:
    parts.declare_policy(updateFrequency="300ms", mode="shadow", algorithm=ALGORITHM)
    cold = until_state(parts, mode="shadow")
    assert chances(cold)["baseline"] == pytest.approx(0.9), "the rule's branch"
    drive(parts, "few", 40)
    parts.epoch_of(rewards_learnt=40)
    with pytest.raises(acting.BanditError, match="is not activated: "):
        acting.activate(place(parts), None, acting.Options())
    for number in range(1, 8):
        drive(parts, f"a{number}", 80, seed=number)
        parts.epoch_of(rewards_learnt=40 + 80 * number)
    learnt = until_state(parts, epoch=parts.allocations()[-1].epoch)
    assert (learnt.mode, learnt.policy) == ("shadow", parts.policy)
    assert chances(learnt)["robust"] == pytest.approx(0.925, abs=0.01)
    last = parts.allocations()[-1]
    assert (last.mode, last.applied) == ("shadow", False)
    assert set(last.weights) == set(BRANCHES)

    epoch = learnt.epoch
    judged = acting.judge(
        place(parts), acting.policies(place(parts))[parts.policy], acting.Options()
    )
    assert judged.shares["robust"][0] > 2 * judged.shares["robust"][1]
    done = acting.activate(place(parts), None, acting.Options())
    assert "is not below the current one's" in done.gate
    active = until_state(parts, mode="active")
    assert active.epoch == epoch, "without waiting for an epoch's end"
    assert active.coefficients == learnt.coefficients
    parts.standing("Active")

    before = bandit_parts.until(
        lambda: ((found := state(parts)) and found.epoch > epoch and found) or None, "an epoch ends"
    )
    parts.controller.kill()
    parts.controller.start()
    restored = bandit_parts.until(
        lambda: ((found := state(parts)) and found.time > before.time and found) or None,
        "the controller is back",
    )
    assert restored.model_copy(update={"time": before.time}) == before
    drive(parts, "b", 100, seed=2)
    parts.epoch_of(rewards_learnt=700)
    assert parts.allocations()[-1].applied

    parts.patch_policy(mode="frozen")
    parts.standing("Frozen")
    frozen = state(parts)
    drive(parts, "c", 50, seed=3)
    parts.epoch_of(rewards_learnt=750)
    assert state(parts) == frozen, "the router goes on as it is"
    parts.remove_policy()
    bandit_parts.until(lambda: state(parts) is None or None, "the state is taken back", 20)


def test_a_policy_that_looks_at_a_context_is_no_experiments(parts: bandit_parts.Parts) -> None:
    parts.declare_experiment(**dict.fromkeys(bandit_parts.ARMS, 25))
    parts.declare_policy(updateFrequency="300ms", algorithm=ALGORITHM)
    said = parts.standing("NotARouter")
    assert f"{parts.experiment} is an experiment that Envoy splits" in said
    assert state(parts) is None
    parts.patch_policy(algorithm={"name": "thompson", "features": None, "intercept": None})
    parts.standing("Active")
