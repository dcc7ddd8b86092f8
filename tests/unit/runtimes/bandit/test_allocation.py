import itertools

import numpy as np
import pytest

from runtimes.bandit import allocation

SHARES = {"a": 0.7, "b": 0.2, "c": 0.06, "d": 0.04}


def test_shares_become_weights_in_hundredths_of_a_per_cent():
    found = allocation.allocate(SHARES)
    assert found.weights == {"a": 7000, "b": 2000, "c": 600, "d": 400}
    assert found.limited == ()


def test_the_largest_remainders_are_rounded_up():
    third = {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}
    assert allocation.allocate(third).weights == {"a": 3334, "b": 3333, "c": 3333}
    uneven = {"a": 0.50002, "b": 0.29996, "c": 0.20002}
    assert allocation.allocate(uneven).weights == {"a": 5000, "b": 3000, "c": 2000}


def test_a_vetoed_arm_has_nothing_at_once_and_the_others_what_it_had():
    found = allocation.allocate(
        SHARES, {"a": 70, "b": 20, "c": 6, "d": 4}, floor=0.025, max_step=0.1, vetoed={"a"}
    )
    assert found.weights["a"] == 0
    assert sum(found.weights.values()) == 10_000
    assert min(w for arm, w in found.weights.items() if arm != "a") >= 250


def test_a_healed_arm_has_its_floor_at_once():
    found = allocation.allocate(
        SHARES | {"d": 0.025}, {"a": 97, "b": 2, "c": 1, "d": 0}, floor=0.025, max_step=0.01
    )
    assert found.weights["d"] >= 250


def test_no_weight_moves_further_than_the_largest_step():
    found = allocation.allocate(SHARES, {"a": 10, "b": 20, "c": 30, "d": 40}, max_step=0.15)
    before = {"a": 1000, "b": 2000, "c": 3000, "d": 4000}
    assert all(abs(found.weights[arm] - before[arm]) <= 1500 for arm in before)
    assert found.weights["a"] == 2500
    assert "a" in found.limited
    assert sum(found.weights.values()) == 10_000


def test_steps_lead_to_what_is_wanted():
    weights = {"a": 0, "b": 0, "c": 0, "d": 10}
    for _ in range(10):
        weights = allocation.allocate(SHARES, weights, max_step=0.1).weights
    assert weights == {"a": 7000, "b": 2000, "c": 600, "d": 400}


def test_any_shares_and_limits_keep_every_rule():
    generator = np.random.default_rng(1)
    for arms, step in itertools.product((1, 2, 5, 40), (0.01, 0.2, 1.0)):
        for _ in range(25):
            names = [f"arm-{n}" for n in range(arms)]
            shares = dict(zip(names, generator.dirichlet(np.full(arms, 0.2)), strict=True))
            before = dict(zip(names, generator.integers(0, 50, arms).tolist(), strict=True))
            vetoed = {name for name in names[1:] if generator.random() < 0.2}
            floor = generator.random() / arms
            found = allocation.allocate(shares, before, floor=floor, max_step=step, vetoed=vetoed)
            assert sum(found.weights.values()) == 10_000
            for name, weight in found.weights.items():
                if name in vetoed:
                    assert weight == 0
                else:
                    assert weight >= floor * 10_000 - 1


def test_weights_of_an_experiment_that_had_none_are_no_limit():
    found = allocation.allocate(SHARES, {"a": 0, "b": 0, "c": 0, "d": 0}, max_step=0.01)
    assert found.weights["a"] == 7000


@pytest.mark.parametrize(
    ("shares", "more", "why"),
    [
        ({}, {}, "no candidates"),
        (SHARES, {"vetoed": {"e"}}, "no arm is called e"),
        (SHARES, {"vetoed": set(SHARES)}, "every arm is vetoed"),
        (SHARES, {"floor": 0.3}, "adds up to 1.2"),
        (SHARES, {"floor": -0.1}, "adds up to -0.4"),
        (SHARES | {"a": float("nan")}, {}, "finite"),
        (SHARES | {"a": -1.0}, {}, "not negative"),
        (SHARES, {"previous": {"a": -1}}, "never negative"),
    ],
)
def test_what_cannot_be_weights_is_refused(shares, more, why):
    with pytest.raises(allocation.AllocationError, match=why):
        allocation.allocate(shares, **more)
