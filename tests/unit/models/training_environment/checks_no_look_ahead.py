"""From prices to forecasts, by every model: the future changes nothing of the past."""

import numpy as np
import pandas as pd
import pytest

from models import dataset, discovery, walkforward

YEARS = (2021,)
DAY = pd.Timestamp("2021-06-01")


@pytest.fixture(scope="module")
def otherwise() -> dataset.Dataset:
    """The same market, in which all prices take another way after `DAY`."""
    from conftest import simulated  # noqa: PLC0415  the frames are changed: these are its own

    frames = simulated(("AAA", "BBB", "CCC"), days=800)
    random = np.random.default_rng(11)
    for frame in frames.values():
        later = frame.index > DAY
        factor = np.exp(np.cumsum(0.05 * random.standard_normal(int(later.sum()))))
        for column in ("open", "high", "low", "close"):
            frame.loc[later, column] *= factor
        frame.loc[later, "volume"] *= 7
    return dataset.build(frames)


def forecasts(name: str, market: dataset.Dataset) -> dict[str, np.ndarray]:
    """What `name` forecast on the days up to `DAY`, walking forward."""
    members = discovery.members(name)
    if members:
        singles = {member: walkforward.walk(member, market, YEARS, seed=1) for member in members}
        walk = walkforward.walk_over(name, market, singles, seed=1)
    else:
        walk = walkforward.walk(name, market, YEARS, seed=1)
    (year,) = walk
    past = market.date[year.forecasts.rows] <= np.datetime64(DAY, "D")
    assert past.any()
    assert not past.all()
    return {
        "rows": market.date[year.forecasts.rows][past],
        "volatility": year.forecasts.log_volatility[past],
        "direction": year.forecasts.direction[past],
        "interval": np.array([year.interval.lower, year.interval.upper]),
    }


@pytest.mark.parametrize("name", list(discovery.folders()))
def test_other_prices_tomorrow_change_no_forecast_of_today(
    name: str, market: dataset.Dataset, otherwise: dataset.Dataset
) -> None:
    known, changed = forecasts(name, market), forecasts(name, otherwise)
    for field, values in known.items():
        np.testing.assert_array_equal(values, changed[field], err_msg=f"{name}: {field}")


def test_the_other_prices_are_really_others(
    market: dataset.Dataset, otherwise: dataset.Dataset
) -> None:
    later = market.date > np.datetime64(DAY, "D")
    assert not np.allclose(market.features[later], otherwise.features[later])
    assert not np.allclose(market.history(later), otherwise.history(later))
