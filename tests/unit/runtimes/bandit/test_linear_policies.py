"""Contextual policies; MABWiser is the oracle."""

import json

import mabwiser.mab
import numpy as np
import pytest

from runtimes.bandit import declaration, policies

ARMS = ("a", "b", "c")
FEATURES = ("vix", "trend")
TRUE = np.array([[0.2, 1.0, 0.0], [0.5, 0.0, 0.0], [0.2, -1.0, 0.3]])
LINUCB = declaration.LinUcb(features=FEATURES, alpha=0.8, ridge=2.0, noise_sd=1.0)
THOMPSON = declaration.LinearThompson(features=FEATURES, scale=0.6, ridge=2.0, noise_sd=1.0)


def rows(count=300, seed=1):
    generator = np.random.default_rng(seed)
    contexts = generator.normal(size=(count, 2))
    chosen = generator.integers(0, 3, count)
    design = np.concatenate([np.ones((count, 1)), contexts], axis=1)
    values = (design * TRUE[chosen]).sum(axis=1) + generator.normal(0, 0.3, count)
    return contexts, design, chosen, values


def spec(algorithm, rate=0.0, **more):
    return declaration.BanditPolicySpec(
        experiment="e", algorithm=algorithm, exploration_rate=rate, **more
    )


def learnt(of_spec, count=300, seed=1):
    contexts, _, chosen, values = rows(count, seed)
    policy = policies.make(of_spec, ARMS)
    for part in np.array_split(np.arange(count), 4):
        policy.update(policies.Batch.of(3, chosen[part], values[part], contexts[part]))
    return policy


def oracle(learning, count=300):
    _, design, chosen, values = rows(count)
    mab = mabwiser.mab.MAB([0, 1, 2], learning, seed=3)
    mab.fit(chosen.tolist(), values.tolist(), contexts=design.tolist())
    return mab


def test_linucb_has_the_bounds_that_mabwiser_has():
    policy = learnt(spec(LINUCB))
    mab = oracle(mabwiser.mab.LearningPolicy.LinUCB(alpha=0.8, l2_lambda=2.0))
    for context in rows(20, 5)[1]:
        bounds = list(mab.predict_expectations([context.tolist()]).values())
        assert policy.bounds(context) == pytest.approx(bounds, abs=1e-9)
        assert policy.propensities(context[1:]).argmax() == mab.predict([context.tolist()])


def test_linear_thompsons_scores_spread_as_mabwisers_draws_do():
    policy = learnt(spec(THOMPSON), 60)
    mab = oracle(mabwiser.mab.LearningPolicy.LinTS(alpha=0.6, l2_lambda=2.0), 60)
    draws = 2000
    for context in ([1.0, 0.4, 0.1], [1.0, 0.1, -0.5]):
        mean, sd = policy.scores(np.array(context))
        drawn = [list(each.values()) for each in mab.predict_expectations([context] * draws)]
        assert mean == pytest.approx(np.mean(drawn, axis=0), abs=5 * sd.max() * draws**-0.5)
        assert 0.6 * sd == pytest.approx(np.std(drawn, axis=0), rel=0.1)


def test_linear_thompson_chooses_as_often_as_an_arms_draw_is_the_largest():
    policy = learnt(spec(THOMPSON), 60)
    draws = 20_000
    for context in ([1.0, 0.4, 0.1], [1.0, 0.1, -0.5]):
        mean, sd = policy.scores(np.array(context))
        values = np.random.default_rng(4).normal(mean, 0.6 * sd, (draws, 3))
        picked = np.bincount(values.argmax(axis=1), minlength=3) / draws
        assert policy.propensities(np.array(context[1:])) == pytest.approx(picked, abs=0.015)


@pytest.mark.parametrize("algorithm", [LINUCB, THOMPSON], ids=lambda each: each.name)
class TestEveryPolicy:
    def test_chooses_by_its_propensities(self, algorithm):
        policy = learnt(spec(algorithm, rate=0.3))
        generator = np.random.default_rng(2)
        context = np.array([0.3, 0.2])
        chance = policy.propensities(context)
        assert chance.sum() == pytest.approx(1)
        assert chance.min() >= 0.1 - 1e-12
        picked = [policy.choose(context, generator) for _ in range(1000)]
        for arm, expected in zip(ARMS, chance, strict=True):
            share = sum(1 for chosen, _ in picked if chosen == arm) / len(picked)
            assert share == pytest.approx(expected, abs=0.065)

    def test_follows_the_context(self, algorithm):
        policy = learnt(spec(algorithm, rate=0.03))
        best = [policy.propensities(np.array([vix, 0.0])).argmax() for vix in (2.0, 0.0, -2.0)]
        assert best == [0, 1, 2]

    def test_goes_on_from_a_snapshot_to_the_bit(self, algorithm):
        of_spec = spec(algorithm, forgetting=declaration.Discount(factor=0.9))
        policy = learnt(of_spec)
        restored = policies.restore(of_spec, ARMS, json.loads(json.dumps(policy.snapshot())))
        contexts, _, chosen, values = rows(50, 9)
        for each in (policy, restored):
            each.update(policies.Batch.of(3, chosen, values, contexts))
        assert json.dumps(restored.snapshot()) == json.dumps(policy.snapshot())
        at = np.array([0.1, 0.2])
        assert restored.propensities(at).tolist() == policy.propensities(at).tolist()
        assert restored.shares().tolist() == policy.shares().tolist()

    def test_tries_what_was_never_tried(self, algorithm):
        policy = policies.make(spec(algorithm), ARMS)
        at = np.array([0.1, 0.2])
        assert policy.propensities(at).tolist() == [1 / 3] * 3
        policy.update(policies.Batch.of(3, [0, 1], [1.0, 0.0], [[0, 0], [0, 0]]))
        assert policy.propensities(at)[2] == pytest.approx(1 / 3)

    def test_a_context_of_another_shape_is_refused(self, algorithm):
        policy = policies.make(spec(algorithm), ARMS)
        for bad in ([1.0], [1.0, np.nan]):
            with pytest.raises(ValueError, match="vix, trend"):
                policy.propensities(np.array(bad))
        with pytest.raises(ValueError, match="2 columns"):
            policy.update(policies.Batch.of(3, [0], [1.0], [[1.0]]))
        with pytest.raises(ValueError, match="with their contexts"):
            policy.update(policies.Batch.of(3, [0], [1.0]))


def test_shares_are_the_mean_propensities_of_the_epochs_contexts():
    policy = learnt(spec(LINUCB))
    contexts = np.array([[2.0, 0.0], [2.0, 0.1], [-2.0, 0.0], [0.0, 0.0]])
    policy.update(policies.Batch.of(3, [0, 0, 2, 1], [2.2, 2.2, 2.2, 0.5], contexts))
    assert policy.shares() == pytest.approx([0.5, 0.25, 0.25])
    policy.update(policies.Batch.empty(3))
    assert policy.shares() == pytest.approx([0.5, 0.25, 0.25])


def test_the_noise_is_estimated_where_it_is_not_declared():
    free = declaration.LinUcb(features=FEATURES, ridge=1e-6)
    policy = learnt(spec(free), 3000)
    assert policy._noise == pytest.approx(0.3, rel=0.05)
