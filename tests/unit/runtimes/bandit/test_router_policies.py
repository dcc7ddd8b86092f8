"""What a contextual policy has learnt, as the router has it: the same numbers, the same gate."""

import numpy as np
import pytest

from runtimes import contract
from runtimes.bandit import declaration, policies, routing
from runtimes.bandit.judging import joined, replaying, splits
from runtimes.bandit.policies import linear
from runtimes.contract import bandits, linear_choice, regimes

BRANCHES = contract.BRANCHES
COLUMNS = ("x", "y")


def spec(name: str = "linear-thompson", **more: object) -> declaration.BanditPolicySpec:
    algorithm = {"name": name, "features": list(COLUMNS)}
    return declaration.parse_spec(
        {"experiment": "regime-router", "algorithm": algorithm, "updateFrequency": "1s", **more}
    )


def learnt(by: declaration.BanditPolicySpec, rows: int = 4000) -> linear.Contextual:
    random = np.random.default_rng(3)
    policy = policies.make(by, BRANCHES)
    contexts, arms = random.normal(size=(rows, 2)), random.integers(4, size=rows)
    slopes = np.array([[0.5, 0], [-0.5, 0], [0, 0.5], [0, -0.5]])
    rewards = (slopes[arms] * contexts).sum(axis=1) + random.normal(size=rows)
    policy.update(policies.Batch.of(4, arms, rewards, contexts))
    assert isinstance(policy, linear.Contextual)
    return policy


def record(by: declaration.BanditPolicySpec, policy: linear.Contextual) -> linear_choice.Record:
    return routing.record(by, policy, name="by-context", epoch=2, time=1.0, mode="active")


@pytest.mark.parametrize("name", ["linear-thompson", "linucb"])
def test_the_router_chooses_with_the_propensities_of_the_policy_that_learnt(name: str) -> None:
    by = spec(name)
    policy = learnt(by)
    chooser = linear_choice.Chooser(linear_choice.Record.decode(record(by, policy).encode()))
    for context in np.random.default_rng(4).normal(size=(200, 2)):
        given = dict(zip(COLUMNS, map(float, context), strict=True))
        found, unknown = chooser.propensities(given, "robust")
        assert not unknown
        np.testing.assert_allclose(found, policy.propensities(context), atol=0.025)


def test_a_policy_that_knows_nothing_leaves_the_rule_in_charge() -> None:
    by = spec()
    fresh = policies.make(by, BRANCHES)
    assert isinstance(fresh, linear.Contextual)
    chooser = linear_choice.Chooser(record(by, fresh))
    found, unknown = chooser.propensities({"x": 0.0, "y": 0.0}, "aggressive")
    assert unknown == BRANCHES
    assert found == pytest.approx([0.1 / 3, 0.9, 0.1 / 3, 0.1 / 3])


def test_an_arm_needs_its_part_of_the_minimum_rewards_and_twenty_at_least() -> None:
    assert record(spec(), learnt(spec())).minimum == 20
    many = spec(guardrails={"minimumRewards": 400})
    assert record(many, learnt(many)).minimum == 100


def rows(count: int, *, regime: bool) -> joined.Joined:
    """Decisions of a router in a calm market, a second apart, each rewarded half a second later."""
    random = np.random.default_rng(6)
    arms = random.choice(4, size=count, p=[0.1, 0.1, 0.1, 0.7])
    columns = [random.normal(size=count), random.normal(size=count)]
    names = [*COLUMNS]
    if regime:
        names += regimes.NAMES
        columns += [np.full(count, float(name == regimes.CALM)) for name in regimes.NAMES]
    return joined.Joined(
        arms=arms,
        rewards=(arms == 0) + random.normal(size=count),
        propensities=np.where(arms == 3, 0.7, 0.1),
        times=np.arange(count, dtype=np.int64) * 1000,
        reward_times=np.arange(count, dtype=np.int64) * 1000 + 500,
        intervals=np.zeros(count, dtype=np.int64),
        contexts=np.column_stack(columns),
        features=tuple(names),
        left_out={},
    )


KNOWN = splits.Splits(
    BRANCHES,
    np.array([-(2**62)]),
    np.array([[0.25] * 4]),
    np.zeros((1, 4), dtype=np.bool_),
    np.array([True]),
)


def test_a_routers_policy_is_judged_with_its_cold_start() -> None:
    target = replaying.targets(spec(), rows(2000, regime=True), KNOWN)
    np.testing.assert_allclose(target.sum(axis=1), 1)
    np.testing.assert_allclose(target[:20], [[0.1 / 3, 0.1 / 3, 0.1 / 3, 0.9]] * 20)
    assert target[-200:, 0].mean() > 0.8, "by then it knows which branch earns"
    assert target.min() == pytest.approx(0.025, abs=1e-9)


def test_a_log_that_is_no_routers_is_judged_without_a_rule() -> None:
    target = replaying.targets(spec(), rows(50, regime=False), KNOWN)
    np.testing.assert_allclose(target[0], 0.25)


def test_the_branch_of_the_rule_is_read_from_the_logged_regime() -> None:
    assert routing.ruled({"volatile": 0.0, "rising": 1.0}) == "aggressive"
    assert routing.ruled({bandits.CONTEXT_VOLATILITY: 0.2}) is None
