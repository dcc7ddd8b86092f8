import dataclasses

import numpy as np
import pytest

from models import dataset, evaluation, procedure, regimes, scoring, sources, walkforward

SINGLES = ("baseline", "robust", "conservative")
YEARS = (2020, 2021)


@pytest.fixture(scope="session")
def walks(market: dataset.Dataset) -> dict[str, walkforward.Walk]:
    singles = {name: walkforward.walk(name, market, YEARS, seed=1) for name in SINGLES}
    return {**singles, "ensemble": walkforward.walk_over("ensemble", market, singles, seed=1)}


def test_changing_the_future_changes_no_walk_forward_forecast(market: dataset.Dataset) -> None:
    day = np.datetime64("2021-06-01", "D")
    later = market.date > day
    unknown = ~(market.known <= day)
    changed = dataclasses.replace(
        market,
        features=np.where(later[:, None], market.features * 3 + 1, market.features),
        log_volatility=np.where(unknown, market.log_volatility + 5, market.log_volatility),
        rise=np.where(unknown, 1 - market.rise, market.rise),
    )
    for name in SINGLES:
        before, after = (walkforward.walk(name, data, YEARS, seed=1) for data in (market, changed))
        for year, other in zip(before, after, strict=True):
            past = market.date[year.forecasts.rows] <= day
            assert past.any()
            assert year.interval == other.interval
            for field in ("log_volatility", "direction"):
                np.testing.assert_array_equal(
                    getattr(year.forecasts, field)[past], getattr(other.forecasts, field)[past]
                )


def test_changing_the_past_does_change_the_forecasts(market: dataset.Dataset) -> None:
    early = market.known < np.datetime64("2019-10-01", "D")
    changed = dataclasses.replace(
        market, log_volatility=np.where(early, market.log_volatility + 5, market.log_volatility)
    )
    before, after = (
        walkforward.walk("baseline", data, YEARS[:1], seed=1)[0] for data in (market, changed)
    )
    assert not np.allclose(before.forecasts.log_volatility, after.forecasts.log_volatility)


def test_targets_that_reach_into_the_embargo_are_not_fitted_on(market: dataset.Dataset) -> None:
    start = walkforward.start(2020)
    rows = procedure.known_before(market, start)
    assert market.known[rows].max() < start - np.timedelta64(7, "D")
    assert market.known[rows].max() >= start - np.timedelta64(12, "D")


def test_a_first_fit_sees_nothing_of_the_days_held_out(market: dataset.Dataset) -> None:
    older, newer = procedure.split(market, procedure.known_before(market, None))
    assert market.known[older].max() < market.date[newer].min() - np.timedelta64(7, "D")


def test_every_model_forecasts_the_same_days_each_once(
    market: dataset.Dataset, walks: dict[str, walkforward.Walk]
) -> None:
    for walk in walks.values():
        for year in walk:
            np.testing.assert_array_equal(
                year.forecasts.rows, walkforward.rows_of(market, year.year)
            )
            assert len(set(year.forecasts.rows.tolist())) == len(year.forecasts.rows)
            assert not set(year.past.rows.tolist()) & set(year.forecasts.rows.tolist())


def test_an_ensemble_forecasts_between_its_members(walks: dict[str, walkforward.Walk]) -> None:
    members = np.stack([walks[name][0].forecasts.log_volatility for name in SINGLES])
    combined = walks["ensemble"][0].forecasts.log_volatility
    assert (combined >= members.min(axis=0) - 1e-9).all()
    assert (combined <= members.max(axis=0) + 1e-9).all()


def test_measures_are_those_of_a_computation_by_hand(market: dataset.Dataset) -> None:
    rows = procedure.known_before(market, None)[:500]
    ledger = scoring.naive(market, walkforward.FEATURE_NAMES, rows, base_rate=0.5)
    means = scoring.measures(scoring.losses(market, ledger).matrix().mean(axis=0))
    realised = np.exp(2 * market.log_volatility[rows])
    forecast = np.exp(2 * ledger.log_volatility)
    ratio = realised / forecast
    assert means == pytest.approx(
        [
            np.sqrt(np.mean((np.log(realised) / 2 - np.log(forecast) / 2) ** 2)),
            np.mean(ratio - np.log(ratio) - 1),
            0.25,
            np.mean(0.08 * np.sqrt(ratio) - 0.04 * ratio),
        ]
    )


def test_a_perfect_forecast_has_no_loss_and_a_utility_of_four_per_cent(
    market: dataset.Dataset,
) -> None:
    rows = procedure.known_before(market, None)
    ledger = scoring.naive(market, walkforward.FEATURE_NAMES, rows, base_rate=0.5)
    perfect = dataclasses.replace(
        ledger, log_volatility=market.log_volatility[rows], direction=market.rise[rows]
    )
    means = scoring.measures(scoring.losses(market, perfect).matrix().mean(axis=0))
    assert means == pytest.approx([0.0, 0.0, 0.0, 0.04], abs=1e-12)


def test_a_report_has_all_models_and_references_in_every_regime_that_occurs(
    market: dataset.Dataset, walks: dict[str, walkforward.Walk]
) -> None:
    found = evaluation.sections(market, walks, seed=1)
    assert found[0].regime == evaluation.EVERY
    assert sum(section.rows for section in found[1:]) == found[0].rows
    assert {section.regime for section in found[1:]} <= set(regimes.NAMES)
    for section in found:
        assert [score.model for score in section.scores] == [*walks, evaluation.LAST_VALUE]
        assert section.best_single in SINGLES
        best = next(score for score in section.scores if score.model == section.best_single)
        assert best.gain_over_best_single.value == 0.0


def test_an_interval_of_a_measure_contains_the_measure(
    market: dataset.Dataset, walks: dict[str, walkforward.Walk]
) -> None:
    everyone = evaluation.sections(market, walks, seed=1)[0]
    for score in everyone.scores:
        for estimate in (*score.measures.values(), score.gain_over_last_value):
            assert estimate.low <= estimate.value <= estimate.high
        error = score.measures["rmse_log_volatility"]
        assert error.low < error.value < error.high


def test_the_same_seed_gives_the_same_report(
    market: dataset.Dataset, walks: dict[str, walkforward.Walk]
) -> None:
    first, second, other = (
        [section.document() for section in evaluation.sections(market, walks, seed)]
        for seed in (1, 1, 2)
    )
    assert first == second
    assert first != other


def test_too_short_a_history_is_refused_with_what_it_spans(market: dataset.Dataset) -> None:
    early = market.date < np.datetime64("2019-12-31", "D")
    short = dataclasses.replace(
        market,
        **{
            name: getattr(market, name)[early]
            for name in ("symbol", "date", "close", "features", "log_volatility", "rise", "end")
        },
        known=market.known[early],
    )
    with pytest.raises(sources.DataError, match=r"too short.*2019-12-30.*two calendar years"):
        walkforward.years(short)


def test_a_year_beyond_the_data_is_refused_with_those_that_can_be(
    market: dataset.Dataset,
) -> None:
    assert walkforward.years(market) == (2020, 2021, 2022)
    assert walkforward.years(market, 2021) == (2021, 2022)
    with pytest.raises(sources.DataError, match=r"from 2031 on .*: 2020 to 2022 can"):
        walkforward.years(market, 2031)
