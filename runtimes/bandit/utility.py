"""What a volatility forecast was worth: the realised utility of volatility targeting.

An investor with a Sharpe ratio of 0.4 and a risk aversion of 2 who scales a position by the
forecast variance f earns, per unit of wealth and year, 8 % sqrt(RV/f) - 4 % RV/f where the
variance comes out as RV (Bollerslev, Hood, Huss and Pedersen 2018, "Risk Everywhere").
A perfect forecast earns 4 %; it is the most that can be earned.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from runtimes import contract

Array = NDArray[np.float64]

SHARPE_TERM = 0.08
RISK_TERM = 0.04
BEST = 0.04
"""Of a perfect forecast."""

PRICES = contract.HORIZON_DAYS + 1
"""Closes that a realised variance takes: of the forecast's own day, and of the five after it."""


class UnusableInput(ValueError):  # noqa: N818  named after the input, which has to be mended
    """A forecast or a price from which no utility can be computed: which, and why."""


def realised_variance(closes: ArrayLike) -> Array:
    """Give the annualised realised variance [...] of `closes` [..., 6], oldest first.

    252/5 times the sum of the five squared daily log returns. Raises `UnusableInput`.
    """
    prices = _array("closes", closes)
    if not prices.ndim or prices.shape[-1] != PRICES:
        raise UnusableInput(
            f"closes: expected {PRICES} prices in the last dimension, the forecast's own day and "
            f"the {contract.HORIZON_DAYS} trading days that followed, got shape {prices.shape}"
        )
    _check_positive("closes", prices)
    returns = np.diff(np.log(prices), axis=-1)
    variance: Array = contract.TRADING_DAYS * np.mean(returns**2, axis=-1)
    return variance


def realised_utility(volatility: ArrayLike, closes: ArrayLike) -> Array:
    """Give the utility [...] of forecasts `volatility` [...] after `closes` [..., 6], oldest first.

    Volatility is annualised, 0.2 for 20 % a year; utility is a share of wealth a year, at most
    `BEST`. Raises `UnusableInput`, naming the place.
    """
    forecast = _array("volatility", volatility)
    _check_positive("volatility", forecast)
    realised = realised_variance(closes)
    if forecast.shape != realised.shape:
        raise UnusableInput(
            f"volatility has shape {forecast.shape}, closes are for {realised.shape}: "
            "give one row of closes for every forecast"
        )
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # found, and named, below
        ratio = realised / forecast**2
    if not np.isfinite(ratio).all():
        raise UnusableInput(
            f"volatility: {forecast[~np.isfinite(ratio)].flat[0]} is too small to be one; "
            "0.2 is 20 % a year"
        )
    utility: Array = SHARPE_TERM * np.sqrt(ratio) - RISK_TERM * ratio
    return utility


def _array(name: str, given: ArrayLike) -> Array:
    try:
        return np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UnusableInput(f"{name}: expected numbers: {error}") from error


def _check_positive(name: str, values: Array) -> None:
    good = np.isfinite(values) & (values > 0)
    if not good.all():
        place = np.argwhere(~good)[0].tolist()
        raise UnusableInput(
            f"{name}: expected finite numbers above 0, got {values[tuple(place)]} at {place}"
        )
