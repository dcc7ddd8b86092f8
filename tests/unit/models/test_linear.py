import numpy as np
import pytest

from models import discovery, fitting, linear
from models.conservative import model as conservative
from models.robust import model as robust

NAMES = (
    "one",
    "two",
    "still",
    "return_1d",
    "return_5d",
    "shock_1d",
    "trend_60d",
    "market_tension",
    "log_variance_22d",
)


def sample(noise: float = 0.0, rows: int = 4000) -> fitting.Sample:
    random = np.random.default_rng(0)
    features = random.normal(3.0, 2.0, (rows, len(NAMES)))
    features[:, 2] = 5.0
    target = 0.5 + 2.0 * features[:, 0] - features[:, 1] + noise * random.standard_normal(rows)
    chance = 1 / (1 + np.exp(-(features[:, 3] - 3.0)))
    return fitting.Sample(
        feature_names=NAMES,
        features=features,
        history=np.zeros((rows, 60, 3)),
        log_volatility=target,
        rise=(random.random(rows) < chance).astype(float),
        regime=np.full(rows, "calm"),
    )


def test_least_squares_finds_the_line_that_made_the_targets() -> None:
    line = linear.fit(sample(), NAMES).lines.log_volatility
    assert line.coefficients[:2] == pytest.approx([2.0, -1.0], rel=0.03)
    assert line.coefficients[-1] == pytest.approx(0.0, abs=0.02)


def test_with_hardly_any_row_the_forecast_is_last_months_volatility() -> None:
    few = sample(rows=3)
    line = linear.fit(few, NAMES).lines.log_volatility
    assert line.coefficients[-1] == pytest.approx(0.5, abs=0.15)
    assert line.coefficients[:2] == pytest.approx([0.0, 0.0], abs=0.15)


def test_a_feature_that_never_moves_counts_nothing() -> None:
    assert linear.fit(sample(), NAMES).lines.log_volatility.coefficients[2] == 0.0


def test_huber_withstands_outliers_that_pull_least_squares_away() -> None:
    spoilt = sample(noise=0.1)
    spoilt.log_volatility[:200] += 50.0
    plain = linear.fit(spoilt, NAMES).lines.log_volatility(spoilt.features)
    withstood = linear.fit(spoilt, NAMES, reweight=robust.huber).lines.log_volatility(
        spoilt.features
    )
    errors = [np.abs(spoilt.log_volatility - found)[200:].mean() for found in (plain, withstood)]
    assert errors[0] > 1.0
    assert errors[1] < 0.2


def test_an_expectile_above_the_mean_leans_towards_more_risk() -> None:
    noisy = sample(noise=1.0)
    line = linear.fit(noisy, NAMES, reweight=conservative.asymmetric).lines.log_volatility
    errors = noisy.log_volatility - line(noisy.features)
    # The defining equation of an expectile: weighted errors cancel.
    assert (conservative.asymmetric(errors) * errors).mean() == pytest.approx(0.0, abs=1e-3)
    assert errors.mean() < -0.05


def test_direction_learns_what_there_is_and_is_shrunk_towards_the_base_rate() -> None:
    learnt = sample()
    chance = linear.fit(learnt, NAMES).estimate(learnt.features, learnt.history)[1]
    brier = ((chance - learnt.rise) ** 2).mean()
    assert brier < ((learnt.rise.mean() - learnt.rise) ** 2).mean() - 0.02
    steep = linear.direction(learnt, np.ones(4000)).coefficients[3]
    assert 0.1 < steep < 0.9


def test_one_row_is_forecast_like_many_to_the_last_bit() -> None:
    fitted = linear.fit(sample(), NAMES)
    features, history = sample().features, sample().history
    many = fitted.estimate(features, history)[0]
    one = [fitted.estimate(features[[row]], history[[row]])[0][0] for row in range(50)]
    assert one == many[:50].tolist()


def test_every_folder_with_a_model_is_found_and_those_that_combine_come_last() -> None:
    names = tuple(discovery.folders())
    assert set(names) == {
        "baseline",
        "enhanced",
        "transformer",
        "explainable",
        "ensemble",
        "robust",
        "aggressive",
        "conservative",
    }
    assert names[-1] == "ensemble"
    assert set(discovery.members("ensemble")) == set(names) - {"ensemble"}


def test_an_unknown_model_is_refused_with_the_known_ones() -> None:
    with pytest.raises(discovery.UnknownModelError, match=r"no model 'bogus'; models are .*robust"):
        discovery.select("baseline,bogus")
