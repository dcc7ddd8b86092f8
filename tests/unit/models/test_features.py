import numpy as np
import pandas as pd
import pytest

from models import data, dataset, features, regimes, sources
from runtimes import contract

NAMES = tuple(column.name for column in features.FEATURES)


def changed_after(frames: dict[str, pd.DataFrame], day: pd.Timestamp) -> dict[str, pd.DataFrame]:
    """Other prices and volumes after `day` in every symbol, and one symbol that ends there."""
    random = np.random.default_rng(1)
    changed = {}
    for symbol, frame in frames.items():
        copy = frame.copy()
        later = copy.index > day
        copy.loc[later, data.PRICES] *= np.exp(random.normal(0, 0.5, later.sum()))[:, None]
        copy.loc[later, "volume"] *= 7
        changed[symbol] = copy
    first = next(iter(changed))
    changed[first] = changed[first].loc[:day]
    return changed


@pytest.mark.parametrize("place", [150, 400, 799])
def test_changing_the_future_changes_no_past_feature_nor_history(
    frames: dict[str, pd.DataFrame], market: dataset.Dataset, place: int
) -> None:
    day = next(iter(frames.values())).index[place]
    other = dataset.build(changed_after(frames, day))
    for symbol in market.symbols:
        rows, others = market.of(symbol), other.of(symbol)
        past = rows[market.date[rows] <= np.datetime64(day, "D")]
        others = others[other.date[others] <= np.datetime64(day, "D")]
        assert len(past) > 50
        np.testing.assert_array_equal(market.date[past], other.date[others])
        np.testing.assert_array_equal(market.features[past], other.features[others])
        np.testing.assert_array_equal(market.history(past), other.history(others))


def test_changing_the_future_does_change_the_features_after_it(
    frames: dict[str, pd.DataFrame], market: dataset.Dataset
) -> None:
    other = dataset.build(changed_after(frames, next(iter(frames.values())).index[400]))
    assert not np.array_equal(market.features[market.of("CCC")], other.features[other.of("CCC")])


def test_the_target_is_the_volatility_of_the_five_days_after(
    frames: dict[str, pd.DataFrame], market: dataset.Dataset
) -> None:
    row = market.of("BBB")[100]
    prices = frames["BBB"]
    variance = features.daily_variance(prices)
    place = prices.index.get_loc(pd.Timestamp(market.date[row]))
    assert isinstance(place, int)
    ahead = variance.iloc[place + 1 : place + 6]
    expected = np.sqrt(contract.TRADING_DAYS * ahead.mean())
    assert np.exp(market.log_volatility[row]) == pytest.approx(expected, rel=1e-12)
    assert market.known[row] == np.datetime64(prices.index[place + 5], "D")
    assert market.rise[row] == (prices["close"].iloc[place + 1] > prices["close"].iloc[place])


def test_the_last_days_have_features_but_no_target(market: dataset.Dataset) -> None:
    for symbol in market.symbols:
        rows = market.of(symbol)
        assert np.isnan(market.log_volatility[rows[-5:]]).all()
        assert np.isnat(market.known[rows[-5:]]).all()
        assert np.isfinite(market.log_volatility[rows[:-5]]).all()


def test_everything_a_model_sees_is_finite(market: dataset.Dataset) -> None:
    assert np.isfinite(market.features).all()
    assert np.isfinite(market.history()).all()


def test_the_variance_of_a_close_only_series_is_its_squared_return(
    frames: dict[str, pd.DataFrame],
) -> None:
    close = frames["CCC"]["close"]
    expected = np.log(close / close.shift()) ** 2
    pd.testing.assert_series_equal(
        features.daily_variance(frames["CCC"]), expected, check_names=False
    )


def test_the_variance_estimates_that_of_a_simulated_walk() -> None:
    random = np.random.default_rng(3)
    steps = random.normal(0, 0.02 / np.sqrt(400), (3000, 400))
    path = np.exp(np.cumsum(steps.ravel())).reshape(3000, 400)
    prices = pd.DataFrame(
        {"open": path[:, 0], "high": path.max(1), "low": path.min(1), "close": path[:, -1]}
    )
    # A sampled path misses some of its extremes: the estimate is a few per cent low.
    assert np.sqrt(features.daily_variance(prices).mean()) == pytest.approx(0.02, rel=0.05)


def test_the_first_channel_is_the_daily_log_return(
    frames: dict[str, pd.DataFrame], market: dataset.Dataset
) -> None:
    row = market.of("AAA")[-1:]
    close = frames["AAA"]["close"]
    expected = np.log(close / close.shift()).iloc[-market.length :]
    np.testing.assert_allclose(market.history(row)[0, :, 0], expected, rtol=1e-9)


def test_constant_prices_and_missing_volume_leave_no_hole() -> None:
    dates = pd.bdate_range("2020-01-01", periods=400)
    still = pd.DataFrame(
        {**dict.fromkeys(data.PRICES, 50.0), "volume": 0.0}, index=dates, dtype=float
    )
    made = dataset.build({"STILL": still})
    assert len(made) > 200
    assert np.isfinite(made.features).all()


def test_feature_names_are_unique_and_each_says_what_it_is() -> None:
    assert len(set(NAMES)) == len(NAMES)
    for column in (*features.FEATURES, *features.CHANNELS):
        assert column.unit
        assert column.description


def test_the_package_data_gives_rows_of_four_symbols() -> None:
    made = dataset.load(sources.Source())
    assert made.symbols == ("IXIC", "SPX", "VIX", "WTI")
    assert {symbol: len(made.of(symbol)) > 1000 for symbol in made.symbols} == dict.fromkeys(
        made.symbols, True
    )
    assert str(made.date[made.of("SPX")[-1]]) == "2018-12-31"


def history(daily: float, wobble: float) -> np.ndarray:
    returns = np.full(60, daily)
    returns[::2] += wobble
    returns[1::2] -= wobble
    return np.column_stack([returns, returns, returns])


@pytest.mark.parametrize(
    ("daily", "wobble", "regime"),
    [
        (0.0, 0.02, regimes.VOLATILE),
        (0.01, 0.03, regimes.VOLATILE),
        (0.002, 0.005, regimes.RISING),
        (-0.002, 0.005, regimes.FALLING),
        (0.0005, 0.005, regimes.CALM),
    ],
)
def test_a_regime_is_read_from_the_last_twenty_returns(
    daily: float, wobble: float, regime: str
) -> None:
    past = history(daily, wobble)
    past[:40] = 0.5  # what lies further back counts nothing
    assert regimes.of(past[None]).tolist() == [regime]
