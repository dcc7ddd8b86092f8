"""The statistic equals scipy's; a verdict says which features drifted, in which window."""

import numpy as np
import pytest
import scipy.stats
import usual_days

from runtimes.guard import windows


def test_the_statistic_is_kolmogorovs_and_smirnovs():
    random = np.random.default_rng(3)
    past, days = random.standard_normal((400, 3)), random.standard_normal((60, 3))
    days += np.array([0.0, 0.5, 2.0])
    reference = windows.Reference.of(past, most=400)
    found = windows.statistics(reference.ranks(days))
    expected = [scipy.stats.ks_2samp(past[:, f], days[:, f]).statistic for f in range(3)]
    assert found == pytest.approx(expected, abs=1e-12)


def test_the_statistic_is_right_for_values_that_repeat():
    random = np.random.default_rng(4)
    past, days = random.integers(0, 4, (300, 2)) / 1.0, random.integers(1, 6, (50, 2)) / 1.0
    days[:, 1] = 2.0
    found = windows.statistics(windows.Reference.of(past, most=300).ranks(days))
    expected = [scipy.stats.ks_2samp(past[:, f], days[:, f]).statistic for f in range(2)]
    assert found == pytest.approx(expected, abs=1e-12)


def test_many_windows_at_once_are_as_each_alone():
    random = np.random.default_rng(5)
    reference = windows.Reference.of(random.standard_normal((200, 2)), most=200)
    ranks = np.stack([reference.ranks(random.standard_normal((30, 2))) for _ in range(4)], axis=1)
    alone = [windows.statistics(ranks[:, each]) for each in range(4)]
    assert np.array_equal(windows.statistics(ranks), np.array(alone))


def test_a_thinned_reference_keeps_the_distribution():
    past = np.random.default_rng(6).standard_normal((5000, 1))
    whole = windows.Reference.of(past, most=5000)
    thin = windows.Reference.of(past, most=500)
    assert thin.samples.shape == (1, 500)
    assert thin.samples[0, 0] == past.min()
    assert thin.samples[0, -1] == past.max()
    at = np.linspace(-2, 2, 41)[:, None]
    assert np.abs(whole.ranks(at) - thin.ranks(at)).max() < 1 / 400
    assert np.array_equal(whole.mean, thin.mean)


def ranks_of(*shifts: float, days: int = usual_days.LONGEST) -> windows.Array:
    """Days that lie at the past's own quantiles, each feature shifted by so many deviations."""
    past = usual_days.history("AAA")
    quantiles = (np.arange(days) + 0.5) / days
    values = np.quantile(past, quantiles, axis=0)
    random = np.random.default_rng(7)
    values = np.stack([random.permutation(column) for column in values.T], axis=1)
    values += np.array(shifts) * usual_days.SPREAD["AAA"]
    return usual_days.world().references["AAA"].ranks(values)


def test_days_like_the_past_have_not_drifted():
    verdict = usual_days.world().limits.judge(ranks_of(0, 0, 0, 0))
    assert verdict is not None
    assert verdict.score == 0.0
    assert not verdict.drifted.any()


def test_the_features_that_moved_are_the_ones_that_drifted():
    verdict = usual_days.world().limits.judge(ranks_of(0, 3, 0, -3))
    assert verdict is not None
    assert verdict.drifted.tolist() == [False, True, False, True]
    assert (verdict.statistic > verdict.critical).tolist() == [False, True, False, True]
    assert verdict.score == pytest.approx(0.5 + 0.5 / 3)


def test_the_score_is_half_at_the_border_and_one_for_all():
    limits = usual_days.world().limits
    assert [limits.score(drifted, 4) for drifted in range(5)] == pytest.approx(
        [0.0, 0.5, 0.5 + 0.5 / 3, 0.5 + 1 / 3, 1.0]
    )


def test_a_border_of_none_makes_one_feature_an_alarm():
    limits = windows.Limits(sizes=(5,), critical=np.full((1, 4), 0.5), border=0)
    assert limits.score(0, 4) == 0.0
    assert limits.score(1, 4) > 0.5


def test_too_few_days_have_no_verdict():
    limits = usual_days.world().limits
    assert limits.judge(ranks_of(5, 5, 5, 5)[:, :9]) is None
    short = limits.judge(ranks_of(5, 5, 5, 5)[:, :10])
    assert short is not None
    assert short.days.tolist() == [10, 10, 10, 10]
    assert short.score == 1.0


def test_history_too_short_to_calibrate_gives_no_verdict():
    limits = windows.Limits(sizes=(), critical=np.empty((0, 4)), border=1)
    assert limits.longest == 0
    assert limits.judge(ranks_of(0, 0, 0, 0)) is None
