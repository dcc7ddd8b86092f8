import json

import numpy as np
import pytest

from infra.catalogue import bandits
from runtimes.bandit import declaration, notation
from runtimes.bandit.simulation import environment, trial, world

STATIONARY = {
    "arms": ["a", "b", "c", "d"],
    "horizon": 2000,
    "batch": 100,
    "repetitions": 4,
    "seed": 1,
    "reward": "bernoulli",
    "phases": [{"from": 0, "means": [0.50, 0.52, 0.54, 0.57]}],
    # quick: what is simulated here is the simulation
    "policy": {"algorithm": {"name": "thompson"}, "forgetting": {"name": "none"}},
}


def run(**change):
    return trial.run(environment.parse(STATIONARY | change), bandits.FINANCIAL_MAB.spec)


def refused(**change):
    with pytest.raises(notation.ManifestError) as error:
        trial.spec_of(environment.parse(STATIONARY | change), bandits.FINANCIAL_MAB.spec)
    (problem,) = error.value.problems
    return problem


def test_fixed_splits_lose_what_arithmetic_says():
    found = run()
    assert found["fixed"].mean == pytest.approx(2000 * (0.4 * 0.07 + 0.3 * 0.05 + 0.2 * 0.03))
    assert found["uniform"].mean == pytest.approx(2000 * 0.25 * (0.07 + 0.05 + 0.03))
    assert found["fixed"].se == pytest.approx(0)


def test_who_learns_loses_less_than_an_even_split_and_the_oracle_least():
    phases = [
        {"from": 0, "means": [0.2, 0.3, 0.4, 0.6]},
        {"from": 1000, "means": [0.6, 0.4, 0.3, 0.2]},
    ]
    found = run(phases=phases)
    for name in ("policy", "epsilon-greedy", "ucb1", "thompson", "oracle"):
        assert found[name].mean < found["uniform"].mean, name
    assert min(found, key=lambda name: found[name].mean) == "oracle"


def test_all_who_learn_keep_the_policys_floor():
    exploring = run(policy=STATIONARY["policy"] | {"explorationRate": 1.0})
    for name in ("policy", "epsilon-greedy", "ucb1", "thompson", "oracle"):
        assert exploring[name].mean == pytest.approx(exploring["uniform"].mean), name


def test_the_same_seed_gives_the_same_numbers_and_another_one_others():
    first, again, other = run(), run(), run(seed=2)
    assert {n: r.mean for n, r in first.items()} == {n: r.mean for n, r in again.items()}
    assert first["policy"].mean != other["policy"].mean


def test_rewards_that_come_later_are_learnt_later():
    phases = [{"from": 0, "means": [0.2, 0.2, 0.2, 0.6]}]
    found = run(delay=5, horizon=1000, phases=phases)
    even = 100 * 0.75 * 0.4
    # weights for the seventh batch are the first that know anything
    assert np.diff(found["thompson"].curve, prepend=0)[:6] == pytest.approx([even] * 6)
    assert found["thompson"].curve[6] < 6.5 * even


def test_a_phase_may_begin_within_a_batch_and_the_last_batch_be_short():
    phases = [{"from": 0, "means": [0, 1, 1, 1]}, {"from": 30, "means": [1, 0, 1, 1]}]
    found = run(phases=phases, horizon=130)
    assert found["uniform"].curve == pytest.approx([25.0, 32.5])
    # of 100 requests 30 lose 0.4 each, 100 lose 0.3
    assert found["fixed"].curve == pytest.approx([30 * 0.4 + 70 * 0.3, 30 * 0.4 + 100 * 0.3])


def test_drift_moves_means_by_its_standard_deviation_and_within_bounds():
    given = environment.parse(STATIONARY | {"drift": 0.1, "repetitions": 300, "horizon": 6000})
    place = world.World(given)
    steps = np.diff([next(place.stretches(n)).means for n in (0, 1)], axis=0)
    assert np.std(steps) == pytest.approx(0.1, rel=0.1)
    late = next(place.stretches(59)).means
    assert late.min() >= 0
    assert late.max() <= 1
    assert np.std(late) > 0.2


