"""The recursion against all histories of changes, enumerated one by one."""

import itertools
import math

import numpy as np
import pytest

from runtimes.bandit import declaration, policies
from runtimes.bandit.policies import change_points

JOINT, ALONE = 0.1, 0.05
EPOCHS, ARMS = 4, 2
COUNTS = np.array([[10, 3], [8, 0], [5, 6], [12, 4]], dtype=float)
SUMS = np.array([[9, 1], [7, 0], [1, 5], [2, 1]], dtype=float)


def log_beta(a, b):
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def evidence(arm, first, last):
    n, s = COUNTS[first:last, arm].sum(), SUMS[first:last, arm].sum()
    return math.exp(log_beta(1 + s, 1 + n - s) - log_beta(1, 1))


def enumerated():
    """Weight of each last change's epoch for each arm, over all histories."""
    weights = np.zeros((ARMS, EPOCHS))
    for joint in itertools.product([0, 1], repeat=EPOCHS - 1):
        for alone in itertools.product(itertools.product([0, 1], repeat=EPOCHS - 1), repeat=ARMS):
            weight = math.prod(JOINT if j else 1 - JOINT for j in joint)
            lasts = []
            for arm in range(ARMS):
                begin = 0
                for epoch in range(1, EPOCHS):
                    if joint[epoch - 1]:
                        # all change: that this arm changes alone as well says nothing more
                        weight *= 0.5
                    else:
                        weight *= ALONE if alone[arm][epoch - 1] else 1 - ALONE
                    if joint[epoch - 1] or alone[arm][epoch - 1]:
                        weight *= evidence(arm, begin, epoch)
                        begin = epoch
                weight *= evidence(arm, begin, EPOCHS)
                lasts.append(begin)
            for arm, last in enumerate(lasts):
                weights[arm, last] += weight
    return weights / weights.sum(axis=1, keepdims=True)


def spec(**rule):
    return declaration.BanditPolicySpec(
        experiment="e",
        reward_kind="binary",
        forgetting=declaration.ChangePoints(
            joint_hazard=JOINT, arm_hazard=ARMS * ALONE, near=0.0, **rule
        ),
    )


def batch(counts, sums):
    return policies.Batch(counts, sums, sums - sums**2 / np.maximum(counts, 1))


def learnt(**rule):
    policy = policies.make(spec(**rule), ("a", "b"))
    for counts, sums in zip(COUNTS, SUMS, strict=True):
        policy.update(batch(counts, sums))
    return policy


def test_it_weighs_every_history_of_changes():
    belief = learnt().belief
    weights = belief.mixture_weights()[0]
    starts = belief.state["start"][0]
    found = np.stack([weights[:, starts == epoch].sum(axis=1) for epoch in range(EPOCHS)], axis=1)
    assert found == pytest.approx(enumerated(), abs=1e-12)


def test_starts_that_are_merged_keep_their_weight_and_the_first_sums():
    belief = learnt(run_starts=3).belief
    assert belief.mixture_weights().sum(axis=2) == pytest.approx(np.ones((1, 2)))
    assert belief.state["worlds"].sum() == pytest.approx(1)
    assert (belief.state["start"] >= 0).all()
    kept = belief.state["start"][0].astype(int)
    for place, start in enumerate(kept):
        assert belief.state["sums"][0, 0, :, place].tolist() == COUNTS[start:].sum(axis=0).tolist()


def one_arm_falls(means_after, epochs=40):
    policy = policies.make(
        spec().model_copy(update={"exploration_rate": 0.1}), ("a", "b", "c", "d")
    )
    generator = np.random.default_rng(3)
    shares = []
    for epoch in range(epochs):
        means = np.array([0.5, 0.52, 0.54, 0.75] if epoch < epochs // 2 else means_after)
        counts = generator.multinomial(100, policy.shares())
        sums = generator.binomial(counts, means).astype(float)
        policy.update(batch(counts.astype(float), sums))
        shares.append(policy.shares())
    return np.array(shares)


def test_an_arm_that_falls_loses_its_traffic_within_a_few_epochs():
    shares = one_arm_falls([0.5, 0.52, 0.54, 0.3])
    assert shares[19, 3] > 0.7
    assert shares[24, 3] < 0.2


def test_an_arm_that_rises_where_it_has_little_traffic_is_found():
    shares = one_arm_falls([0.95, 0.52, 0.54, 0.75])
    assert shares[19, 0] < 0.1
    assert shares[-1, 0] > 0.85


def test_a_large_jump_leaves_no_number_behind_that_is_none():
    policy = policies.make(spec(), ("a", "b"))
    many = np.array([1e6, 1e6])
    for sums in ([1e6, 0.0], [0.0, 1e6], [1e6, 0.0]):
        policy.update(batch(many, np.array(sums)))
        assert np.isfinite(policy.shares()).all()
        assert policy.shares()[0] == pytest.approx(0.95 if sums[0] else 0.05, abs=0.01)
    assert isinstance(policy.belief, change_points.ChangePoints)
