"""A policy on history: nothing is learnt before it is known, and the same seed gives the same."""

import dataclasses
import json

import numpy as np
import pytest

from loadtests import bandit_replay, endpoints
from loadtests.benchmarks import bandit_history, benchmark
from models import sources, unseen
from runtimes.bandit import allocation, declaration, policies

ARMS = ("one", "two", "three")
FIXED = {"one": 60, "two": 30, "three": 10}
LAG = 5
ONCE = bandit_replay.Traffic(runs=1)


def market(count, seed=3, means=(0.01, 0.02, 0.03)):
    """Two symbols a day; what is true of all arms on a day is much larger than what differs."""
    random = np.random.default_rng(seed)
    date = np.repeat(np.datetime64("2020-01-01") + np.arange(count), 2)
    shock = 0.02 * random.standard_normal((2 * count, 1))
    utility = np.array(means) + shock
    return unseen.Unseen(ARMS, np.arange(2 * count), date, date + LAG, utility)


def spec(**given):
    return declaration.BanditPolicySpec(experiment="split", exploration_rate=0.06, **given)


def test_the_split_moves_to_the_arm_that_earns_and_keeps_the_floors():
    days = market(80)
    found = bandit_replay.replay(days, spec(), FIXED, bandit_replay.Traffic(runs=2))
    assert found.shares.shape == (81, 2, 3)
    assert np.allclose(found.shares.sum(axis=2), 1)
    assert np.allclose(found.shares[0], [0.6, 0.3, 0.1])
    assert (found.shares[1:] >= 0.02 - 1e-9).all()
    assert (found.shares[-1][:, 2] > 0.9).all()


def test_an_answer_is_learnt_when_it_is_known_and_not_before():
    days = market(60)
    later = days.utility.copy()
    begin = 60  # the row of the 31st day
    later[begin:, 2] -= 1.0
    other = dataclasses.replace(days, utility=later)
    one = bandit_replay.replay(days, spec(), FIXED, ONCE)
    two = bandit_replay.replay(other, spec(), FIXED, ONCE)
    same = [np.array_equal(a, b) for a, b in zip(one.shares, two.shares, strict=True)]
    first_known = int(np.flatnonzero(one.ends >= days.known[begin])[0]) + 1
    assert first_known == 30 + LAG + 1
    assert all(same[:first_known])
    assert not same[first_known]


def test_the_same_seed_gives_the_same_and_another_one_another_draw():
    days = market(30)
    one, again, other = (
        bandit_replay.replay(days, spec(), FIXED, bandit_replay.Traffic(runs=1, seed=seed))
        for seed in (1, 1, 2)
    )
    assert np.array_equal(one.earned, again.earned)
    assert np.array_equal(one.shares, again.shares)
    assert not np.array_equal(one.earned, other.earned)


def test_the_largest_step_holds_in_the_replay_too():
    found = bandit_replay.replay(market(40), spec(max_step=0.1), FIXED, ONCE)
    assert np.abs(np.diff(found.shares, axis=0)).max() <= 0.1 + 1e-3


def test_weights_are_those_that_the_controller_would_write():
    days = market(12)
    found = bandit_replay.replay(days, spec(max_step=0.2), FIXED, ONCE)
    policy = policies.make(spec(max_step=0.2), ARMS)
    previous = dict(FIXED)
    for epoch in range(LAG):  # nothing is known yet: what is expected follows from the spec alone
        policy.update(policies.Batch.empty(len(ARMS)))
        previous = allocation.allocate(
            dict(zip(ARMS, policy.shares(), strict=True)), previous, floor=0.02, max_step=0.2
        ).weights
        weights = np.array(list(previous.values())) / allocation.TOTAL
        assert np.allclose(found.shares[epoch + 1, 0], weights, atol=1e-12)


def test_a_policy_stands_beside_the_fixed_split_and_the_best_arm():
    days = market(80)
    told = []
    result = bandit_history.measured(
        days,
        FIXED,
        {"policy": spec()},
        bandit_replay.Traffic(runs=2),
        lambda *now: told.append(now),
    )
    found = result.document
    assert found["best_single"] == "three"
    policy = found["policies"]["policy"]
    fixed = float((days.utility @ [0.6, 0.3, 0.1]).mean())
    assert found["fixed"]["value"] == pytest.approx(fixed, rel=1e-5)
    gain = policy["gain_over_fixed"]
    assert gain["value"] == pytest.approx(policy["earned"]["value"] - fixed, rel=1e-3)
    assert 0 < gain["low"] < gain["value"] < gain["high"] < 0.02
    assert policy["gain_over_best_single"]["high"] < 0
    assert policy["runs_that_beat_fixed"] == 2
    assert told[-1][0] == 1.0
    json.dumps(found, allow_nan=False)
    assert any("three alone, the best" in row for row in result.tables[0].rows)


def test_arms_that_are_the_same_give_no_gain():
    result = bandit_history.measured(
        market(80, means=(0.02, 0.02, 0.02)),
        FIXED,
        {"policy": spec()},
        bandit_replay.Traffic(runs=2),
        lambda *_: None,
    )
    gain = result.document["policies"]["policy"]["gain_over_fixed"]
    assert gain["value"] == pytest.approx(0, abs=1e-12)


def test_models_that_are_not_trained_are_one_message(monkeypatch):
    def untrained(*_):
        raise sources.DataError("model 'baseline' is not trained")

    monkeypatch.setattr(unseen, "load", untrained)
    where = endpoints.Endpoints("", "", "", "")
    with pytest.raises(endpoints.LoadTestError, match="'baseline' is not trained"):
        bandit_history.run(benchmark.Context(where=where, progress=lambda *_: None))


def test_the_declared_policy_is_replayed_beside_simpler_ones():
    specs = bandit_history.policies()
    assert list(specs) == [bandit_history.CATALOGUE, "epsilon-greedy", "ucb1", "thompson"]
    rates = {each.exploration_rate for each in specs.values()}
    assert rates == {specs[bandit_history.CATALOGUE].exploration_rate}
