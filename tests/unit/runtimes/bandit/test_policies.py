"""Policies without context; MABWiser is the oracle."""

import json

import mabwiser.mab
import numpy as np
import pytest

from runtimes.bandit import declaration, policies

ARMS = ("a", "b", "c", "d")
ALGORITHMS = (declaration.EpsilonGreedy(), declaration.Ucb1(), declaration.Thompson(power=2))
FORGETTING = (
    declaration.KeepAll(),
    declaration.Discount(factor=0.9),
    declaration.ChangePoints(run_starts=5),
)


def spec(algorithm, kind="binary", forgetting=FORGETTING[0], rate=0.1, **more):
    return declaration.BanditPolicySpec(
        experiment="e",
        algorithm=algorithm,
        reward_kind=kind,
        forgetting=forgetting,
        exploration_rate=rate,
        **more,
    )


def rewards(kind, count=400, seed=1):
    generator = np.random.default_rng(seed)
    chosen = generator.integers(0, len(ARMS), count)
    means = np.array([0.3, 0.4, 0.5, 0.45])[chosen]
    if kind == "binary":
        return chosen, (generator.random(count) < means).astype(float)
    return chosen, generator.normal(means, 0.5)


def batches(kind, epochs=12):
    return [policies.Batch.of(len(ARMS), *rewards(kind, 60, seed)) for seed in range(epochs)]


def learnt(of_spec, given):
    policy = policies.make(of_spec, ARMS)
    for batch in given:
        policy.update(batch)
    return policy


def oracle(policy, chosen, values, **more):
    mab = mabwiser.mab.MAB(list(range(len(ARMS))), policy, seed=7, **more)
    mab.fit(list(chosen), list(values))
    return mab


@pytest.mark.parametrize("kind", ["binary", "continuous"])
def test_epsilon_greedy_knows_the_means_that_mabwiser_knows(kind):
    chosen, values = rewards(kind)
    policy = learnt(
        spec(declaration.EpsilonGreedy(), kind), [policies.Batch.of(len(ARMS), chosen, values)]
    )
    expected = oracle(mabwiser.mab.LearningPolicy.EpsilonGreedy(epsilon=0), chosen, values)
    means = list(expected.predict_expectations().values())
    assert policy.means()[0] == pytest.approx(means, abs=1e-12)
    assert int(policy.shares().argmax()) == expected.predict()
    assert policy.shares().max() == pytest.approx(1 - 3 * 0.025)


def test_ucb1_has_the_bounds_that_mabwiser_has():
    chosen, values = rewards("binary")
    given = [policies.Batch.of(len(ARMS), chosen, values)]
    policy = learnt(spec(declaration.Ucb1(alpha=0.7)), given)
    expected = oracle(mabwiser.mab.LearningPolicy.UCB1(alpha=0.7), chosen, values)
    bounds = list(expected.predict_expectations().values())
    assert policy.bounds()[0] == pytest.approx(bounds, abs=1e-12)


def test_thompsons_shares_are_how_often_mabwiser_chooses_each_arm():
    chosen, values = rewards("binary", 120)
    given = [policies.Batch.of(len(ARMS), chosen, values)]
    policy = learnt(spec(declaration.Thompson(), rate=0.0), given)
    expected = oracle(mabwiser.mab.LearningPolicy.ThompsonSampling(), chosen, values)
    draws = 4000
    picked = np.bincount([expected.predict() for _ in range(draws)], minlength=len(ARMS)) / draws
    assert policy.shares() == pytest.approx(picked, abs=4 * 0.5 / draws**0.5)


def test_continuous_rewards_have_the_posterior_of_the_normal_inverse_gamma_law():
    chosen, values = rewards("continuous")
    prior = declaration.Prior(mean=0.2, sd=0.5, strength=4)
    given = [policies.Batch.of(len(ARMS), chosen[:150], values[:150])]
    given.append(policies.Batch.of(len(ARMS), chosen[150:], values[150:]))
    policy = learnt(spec(declaration.Thompson(), "continuous", prior=prior), given)
    for arm in range(len(ARMS)):
        own = values[chosen == arm]
        kappa = 4 + len(own)
        mean = (4 * 0.2 + own.sum()) / kappa
        scatter = ((own - own.mean()) ** 2).sum()
        beta = 0.5 * (4 * 0.25 + scatter + 4 * len(own) * (own.mean() - 0.2) ** 2 / kappa)
        alpha = 1 + 0.5 * kappa
        found = policy.estimates()
        assert found["mean"][arm] == pytest.approx(mean, abs=1e-12)
        assert found["sd"][arm] == pytest.approx((beta / (kappa * (alpha - 1))) ** 0.5, rel=1e-12)


