import numpy as np
import pytest
from scipy import stats

from runtimes.bandit import sample_ratio

WEIGHTS = {"a": 40, "b": 30, "c": 20, "d": 10}
SHARES = np.array([0.4, 0.3, 0.2, 0.1])


def drawn(count: int, seed: int, shares: np.ndarray = SHARES) -> dict[str, int]:
    counts = np.random.default_rng(seed).multinomial(count, shares)
    return dict(zip(WEIGHTS, counts.tolist(), strict=True))


@pytest.mark.parametrize("degrees", range(1, 12))
@pytest.mark.parametrize("statistic", [1e-6, 0.3, 1.0, 4.2, 17.0, 60.0, 400.0])
def test_the_tail_of_chi_squared_is_scipys(statistic: float, degrees: int) -> None:
    expected = stats.chi2.sf(statistic, degrees)
    assert sample_ratio.survival(statistic, degrees) == pytest.approx(expected, rel=1e-9)


def test_the_test_is_pearsons() -> None:
    observed = drawn(5000, 1)
    found = sample_ratio.check(observed, WEIGHTS)
    oracle = stats.chisquare(list(observed.values()), 5000 * SHARES)
    assert found.statistic == pytest.approx(oracle.statistic)
    assert found.p_value == pytest.approx(oracle.pvalue)
    assert found.degrees == 3


def test_alerts_of_traffic_that_splits_as_it_should_are_as_rare_as_was_asked_for() -> None:
    alerts = sum(
        sample_ratio.check(drawn(1000, seed), WEIGHTS, significance=0.01).alert
        for seed in range(3000)
    )
    assert 12 <= alerts <= 50  # 30 expected


def test_an_arm_that_loses_a_tenth_of_its_decisions_is_found_with_its_numbers() -> None:
    observed = drawn(20_000, 2)
    observed["a"] = round(0.9 * observed["a"])
    found = sample_ratio.check(observed, WEIGHTS)
    assert found.alert
    assert f"a {observed['a']} for {sum(observed.values()) * 0.4:.1f}" in found.reason


def test_few_decisions_are_not_judged() -> None:
    found = sample_ratio.check({"a": 0, "b": 4}, WEIGHTS)
    assert (found.alert, found.degrees, found.p_value) == (False, 0, 1.0)
    assert not sample_ratio.check({}, WEIGHTS).alert


def test_small_arms_are_judged_together() -> None:
    weights = {"a": 980, "b": 10, "c": 10}
    found = sample_ratio.check({"a": 392, "b": 4, "c": 4}, weights)
    assert (found.degrees, found.statistic) == (1, 0.0)
    assert sample_ratio.check({"a": 300, "b": 50, "c": 50}, weights).alert


def test_an_arm_without_weight_may_finish_what_was_on_its_way_and_no_more() -> None:
    weights = {"a": 5, "b": 5, "vetoed": 0}
    assert not sample_ratio.check({"a": 500, "b": 500, "vetoed": 4}, weights).alert
    found = sample_ratio.check({"a": 500, "b": 500, "vetoed": 40}, weights)
    assert found.alert
    assert "vetoed has no weight and decided 40" in found.reason
    assert sample_ratio.check({"a": 500, "b": 500, "unknown": 40}, weights).stray == {"unknown": 40}


def test_what_was_on_its_way_when_weights_changed_is_no_mismatch_and_more_of_it_is() -> None:
    before, weights = {"a": 5, "b": 5}, {"a": 95, "b": 5}
    observed = {"a": 9500 - 180, "b": 500 + 180}  # 4 % by the weights before
    assert sample_ratio.check(observed, weights).alert
    found = sample_ratio.check(observed, weights, before=before, carried=0.05)
    assert not found.alert
    assert found.p_value > 0.01
    assert sample_ratio.check(observed, weights, before=before, carried=0.01).alert
    assert sample_ratio.check({"a": 9000, "b": 1000}, weights, before=before, carried=0.05).alert
    gone = {"a": 990, "vetoed": 30}
    assert not sample_ratio.check(
        gone, {"a": 1, "vetoed": 0}, before={"a": 1, "vetoed": 1}, carried=0.1
    ).alert


@pytest.mark.parametrize("weights", [{}, {"a": 0}, {"a": -1, "b": 2}, {"a": float("nan")}])
def test_weights_that_split_nothing_are_refused(weights) -> None:
    with pytest.raises(ValueError, match="weights: expected numbers from 0"):
        sample_ratio.check({"a": 1}, weights)
