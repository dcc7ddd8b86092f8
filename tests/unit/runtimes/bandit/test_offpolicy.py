import math

import numpy as np
import pytest

from runtimes.bandit import offpolicy, reward_model

MEANS = np.array([0.2, 0.5, 0.8])
LOGGING = np.array([0.6, 0.3, 0.1])
TARGET = np.array([0.1, 0.2, 0.7])
TRUTH = float(TARGET @ MEANS)


def logged(rows: int, seed: int, predicted: np.ndarray | None = None) -> offpolicy.Log:
    generator = np.random.default_rng(seed)
    arms = generator.choice(3, size=rows, p=LOGGING)
    rewards = (generator.random(rows) < MEANS[arms]).astype(float)
    return offpolicy.Log(
        arms,
        rewards,
        LOGGING[arms],
        np.tile(TARGET, (rows, 1)),
        None if predicted is None else np.tile(predicted, (rows, 1)),
    )


def small() -> offpolicy.Log:
    return offpolicy.Log(
        arms=np.array([0, 1, 1]),
        rewards=np.array([1.0, 0.0, 2.0]),
        propensities=np.array([0.5, 0.25, 0.5]),
        target=np.array([[0.25, 0.75], [0.5, 0.5], [1.0, 0.0]]),
        predicted=np.array([[1.0, 0.5], [0.0, 1.0], [2.0, 1.0]]),
    )


def test_the_estimators_are_their_formulas() -> None:
    # weights 0.5, 2, 0; direct 0.625, 0.5, 2; residuals 0, -1, 1
    values = {name: each.value for name, each in offpolicy.evaluate(small()).estimates.items()}
    direct = (0.625 + 0.5 + 2) / 3
    assert values == pytest.approx(
        {
            "ips": 0.5 / 3,
            "snips": 0.5 / 2.5,
            "dm": direct,
            "dr": direct - 2 / 3,
            "sndr": direct - 2 / 2.5,
        }
    )


def test_the_effective_sample_size_and_the_weights_are_told() -> None:
    found = offpolicy.evaluate(small(), clip=1.5)
    assert (found.rows, found.clipped, found.largest_weight, found.clip) == (3, 1, 2.0, 1.5)
    assert found.effective_sample_size == pytest.approx((0.5 + 1.5) ** 2 / (0.25 + 2.25))
    assert found.estimates["snips"].value == pytest.approx(0.5 / 2.0)


def test_without_predictions_there_are_two_estimators() -> None:
    assert set(offpolicy.evaluate(logged(50, 1)).estimates) == {"ips", "snips"}


def test_with_the_logging_policy_as_target_ips_is_the_mean_reward() -> None:
    log = logged(1000, 3)
    same = offpolicy.Log(log.arms, log.rewards, log.propensities, np.tile(LOGGING, (1000, 1)))
    found = offpolicy.evaluate(same)
    assert found.estimates["ips"].value == pytest.approx(log.rewards.mean(), rel=1e-12)
    assert found.effective_sample_size == pytest.approx(1000)
    error = log.rewards.std(ddof=1) / math.sqrt(1000)
    assert found.estimates["ips"].standard_error == pytest.approx(error)


@pytest.mark.parametrize(("interval", "runs"), [("normal", 400), ("bootstrap", 60)])
def test_intervals_hold_the_true_value_as_often_as_they_say(interval, runs) -> None:
    held = dict.fromkeys(("ips", "snips", "dr", "sndr"), 0)
    for seed in range(runs):
        log = logged(400, seed, predicted=np.array([0.3, 0.4, 0.6]))  # wrong on purpose
        found = offpolicy.evaluate(log, level=0.9, interval=interval, resamples=200)
        for name in held:
            estimate = found.estimates[name]
            held[name] += estimate.lower <= TRUTH <= estimate.upper
    far = 3.3 * math.sqrt(0.9 * 0.1 / runs)  # a binomial share's: once in a thousand
    assert all(abs(count / runs - 0.9) <= far for count in held.values()), held


