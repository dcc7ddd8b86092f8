"""The choice by a contextual policy's state: propensities, cold start, draws, the record."""

import collections
import json
import math
import uuid
from typing import Any

import numpy as np
import pytest

from runtimes.contract import bandits, linear_choice

ARMS = ("robust", "aggressive", "conservative", "baseline")
FEATURES = ("size", "trend")
HERE = {"size": 0.4, "trend": -0.7, "not looked at": 5.0}


def record(
    rewards: tuple[int, ...] = (200, 200, 200, 200),
    coefficients: Any = ((0.3, 0.2, 0.1), (0.3, -0.2, 0.4), (0.2, 0.1, -0.3), (0.35, 0.0, 0.0)),
    **more: Any,
) -> linear_choice.Record:
    """A state whose arms have had so many rewards, at contexts spread around 0."""
    random, inverses = np.random.default_rng(5), []
    for count in rewards:
        design = np.column_stack([np.ones(count), random.normal(size=(count, 2))])
        inverses.append(np.linalg.inv(np.eye(3) + design.T @ design))
    said: dict[str, Any] = {
        "experiment": "regime-router",
        "policy": "by-context",
        "epoch": 7,
        "time": 1.5e9,
        "mode": "active",
        "algorithm": "linear-thompson",
        "width": 1.0,
        "exploration": 0.1,
        "minimum": 20.0,
        "ridge": 1.0,
        "noise": 0.5,
        "arms": ARMS,
        "features": FEATURES,
        "intercept": True,
        "coefficients": tuple(map(tuple, coefficients)),
        "inverses": tuple(tuple(map(tuple, each.tolist())) for each in inverses),
    }
    return linear_choice.Record(**said | more)


def laws(state: linear_choice.Record) -> tuple[np.ndarray, np.ndarray]:
    """Each arm's mean and spread at `HERE`, from their formulas."""
    design = np.array([1.0, HERE["size"], HERE["trend"]])
    inverses = np.array(state.inverses)
    return (
        np.array(state.coefficients) @ design,
        state.width * state.noise * np.sqrt([design @ each @ design for each in inverses]),
    )


def test_thompsons_propensities_are_the_chances_that_draws_have() -> None:
    state = record()
    choice = linear_choice.Chooser(state).choose(HERE, "baseline", 0.5)
    means, spreads = laws(state)
    draws = means + spreads * np.random.default_rng(1).normal(size=(200_000, 4))
    best = np.bincount(draws.argmax(axis=1), minlength=4) / len(draws)
    assert max(best) < 0.95, "or nothing is compared"
    found = np.array([choice.propensities[arm] for arm in ARMS])
    np.testing.assert_allclose(found, 0.025 + 0.9 * best, atol=0.02)
    assert found.sum() == pytest.approx(1, abs=1e-12)
    assert choice.unknown == ()


def test_linucb_takes_the_largest_bound_beyond_the_floor() -> None:
    state = record(algorithm="linucb", width=2.0)
    means, bounds = laws(state)
    best = ARMS[int((means + bounds).argmax())]
    choice = linear_choice.Chooser(state).choose(HERE, "robust", 0.5)
    assert choice.arm == best
    expected = {arm: 0.925 if arm == best else 0.025 for arm in ARMS}
    assert choice.propensities == pytest.approx(expected)


def test_until_every_arm_has_enough_rewards_the_fallback_leads_and_others_share_the_rest() -> None:
    choice = linear_choice.Chooser(record((200, 200, 0, 10))).choose(HERE, "aggressive", 0.5)
    assert choice.unknown == ("conservative", "baseline")
    assert choice.propensities == pytest.approx(
        {"robust": 0.1 / 3, "aggressive": 0.9, "conservative": 0.1 / 3, "baseline": 0.1 / 3}
    )


@pytest.mark.parametrize(("rewards", "known"), [(19, False), (20, True)])
def test_rewards_that_came_in_this_very_context_are_counted_one_by_one(
    rewards: int, *, known: bool
) -> None:
    design = np.array([1.0, HERE["size"], HERE["trend"]])
    inverse = np.linalg.inv(3 * np.eye(3) + rewards * np.outer(design, design))
    rows = tuple(map(tuple, inverse.tolist()))
    state = record(inverses=(rows,) * 4, ridge=3.0, minimum=20.0 - 1e-6)
    assert bool(linear_choice.Chooser(state).choose(HERE, "robust", 0.5).unknown) is not known