def test_normal_rewards_have_their_means_and_standard_deviations():
    phases = [{"from": 0, "means": [1.0, -2.0], "sd": [0.5, 3.0]}]
    given = environment.parse(
        STATIONARY | {"arms": ["a", "b"], "reward": "normal", "phases": phases, "repetitions": 400}
    )
    place = world.World(given)
    shares = np.full((400, 2), 0.5)
    batch = world.draw(np.random.default_rng(1), list(place.stretches(0)), shares, "normal")
    counts = batch.counts.sum(axis=0)
    assert batch.sums.sum(axis=0) / counts == pytest.approx([1.0, -2.0], abs=0.1)
    assert batch.deviations.sum(axis=0) / (counts - 400) == pytest.approx([0.25, 9.0], rel=0.05)
    found = run(arms=["a", "b"], reward="normal", phases=phases)
    assert found["policy"].mean < 0.5 * found["uniform"].mean


def test_what_a_policy_leaves_out_is_as_in_the_catalogue():
    given = environment.parse(STATIONARY | {"policy": {"explorationRate": 0.04}})
    spec = trial.spec_of(given, bandits.FINANCIAL_MAB.spec)
    assert spec == bandits.FINANCIAL_MAB.spec.model_copy(
        update={"exploration_rate": 0.04, "reward_kind": "binary"}
    )
    given = environment.parse(STATIONARY | {"policy": {"algorithm": {"power": 2}}})
    spec = trial.spec_of(given, bandits.FINANCIAL_MAB.spec)
    assert spec.algorithm == declaration.Thompson(power=2)
    assert spec.forgetting == bandits.FINANCIAL_MAB.spec.forgetting
    other = environment.parse(STATIONARY | {"policy": {"algorithm": {"name": "ucb1"}}})
    assert trial.spec_of(other, bandits.FINANCIAL_MAB.spec).algorithm == declaration.Ucb1()


@pytest.mark.parametrize(
    ("change", "path", "why"),
    [
        ({"horizn": 1}, "horizn", 'did you mean "horizon"'),
        ({"policy": {"explorationRat": 1}}, "policy.explorationRat", "explorationRate"),
        ({"policy": {"explorationRate": 2}}, "policy.explorationRate", "add up to 2"),
        ({"phases": []}, "phases", "at least 1"),
        ({"phases": [{"from": 5, "means": [0.5] * 4}]}, "phases", "from 0"),
        ({"phases": [{"from": 0, "means": [0.5] * 3}]}, "phases[0].means", "3 values for 4"),
        ({"phases": [{"from": 0, "means": [1.5] * 4}]}, "phases[0].means", "0 to 1"),
        ({"phases": [{"from": 0, "mean": 1, "means": [0.5] * 4}]}, "phases[0].mean", "means"),
        ({"arms": []}, "arms", "at least 1"),
        ({"batch": 0}, "batch", "greater than or equal to 1"),
        ({"delay": 20}, "delay", "none would be learnt"),
        ({"delay": -1}, "delay", "greater than or equal to 0"),
        ({"reward": "normal", "policy": {"rewardKind": "binary"}}, "policy.rewardKind", "normal"),
        (
            {
                "policy": {
                    "algorithm": {"name": "linucb", "features": ["x"]},
                    "forgetting": {"name": "none"},
                }
            },
            "policy.algorithm",
            "context",
        ),
    ],
)
def test_an_environment_that_makes_no_sense_is_refused(change, path, why):
    problem = refused(**change)
    assert problem.path == path
    assert why in problem.message


def test_the_catalogues_policy_learns_and_lives_with_a_change():
    phases = [
        {"from": 0, "means": [0.3, 0.4, 0.5, 0.6]},
        {"from": 1500, "means": [0.6, 0.5, 0.4, 0.3]},
    ]
    found = run(horizon=3000, policy={}, phases=phases)
    assert found["policy"].mean < 0.75 * found["thompson"].mean
    assert found["policy"].mean < 0.75 * found["ucb1"].mean
    json.dumps(found["policy"].mean)