def test_doubly_robust_is_right_where_the_prediction_is_wrong_and_the_direct_method_is_not() -> (
    None
):
    log = logged(40_000, 5, predicted=np.array([0.9, 0.1, 0.1]))
    found = offpolicy.evaluate(log).estimates
    for name in ("dr", "sndr", "ips", "snips"):
        assert abs(found[name].value - TRUTH) < 4 * found[name].standard_error
    assert abs(found["dm"].value - TRUTH) > 0.3


def test_a_good_prediction_makes_the_interval_shorter() -> None:
    log = logged(4000, 6, predicted=MEANS)
    found = offpolicy.evaluate(log).estimates
    assert found["dr"].standard_error < 0.7 * found["ips"].standard_error


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"arms": np.array([], dtype=int)}, "the log is empty"),
        ({"arms": np.array([0, 1, 2])}, r"arms: expected columns of target, 0\.\.1"),
        ({"arms": np.array([0, -1, 1])}, "arms"),
        ({"rewards": np.array([1.0, math.nan, 0.0])}, r"rewards: .* got nan at \[1\]"),
        ({"rewards": np.array([1.0])}, r"rewards: expected shape \(3,\), got \(1,\)"),
        ({"propensities": np.array([0.5, 0.0, 0.5])}, "propensities"),
        ({"propensities": np.array([0.5, 1.5, 0.5])}, "propensities"),
        ({"target": np.array([[0.5, 0.6]] * 3)}, "add up to 1"),
        ({"target": np.array([[1.5, -0.5]] * 3)}, "add up to 1"),
        ({"target": np.array([0.5, 0.5, 0.0])}, "target: expected shape"),
        ({"predicted": np.zeros((3, 3))}, "predicted: expected shape"),
    ],
)
def test_a_log_that_nothing_can_be_estimated_from_is_refused(changes, told) -> None:
    good = {name: getattr(small(), name) for name in offpolicy.Log.__dataclass_fields__}
    with pytest.raises(offpolicy.Unusable, match=told):
        offpolicy.Log(**{**good, **changes})


def test_a_target_that_never_does_what_was_done_is_refused() -> None:
    log = offpolicy.Log(np.array([0]), np.ones(1), np.ones(1), np.array([[0.0, 1.0]]))
    with pytest.raises(offpolicy.Unusable, match="no overlap"):
        offpolicy.evaluate(log)


def test_a_row_is_predicted_without_its_own_reward() -> None:
    generator = np.random.default_rng(1)
    contexts = generator.normal(size=(60, 2))
    arms = generator.integers(2, size=60)
    rewards = generator.normal(size=60)
    before = reward_model.cross_fitted(arms, rewards, 2, contexts)
    for row in range(0, 60, 7):
        changed = rewards.copy()
        changed[row] += 100
        after = reward_model.cross_fitted(arms, changed, 2, contexts)
        assert (after[row] == before[row]).all()
        assert (after != before).any()


def test_a_curve_over_the_context_is_learnt_and_a_row_without_context_gets_the_mean() -> None:
    generator = np.random.default_rng(2)
    contexts = generator.uniform(-2, 2, size=(3000, 1)) * 1e-3 + 5.0
    arms = generator.integers(2, size=3000)
    curve = np.column_stack([np.sin(2e3 * (contexts[:, 0] - 5)), np.zeros(3000)])
    rewards = curve[np.arange(3000), arms] + 0.1 * generator.normal(size=3000)
    contexts[:10] = math.nan
    predicted = reward_model.cross_fitted(arms, rewards, 2, contexts)
    assert np.abs(predicted[10:] - curve[10:]).mean() < 0.02
    assert np.abs(predicted[:10, 0] - rewards[arms == 0].mean()).max() < 0.05


def test_without_contexts_an_arm_is_predicted_by_its_mean_and_an_unseen_one_by_all() -> None:
    arms = np.array([0, 0, 0, 1, 1, 1] * 20)
    rewards = np.where(arms == 0, 1.0, 3.0)
    predicted = reward_model.cross_fitted(arms, rewards, 3, None)
    assert (predicted[:, 0] == 1.0).all()
    assert (predicted[:, 1] == 3.0).all()
    assert predicted[:, 2] == pytest.approx(2.0, abs=0.2)
    assert reward_model.cross_fitted(np.array([0]), np.array([2.0]), 2) == pytest.approx(2.0)