def test_far_from_where_rewards_came_an_arm_is_unknown() -> None:
    chooser = linear_choice.Chooser(record())
    assert not chooser.choose(HERE, "robust", 0.5).unknown
    assert chooser.choose({"size": 40.0, "trend": 40.0}, "robust", 0.5).unknown == ARMS


def test_arms_are_taken_as_often_as_their_propensities_say() -> None:
    chooser = linear_choice.Chooser(record())
    counts: collections.Counter[str] = collections.Counter()
    for number in range(20_000):
        draw = linear_choice.draw("regime-router", f"request-{number}")
        choice = chooser.choose(HERE, "robust", draw)
        counts[choice.arm] += 1
    for arm, propensity in choice.propensities.items():
        error = math.sqrt(propensity * (1 - propensity) / 20_000)
        assert counts[arm] / 20_000 == pytest.approx(propensity, abs=4.5 * error), arm


def test_a_request_that_comes_again_is_drawn_as_before_and_another_experiment_differs() -> None:
    identity = str(uuid.UUID(int=77))
    assert linear_choice.draw("one", identity) == linear_choice.draw("one", identity)
    assert linear_choice.draw("one", identity) != linear_choice.draw("other", identity)
    draws = [linear_choice.draw("one", str(number)) for number in range(10_000)]
    assert 0 <= min(draws) < max(draws) < 1
    counts = np.histogram(draws, bins=20, range=(0, 1))[0]
    assert ((counts - 500) ** 2 / 500).sum() < 43.8, "χ² with 19 degrees of freedom, 0.1 %"


def test_without_exploration_the_fallback_is_certain_and_the_last_edge_belongs_to_an_arm() -> None:
    chooser = linear_choice.Chooser(record((0, 0, 0, 0), exploration=0.0))
    for draw in (0.0, 0.5, 1 - 2**-53):
        choice = chooser.choose(HERE, "conservative", draw)
        assert (choice.arm, choice.propensity) == ("conservative", 1.0)
    whole = linear_choice.Chooser(record())
    assert whole.choose(HERE, "robust", 1 - 2**-53).propensity > 0


def test_arms_without_any_spread_still_have_propensities() -> None:
    chance = linear_choice.chances(np.array([1.0, 2.0, 2.0]), np.zeros(3))
    np.testing.assert_allclose(chance, [0, 0.5, 0.5], atol=1e-6)
    far = linear_choice.chances(np.array([1e9, -1e9]), np.array([1.0, 1.0]))
    np.testing.assert_allclose(far, [1, 0], atol=1e-12)


def test_a_context_that_lacks_a_feature_says_so() -> None:
    with pytest.raises(linear_choice.UnknownContextError, match=r"looks at 'trend'.*it has size"):
        linear_choice.Chooser(record()).choose({"size": 1.0}, "robust", 0.5)


def test_a_record_comes_back_to_the_bit() -> None:
    state = record()
    assert linear_choice.Record.decode(state.encode()) == state


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"exploration": 1.5}, "exploration"),
        ({"mode": "frozen"}, "mode"),
        ({"ridge": 0.0}, "ridge"),
        ({"noise": None}, "noise"),
        ({"arms": ["robust"]}, r"coefficients \[1, 3\] and inverses \[1, 3, 3\] are due"),
        ({"arms": []}, "at least one is due"),
        ({"arms": ["robust", "robust", "a", "b"]}, "each once"),
        ({"features": ["size"]}, r"coefficients \[4, 2\]"),
        ({"coefficients": [[1.0], [1.0, 2.0], [1.0], [1.0]]}, "ragged"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_record_that_does_not_fit_together_is_refused(change: dict[str, Any], words: str) -> None:
    document = json.loads(record().encode()) | change
    with pytest.raises(bandits.InvalidRecord, match=words):
        linear_choice.Record.decode(json.dumps(document).encode())