@pytest.mark.parametrize("kind", ["binary", "continuous"])
@pytest.mark.parametrize("forgetting", FORGETTING, ids=lambda each: each.name)
@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda each: each.name)
class TestEveryPolicy:
    def test_goes_on_from_a_snapshot_to_the_bit(self, algorithm, forgetting, kind):
        of_spec, given = spec(algorithm, kind, forgetting), batches(kind)
        whole = learnt(of_spec, given)
        before = learnt(of_spec, given[:7])
        restored = policies.restore(of_spec, ARMS, json.loads(json.dumps(before.snapshot())))
        assert restored.shares().tolist() == before.shares().tolist()
        for batch in given[7:]:
            restored.update(batch)
        assert json.dumps(restored.snapshot()) == json.dumps(whole.snapshot())
        assert restored.shares().tolist() == whole.shares().tolist()

    def test_keeps_the_floor_and_gives_all_traffic(self, algorithm, forgetting, kind):
        policy = policies.make(spec(algorithm, kind, forgetting, rate=0.2), ARMS)
        for batch in batches(kind, 4):
            policy.update(batch)
            assert policy.shares().sum() == pytest.approx(1)
            assert policy.shares().min() >= 0.05 - 1e-12

    def test_tries_what_was_never_tried(self, algorithm, forgetting, kind):
        policy = policies.make(spec(algorithm, kind, forgetting, rate=0.0), ARMS)
        assert policy.shares().tolist() == [0.25] * 4
        policy.update(policies.Batch.empty(4))
        assert policy.shares().tolist() == [0.25] * 4
        policy.update(policies.Batch.of(4, [0, 0, 1, 1], [1.0, 1.0, 0.0, 0.0]))
        assert policy.shares()[2:].tolist() == [0.25] * 2
        assert policy.shares().sum() == pytest.approx(1)

    def test_prefers_what_earns_more(self, algorithm, forgetting, kind):
        policy = learnt(spec(algorithm, kind, forgetting, rate=0.0), batches(kind))
        chosen = np.repeat(np.arange(4), 200)
        values = np.tile([0.0, 1.0], 400)
        values[chosen == 2] = 1.0
        policy.update(policies.Batch.of(4, chosen, values))
        assert policy.shares()[2] > 0.9

    def test_lanes_are_independent(self, algorithm, forgetting, kind):
        of_spec = spec(algorithm, kind, forgetting)
        lanes = policies.make(of_spec, ARMS, 2)
        first, second = batches(kind, 6), batches(kind, 12)[6:]
        for one, other in zip(first, second, strict=True):
            both = (
                np.stack([getattr(one, name), getattr(other, name)])
                for name in ("counts", "sums", "deviations")
            )
            lanes.update(policies.Batch(*both))
        assert lanes.shares()[0] == pytest.approx(learnt(of_spec, first).shares(), abs=1e-9)
        assert lanes.shares()[1] == pytest.approx(learnt(of_spec, second).shares(), abs=1e-9)


def test_what_was_learnt_long_ago_counts_less():
    old = policies.Batch.of(4, [0] * 50 + [1] * 50, [1.0] * 50 + [0.0] * 50)
    new = policies.Batch.of(4, [0] * 10 + [1] * 10, [0.0] * 10 + [1.0] * 10)
    keeping = learnt(spec(declaration.EpsilonGreedy()), [old, new, new])
    assert keeping.means()[0, 0] > keeping.means()[0, 1]
    discount = declaration.Discount(factor=0.3)
    forgetful = learnt(spec(declaration.EpsilonGreedy(), forgetting=discount), [old, new, new])
    assert forgetful.means()[0, 0] < forgetful.means()[0, 1]


def test_rewards_that_are_all_alike_leave_the_split_even():
    policy = learnt(
        spec(declaration.Thompson(), "continuous", declaration.ChangePoints()),
        [policies.Batch.of(4, [0, 1, 2, 3] * 5, [0.04] * 20)] * 3,
    )
    assert policy.shares() == pytest.approx([0.25] * 4, abs=1e-3)


def test_the_unit_of_the_rewards_does_not_matter():
    for forgetting in FORGETTING:
        found = []
        for unit, offset in ((1.0, 0.0), (1e-4, 0.0), (1e3, 5e5)):
            given = []
            for seed in range(6):
                chosen, values = rewards("continuous", 80, seed)
                given.append(policies.Batch.of(4, chosen, offset + unit * values))
            found.append(
                learnt(spec(declaration.Thompson(), "continuous", forgetting), given).shares()
            )
        assert found[1] == pytest.approx(found[0], abs=1e-6)
        assert found[2] == pytest.approx(found[0], abs=1e-5)


def test_binary_rewards_are_zero_or_one():
    policy = policies.make(spec(declaration.Thompson()), ARMS)
    with pytest.raises(ValueError, match="rewardKind continuous"):
        policy.update(policies.Batch.of(4, [0], [1.5]))
    assert policy.belief.state["seen"].sum() == 0


def test_arms_are_there_and_named_once():
    with pytest.raises(ValueError, match="no candidates"):
        policies.make(spec(declaration.Ucb1()), ())
    with pytest.raises(ValueError, match="named once"):
        policies.make(spec(declaration.Ucb1()), ("a", "a"))


def test_a_batch_of_other_arms_is_refused():
    policy = policies.make(spec(declaration.Ucb1()), ARMS)
    with pytest.raises(ValueError, match="shape"):
        policy.update(policies.Batch.empty(3))


def test_a_snapshot_of_something_else_is_refused():
    snapshot = policies.make(spec(declaration.Thompson()), ARMS).snapshot()
    with pytest.raises(policies.SnapshotError, match="arms"):
        policies.restore(spec(declaration.Thompson()), ("a", "b"), snapshot)
    with pytest.raises(policies.SnapshotError, match="algorithm"):
        policies.restore(spec(declaration.Ucb1()), ARMS, snapshot)
    with pytest.raises(policies.SnapshotError, match="spec changed"):
        policies.restore(
            spec(declaration.Thompson(), forgetting=declaration.ChangePoints()), ARMS, snapshot
        )
