"""Attributions add up to what the model says, and are Shapley values."""

import itertools
import math

import numpy as np
import pytest
import shap

from runtimes.explainer import attribution, bundle, gradients, permutations, shap_values

SAMPLING = permutations.Sampling(orders=4, references=8, seed=3)
EXACT = ("line", "trees")
NETWORKS = ("lstm", "transformer")


def one(rows, at):
    features, history = rows
    return features[at : at + 1], history[at : at + 1]


@pytest.mark.parametrize("kind", EXACT)
def test_contributions_of_lines_and_trees_add_up_to_the_output_on_every_day(
    kind, models, rows, source
):
    attributor = attribution.of(models[kind].estimator, source.background, SAMPLING)
    forecast = models[kind].forecast(*rows)
    for at in range(len(rows[0])):
        found = attributor.attribute(*one(rows, at))
        total = found.base + found.contributions.sum()
        assert total == pytest.approx(math.log(forecast.volatility[at]), rel=1e-6, abs=1e-9)
        assert found.completeness_error < 1e-12
        assert found.sampling_error == 0


@pytest.mark.parametrize("kind", EXACT)
def test_the_shap_library_gives_the_same_values_for_lines_and_trees(kind, models, rows, source):
    estimator = models[kind].estimator
    attributor = attribution.of(estimator, source.background, SAMPLING)
    for at in range(0, len(rows[0]), 40):
        features, history = one(rows, at)
        oracle = shap_values.attribute(
            estimator, shap_values.Row(features, history, source.background, SAMPLING)
        )
        found = attributor.attribute(features, history)
        np.testing.assert_allclose(found.contributions, oracle.contributions, rtol=1e-9, atol=1e-12)
        assert found.base == pytest.approx(oracle.base, rel=1e-9)


def test_a_line_s_base_is_its_mean_over_the_background(models, source):
    line = models["line"].estimator
    attributor = attribution.of(line, source.background, SAMPLING)
    forecasts, _ = line.estimate(source.background.features, source.background.history)
    assert attributor.base == pytest.approx(forecasts.mean(), rel=1e-12)


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_network_s_sampled_contributions_add_up_whatever_was_sampled(kind, models, rows, source):
    estimator = models[kind].estimator
    for seed in (1, 2):
        sampling = permutations.Sampling(orders=2, references=4, seed=seed)
        attributor = attribution.of(estimator, source.background, sampling)
        for at in (0, 200, 500):
            found = attributor.attribute(*one(rows, at))
            assert found.completeness_error < 1e-9
            assert found.output == estimator.estimate(*one(rows, at))[0][0]


@pytest.mark.parametrize("kind", NETWORKS)
def test_sampling_more_comes_nearer_to_kernel_shap(kind, models, rows, source):
    estimator = models[kind].estimator
    features, history = one(rows, 300)
    many = permutations.Sampling(orders=40, references=8, seed=1)
    oracle = shap_values.attribute(
        estimator, shap_values.Row(features, history, source.background, many)
    )
    errors = []
    for orders in (2, 40):
        sampling = permutations.Sampling(orders=orders, references=8, seed=1)
        attributor = attribution.of(estimator, source.background, sampling)
        found = attributor.attribute(features, history)
        errors.append(np.abs(found.contributions - oracle.contributions).sum())
    assert found.base == pytest.approx(oracle.base, abs=1e-6)
    assert errors[1] < errors[0]
    assert errors[1] < 0.05 * np.abs(oracle.contributions).sum()
    assert found.sampling_error < 0.05 * np.abs(oracle.contributions).sum()


class Interacting:
    """Pairs of features multiply: what antithetic orders have to get exactly right."""

    def estimate(self, features, history):
        paired = features[:, 0] * features[:, 1] + 2 * features[:, 2] - features[:, 1]
        return paired + history[:, :, 0].sum(axis=1) * features[:, 0], np.zeros(len(features))


