"""Policies judged by records whose truth is known: made here, as the arms and the controller do."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from runtimes.bandit import declaration
from runtimes.bandit.controller.messages import Message
from runtimes.bandit.judging import joined, replaying, splits, verdict
from runtimes.contract import bandits

ARMS = ("a", "b", "c")
MEANS = np.array([0.3, 0.5, 0.6])
MINUTE = 60_000


def allocation(epoch: int, weights: Sequence[int], previous: Sequence[int], **more: Any) -> Any:
    return bandits.Allocation(
        **{
            "experiment": "e",
            "policy": "p",
            "epoch": epoch,
            "time": float(epoch * 60),
            "weights": dict(zip(ARMS, weights, strict=True)),
            "previous": dict(zip(ARMS, previous, strict=True)),
            "applied": True,
            "mode": "active",
            "offsets": bandits.Consumed(decisions=(0, 0), rewards=(0, 0)),
            "spec_digest": "s",
            "state_digest": "t",
            **more,
        }
    )


def decision(number: int, time: int, arm: str, **more: Any) -> Message:
    record = bandits.Decision(
        **{
            "id": f"d{number}",
            "time": time / 1000,
            "experiment": "e",
            "arm": arm,
            "context": None,
            "propensity": None,
            **more,
        }
    )
    return Message(number, time, record.encode())


def reward(number: int, time: int, value: float, metric: str = "m") -> Message:
    record = bandits.Reward(
        prediction_id=f"d{number}", metric=metric, value=value, time=time / 1000
    )
    return Message(number, time, record.encode())


def spec(**more: Any) -> declaration.BanditPolicySpec:
    return declaration.parse_spec(
        {
            "experiment": "e",
            "rewardMetric": "m",
            "rewardKind": "binary",
            "updateFrequency": "1m",
            **more,
        }
    )


def traffic(
    split: Sequence[int], count: int, seed: int, means: np.ndarray = MEANS
) -> tuple[list[Message], list[Message]]:
    """A fixed split, 100 decisions a minute, each rewarded 10 s later."""
    generator = np.random.default_rng(seed)
    arms = generator.choice(3, size=count, p=np.array(split) / sum(split))
    values = (generator.random(count) < means[arms]).astype(float)
    times = np.arange(count) * 600
    decisions = [decision(n, int(times[n]), ARMS[arms[n]]) for n in range(count)]
    rewards = [reward(n, int(times[n]) + 10_000, values[n]) for n in range(count)]
    return decisions, rewards


def together(
    decisions: list[Message], rewards: list[Message], known: splits.Splits
) -> joined.Joined:
    return joined.join(decisions, rewards, known, experiment="e", metric="m", limit_ms=60 * MINUTE)


def fixed(split: Sequence[int]) -> splits.Splits:
    return splits.of([(0, allocation(0, split, split))], "e")


# How traffic was split


def test_weights_act_from_their_record_on_and_what_was_before_is_what_it_found() -> None:
    found = splits.of(
        [
            (1000, allocation(0, [40, 30, 30], [40, 30, 30])),
            (2000, allocation(1, [80, 10, 10], [40, 30, 30])),
        ],
        "e",
    )
    times = np.array([0, 999, 1999, 2000, 9999])
    assert found.shares[found.at(times)][:, 0].tolist() == [0.4, 0.4, 0.4, 0.8, 0.8]
    assert found.known.all()


def test_weights_that_were_not_applied_or_were_corrected_never_acted() -> None:
    begins = (1000, allocation(0, [40, 30, 30], [40, 30, 30]))
    shadow = (2000, allocation(1, [80, 10, 10], [40, 30, 30], applied=False, mode="shadow"))
    failed = (3000, allocation(2, [90, 5, 5], [40, 30, 30]))
    corrects = (4000, allocation(2, [90, 5, 5], [40, 30, 30], details={"corrects": 2}))
    later = (4001, allocation(3, [50, 25, 25], [40, 30, 30]))
    found = splits.of([begins, shadow, failed, corrects, later], "e")
    assert found.shares[found.at(np.array([2500, 3500, 5000]))][:, 0].tolist() == [0.4, 0.4, 0.5]
    assert found.known.all()


def test_when_somebody_else_changed_the_weights_is_not_known() -> None:
    records = [
        (1000, allocation(0, [40, 30, 30], [40, 30, 30])),
        (2000, allocation(1, [80, 10, 10], [10, 10, 80])),
    ]
    found = splits.of(records, "e")
    assert found.known[found.at(np.array([500, 1500, 2500]))].tolist() == [True, False, True]


def test_other_experiments_are_not_looked_at_and_none_is_said() -> None:
    with pytest.raises(LookupError, match="nothing is known of how 'other' split its traffic"):
        splits.of([(0, allocation(0, [1, 1, 1], [1, 1, 1]))], "other")


# What decisions were worth


def test_the_first_decision_and_the_first_reward_in_time_count() -> None:
    decisions = [
        decision(0, 0, "a"),
        Message(1, 1, decision(0, 0, "b").value),  # the same id again
        decision(2, 2000, "b"),
        decision(3, 3000, "c"),
        decision(4, 4000, "unknown"),
        decision(5, 5000, "a", experiment="other"),
        decision(6, 6000, "a"),
        Message(7, 7000, b"nonsense"),
    ]
    rewards = [
        reward(0, 500, 1.0),
        reward(0, 600, 9.0),
        reward(2, 700, 5.0, metric="other"),
        reward(2, 800, 0.0),  # before its decision: it counts all the same
        reward(3, 3000 + 61 * MINUTE, 1.0),  # late
        reward(99, 0, 1.0),  # of no decision
        Message(8, 8000, None),
    ]
    found = together(decisions, rewards, fixed([50, 25, 25]))
    assert found.arms.tolist() == [0, 1]
    assert found.rewards.tolist() == [1.0, 0.0]
    assert found.propensities.tolist() == [0.5, 0.25]
    assert found.left_out == {
        "malformed": 2,
        "unknown arm": 1,
        "not rewarded": 1,
        "late": 1,
        "split not known": 0,
        "no propensity": 0,
    }


def test_a_decision_s_own_propensity_goes_before_the_splits() -> None:
    decisions = [decision(0, 0, "a", propensity=0.125), decision(1, 1, "c")]
    found = together(decisions, [reward(0, 2, 1.0), reward(1, 2, 1.0)], fixed([1, 1, 0]))
    assert found.propensities.tolist() == [0.125]
    assert found.left_out["no propensity"] == 1


def test_contexts_are_what_all_of_them_have() -> None:
    decisions = [
        decision(0, 0, "a", context={"x": 1.0, "y": 2.0}),
        decision(1, 1, "a", context={"x": 3.0}),
        decision(2, 2, "a"),
    ]
    found = together(decisions, [reward(n, 5, 1.0) for n in range(3)], fixed([1, 1, 1]))
    assert found.features == ("x",)
    assert np.array_equal(found.contexts, [[1.0], [3.0], [np.nan]], equal_nan=True)


# What another policy would have done


def test_a_policy_is_given_the_rewards_that_had_come_before_each_epoch() -> None:
    decisions, rewards = traffic([40, 30, 30], 3000, 1)
    known = fixed([40, 30, 30])
    found = together(decisions, rewards, known)
    target = replaying.targets(spec(algorithm={"name": "epsilon-greedy"}), found, known)
    assert target[:100] == pytest.approx(np.tile([0.4, 0.3, 0.3], (100, 1)))
    assert np.abs(target.sum(axis=1) - 1).max() < 1e-12
    assert (target >= 0.1 / 3 - 1e-4).all()
    # Rewards of the last minute are known to nobody within it.
    changed = [*rewards[:-1], reward(2999, rewards[-1].time, 1000.0)]
    again = together(decisions, changed, known)
    continuous = spec(rewardKind="continuous", algorithm={"name": "epsilon-greedy"})
    assert (
        replaying.targets(continuous, found, known) == replaying.targets(continuous, again, known)
    ).all()


def test_vetoes_minimum_rewards_and_the_largest_step_hold_as_they_would_have() -> None:
    decisions, rewards = traffic([40, 30, 30], 1000, 2)
    vetoed = splits.of(
        [
            (0, allocation(0, [40, 30, 30], [40, 30, 30])),
            (
                5 * MINUTE,
                allocation(
                    5,
                    [40, 30, 30],
                    [40, 30, 30],
                    vetoes=(bandits.Veto(arm="c", reason="errors"),),
                ),
            ),
        ],
        "e",
    )
    found = together(decisions, rewards, vetoed)
    stepwise = replaying.targets(
        spec(maxStep=0.05, guardrails={"minimumRewards": 150}), found, vetoed
    )
    minutes = stepwise[::100]
    assert minutes[:2] == pytest.approx(np.tile([0.4, 0.3, 0.3], (2, 1)))
    assert np.abs(np.diff(minutes[:5], axis=0)).max() <= 0.05 + 1e-6
    assert minutes[4, 2] > 0
    assert minutes[6, 2] == 0


def test_rewards_that_the_policy_cannot_learn_are_told() -> None:
    decisions, rewards = traffic([1, 1, 1], 300, 3)
    known = fixed([1, 1, 1])
    rewards[5] = reward(5, rewards[5].time, 3.5e6)
    found = together(decisions, rewards, known)
    with pytest.raises(replaying.Unusable, match="declare rewardKind continuous"):
        replaying.targets(spec(), found, known)
    contextual = spec(
        rewardKind="continuous", algorithm={"name": "linucb", "features": ["volatility"]}
    )
    with pytest.raises(replaying.Unusable, match="feature 'volatility' is not in the decisions"):
        replaying.targets(contextual, found, known)


def test_a_contextual_policy_is_judged_by_each_decision_s_context() -> None:
    generator = np.random.default_rng(5)
    count = 1500
    arms = generator.integers(3, size=count)
    x = generator.normal(size=count)
    values = np.where(arms == 0, x, np.where(arms == 1, -x, 0.0)) + generator.normal(size=count)
    decisions = [
        decision(n, n * 600, ARMS[arms[n]], context={"x": float(x[n])}) for n in range(count)
    ]
    rewards = [reward(n, n * 600 + 1000, float(values[n])) for n in range(count)]
    known = fixed([1, 1, 1])
    found = together(decisions, rewards, known)
    contextual = spec(rewardKind="continuous", algorithm={"name": "linucb", "features": ["x"]})
    target = replaying.targets(contextual, found, known)
    late = slice(500, None)
    assert target[late][x[late] > 0.5][:, 0].mean() > 0.8
    assert target[late][x[late] < -0.5][:, 1].mean() > 0.8
    assert verdict.judge(found, target).passes


# Whether it may act


def judged(
    split: Sequence[int], policy: declaration.BanditPolicySpec, seed: int, **more: Any
) -> Any:
    decisions, rewards = traffic(split, 6000, seed, **more)
    known = fixed(split)
    found = together(decisions, rewards, known)
    return verdict.judge(found, replaying.targets(policy, found, known))


def test_a_policy_that_goes_to_the_best_arm_passes_beside_a_split_that_does_not() -> None:
    found = judged([60, 30, 10], spec(explorationRate=0.04), 7)
    assert found.passes, found.reason
    assert found.difference.lower > 0
    # What it gives to the best arm it would have earned: nearly 0.6, beside 0.39.
    estimate = found.candidate.estimates["dr"]
    assert 0.55 < estimate.value < 0.62
    assert found.current.estimates["dr"].value == pytest.approx(0.39, abs=0.03)
    assert found.candidate.effective_sample_size < 6000 / 2


def test_an_even_split_does_not_pass_beside_one_that_has_found_the_best_arm() -> None:
    found = judged([2, 4, 94], spec(explorationRate=1.0), 8)
    assert not found.passes
    assert "is below the current one's" in found.reason


def test_what_was_hardly_tried_is_not_believed() -> None:
    decisions, rewards = traffic([5990, 5, 5], 3000, 9)
    known = fixed([5990, 5, 5])
    found = together(decisions, rewards, known)
    target = np.tile([0.0, 0.5, 0.5], (len(found.arms), 1))
    judgement = verdict.judge(found, target)
    assert not judgement.passes
    assert "was hardly tried" in judgement.reason


def test_a_verdict_is_the_same_each_time() -> None:
    one, two = (judged([1, 1, 1], spec(), 4) for _ in range(2))
    assert one == two


def test_an_epoch_is_as_long_as_the_policy_says() -> None:
    decisions, rewards = traffic([1, 1, 1], 1200, 6)
    known = fixed([1, 1, 1])
    found = together(decisions, rewards, known)
    target = replaying.targets(spec(updateFrequency="4m"), found, known)
    changes = np.flatnonzero(np.abs(np.diff(target, axis=0)).sum(axis=1) > 0) + 1
    assert {int(found.times[place]) % (4 * MINUTE) for place in changes} == {0}
    assert spec(updateFrequency="4m").update_frequency == dt.timedelta(minutes=4)
