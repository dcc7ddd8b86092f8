"""Forecasts of days that nobody had seen: what followed them, and who combined what when."""

import numpy as np
import pytest

from models import closes, discovery, evaluation, fitting, gains, sources, unseen
from runtimes.bandit import utility


def test_the_closes_after_a_day_are_its_own_and_those_of_the_five_days_after(market, frames):
    rows = market.of("AAA")
    after = closes.after(market, rows)
    prices = frames["AAA"]["close"]
    for row in (0, 17, len(rows) - 6):
        place = prices.index.get_loc(str(market.date[rows[row]]))
        assert np.array_equal(after[row], prices.iloc[place : place + 6].to_numpy())


def test_what_has_not_come_yet_is_not_taken_from_the_next_symbol(market):
    for symbol in market.symbols:
        after = closes.after(market, market.of(symbol))
        assert np.isnan(after[-5:]).all()
        assert np.isfinite(after[:-5]).all()


@pytest.fixture
def ledgers(market):
    random = np.random.default_rng(3)
    rows = np.flatnonzero(~np.isnat(market.known))
    rows = rows[np.argsort(market.date[rows], kind="stable")]
    noise = {name: 0.1 * (1 + place) for place, name in enumerate(discovery.members("ensemble"))}
    return {
        name: fitting.Ledger(
            rows,
            market.log_volatility[rows] + sd * random.standard_normal(len(rows)),
            np.full(len(rows), 0.5),
        )
        for name, sd in noise.items()
    }


def test_in_the_first_year_the_members_count_the_same(market, ledgers):
    found = unseen._combined("ensemble", market, ledgers, seed=1)
    first = market.date[found.rows].astype("datetime64[Y]") == market.date[found.rows[0]].astype(
        "datetime64[Y]"
    )
    even = np.mean([each.log_volatility for each in ledgers.values()], axis=0)
    assert np.allclose(found.log_volatility[first], even[first])
    assert not np.allclose(found.log_volatility[~first], even[~first])
    assert np.array_equal(found.rows, next(iter(ledgers.values())).rows)


def test_later_forecasts_do_not_change_how_earlier_ones_are_combined(market, ledgers):
    before = unseen._combined("ensemble", market, ledgers, seed=1)
    years = market.date[before.rows].astype("datetime64[Y]")
    last = years == years.max()
    changed = {
        name: fitting.Ledger(
            each.rows,
            np.where(last, each.log_volatility[::-1] * place, each.log_volatility),
            each.direction,
        )
        for place, (name, each) in enumerate(ledgers.items())
    }
    after = unseen._combined("ensemble", market, changed, seed=1)
    assert np.array_equal(after.log_volatility[~last], before.log_volatility[~last])
    assert not np.allclose(after.log_volatility[last], before.log_volatility[last])


def test_utility_is_of_each_models_forecast_and_of_the_closes_after(market, ledgers):
    names = tuple(ledgers)[:2]
    found = unseen.of(market, {name: ledgers[name] for name in names})
    rows = ledgers[names[0]].rows
    expected = utility.realised_utility(
        np.exp(ledgers[names[1]].log_volatility), closes.after(market, rows)
    )
    assert found.models == names
    assert np.array_equal(found.utility[:, 1], expected)
    assert (found.known > found.date).all()


def test_ledgers_of_other_days_are_no_comparison(market, ledgers):
    one, other, *_ = ledgers.values()
    with pytest.raises(sources.DataError, match="not of the same days"):
        unseen.of(market, {"one": one, "other": other.part(slice(1, None))})


def test_a_model_that_is_not_trained_is_named(csvs):
    with pytest.raises(sources.DataError, match=r"'baseline' is not trained.*bellwether train"):
        unseen.load(csvs, 1, ("baseline",))


def days(count):
    return np.repeat(np.datetime64("2020-01-01") + np.arange(count), 2)


def test_a_gain_is_the_difference_of_the_means_on_the_same_days():
    random = np.random.default_rng(5)
    shock = random.standard_normal(400)
    found = gains.compare(days(200), {"one": shock + 0.25, "other": shock}, seed=1)
    gain = found.over["other"]
    assert gain.value == pytest.approx(0.25)
    assert gain.low == pytest.approx(0.25)
    assert gain.high == pytest.approx(0.25), "what all share on a day is no uncertainty of a gain"
    earned = found.earned["one"]
    assert earned.low < shock.mean() + 0.25 < earned.high


def test_an_interval_covers_what_is_true_about_as_often_as_it_says(monkeypatch):
    monkeypatch.setattr(evaluation, "REPETITIONS", 200)
    random = np.random.default_rng(6)
    held = 0
    for seed in range(40):
        noise = random.standard_normal(600)
        gain = gains.compare(days(300), {"one": noise + 0.1, "other": noise * 0}, seed).over[
            "other"
        ]
        held += gain.low <= 0.1 <= gain.high
    assert 33 <= held <= 40


def test_a_few_days_give_no_interval():
    gain = gains.compare(days(20), {"one": np.ones(40), "other": np.zeros(40)}, seed=1).over[
        "other"
    ]
    assert gain.value == 1
    assert np.isnan([gain.low, gain.high]).all()