def test_the_game_gives_the_shapley_values_of_their_definition():
    random = np.random.default_rng(5)
    background = bundle.Background(
        features=random.normal(size=(6, 3)), history=random.normal(size=(6, 4, 1)), digest=""
    )
    row = (random.normal(size=(1, 3)), random.normal(size=(1, 4, 1)))
    sampling = permutations.Sampling(orders=2, references=6, seed=1)
    game = permutations.Game.over(Interacting(), background, sampling)
    found = game.play(*row)

    groups = 4
    subsets = np.array(list(itertools.product([False, True], repeat=groups)))
    worth = permutations.coalition_values(
        Interacting(), subsets, row, (background.features, background.history)
    )
    value = {tuple(subset): float(each) for subset, each in zip(subsets, worth, strict=True)}
    for group in range(groups):
        expected = 0.0
        for subset, without in value.items():
            if subset[group]:
                continue
            joined = tuple(inside or at == group for at, inside in enumerate(subset))
            size = sum(subset)
            weight = math.factorial(size) * math.factorial(groups - size - 1)
            expected += weight / math.factorial(groups) * (value[joined] - without)
        assert found.mean[group] == pytest.approx(expected, abs=1e-12)
    # Pairs alone interact: every order and its reverse say the same.
    assert found.error.max() < 1e-12


def test_an_ensemble_s_contributions_are_its_members_weighted(models, rows, source):
    features, history = one(rows, 100)
    ensemble = models["ensemble"].estimator
    found = attribution.of(ensemble, source.background, SAMPLING).attribute(features, history)
    expected = sum(
        member.volatility_weight
        * attribution.of(member.estimator, source.background, SAMPLING)
        .attribute(features, history)
        .contributions
        for member in ensemble.members
    )
    np.testing.assert_allclose(found.contributions, expected, rtol=1e-12)
    assert found.completeness_error < 1e-9
    assert math.exp(found.output) == models["ensemble"].forecast(features, history).volatility[0]


@pytest.mark.parametrize("kind", NETWORKS)
def test_integrated_gradients_add_up_to_a_thousandth(kind, models, rows, source):
    for at in range(0, len(rows[0]), 60):
        found = gradients.attribute(models[kind].estimator, source.background, *one(rows, at))
        assert found.completeness_error <= 1e-3


def test_integrated_gradients_of_a_line_are_its_shapley_values(models, rows, source):
    features, history = one(rows, 77)
    line = models["line"].estimator
    found = gradients.attribute(line, source.background, features, history)
    exact = attribution.of(line, source.background, SAMPLING).attribute(features, history)
    np.testing.assert_allclose(found.contributions, exact.contributions, rtol=1e-9, atol=1e-12)


def test_integrated_gradients_of_a_square_are_the_integral(source):
    class Square:
        def estimate(self, features, history):
            return features[:, 0] ** 2 + features[:, 1] ** 3, np.zeros(len(features))

    features, history = source.background.features[:1], source.background.history[:1]
    found = gradients.attribute(Square(), source.background, features, history)
    mean = source.background.mean
    assert found.contributions[0] == pytest.approx(features[0, 0] ** 2 - mean[0] ** 2, abs=1e-9)
    assert found.contributions[1] == pytest.approx(features[0, 1] ** 3 - mean[1] ** 3, abs=1e-6)
    np.testing.assert_allclose(found.contributions[2:], 0, atol=1e-12)


@pytest.mark.parametrize("kind", ["trees", "ensemble"])
def test_trees_have_no_gradient_and_say_so(kind, models, rows, source):
    with pytest.raises(gradients.NoGradientError, match="ask for method shap"):
        gradients.attribute(models[kind].estimator, source.background, *one(rows, 0))


def test_the_library_s_own_check_is_on(models, rows, source, monkeypatch):
    seen = []
    original = shap.TreeExplainer.shap_values

    def spy(self, *arguments, **named):
        seen.append(named.get("check_additivity", True))
        return original(self, *arguments, **named)

    monkeypatch.setattr(shap.TreeExplainer, "shap_values", spy)
    row = shap_values.Row(*one(rows, 0), source.background, SAMPLING)
    shap_values.attribute(models["trees"].estimator, row)
    assert seen == [True]


def test_a_row_far_from_the_background_is_less_typical(source):
    background = source.background
    usual = background.mean[None]
    assert background.typicality(usual) == 1.0
    far = usual + 10 * background.deviation
    assert background.typicality(far) == pytest.approx(background.reach / 10)
