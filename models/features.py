"""What a model sees: point-in-time features of a symbol's day, and the history before it.

A value of day t is computed of days <= t alone, of whichever symbol.
To add a feature, add one line to `FEATURES`.

The daily variance adds the squared overnight return to the Garman-Klass estimate of the day
(Garman and Klass 1980, "On the Estimation of Security Price Volatilities from Historical Data"):
`v = ln(O_t/C_{t-1})^2 + ln(H/L)^2 / 2 - (2 ln 2 - 1) ln(C/O)^2`.
For a close-only series it is the squared log return.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import cast

import numpy as np
import pandas as pd

from runtimes import contract
from runtimes.predictor import artifact

HISTORY_DAYS = 60
"""Days in `history`, the last one being the day of the forecast."""

VARIANCE_FLOOR = 1e-6
"""Least daily variance before a logarithm, 1.6 % volatility a year: closes can stand still."""

WEEK, MONTH, QUARTER, YEAR = 5, 22, 66, 252
STALE = pd.Timedelta(days=10)
"""Another symbol's last value counts for at most so long."""


@dataclasses.dataclass(frozen=True)
class Asset:
    """One symbol's days, and how tense all symbols were on them."""

    prices: pd.DataFrame
    tension: pd.Series

    @functools.cached_property
    def returns(self) -> pd.Series:
        """Log returns, close to close."""
        return _log(self.prices["close"]).diff()

    @functools.cached_property
    def variance(self) -> pd.Series:
        """Daily variance, see the module."""
        return daily_variance(self.prices)

    @functools.cached_property
    def log_variance(self) -> pd.Series:
        """Logarithm of the daily variance, annualised."""
        return log_annualised(self.variance)

    @functools.cached_property
    def log_volume(self) -> pd.Series:
        """Logarithm of the volume; missing where it is 0."""
        volume = self.prices["volume"]
        return _log(volume.where(volume > 0))

    @functools.cached_property
    def deviation(self) -> pd.Series:
        """Daily standard deviation over a month, floored."""
        return _root(self.variance.rolling(MONTH).mean().clip(lower=VARIANCE_FLOOR))


@dataclasses.dataclass(frozen=True, slots=True)
class Column:
    """One feature or channel: how it is called, in which unit, what it says, how it is made."""

    name: str
    unit: str
    description: str
    compute: Callable[[Asset], pd.Series]

    @property
    def declared(self) -> artifact.Feature:
        """What an artifact says of the column."""
        return artifact.Feature(self.name, self.unit, self.description)


def _log(values: pd.Series) -> pd.Series:
    # numpy's type information knows no series, though its functions give one back.
    return cast("pd.Series", np.log(values))


def _root(values: pd.Series) -> pd.Series:
    return cast("pd.Series", np.sqrt(values))


def daily_variance(prices: pd.DataFrame) -> pd.Series:
    """Give the variance of each day, see the module; missing on the first."""
    overnight = _log(prices["open"] / prices["close"].shift())
    span = _log(prices["high"] / prices["low"])
    body = _log(prices["close"] / prices["open"])
    intraday = span**2 / 2 - (2 * math.log(2) - 1) * body**2
    return overnight**2 + intraday.clip(lower=0.0)


def log_annualised(variance: pd.Series) -> pd.Series:
    """Give the logarithm of daily variances, floored and annualised."""
    return _log(contract.TRADING_DAYS * variance.clip(lower=VARIANCE_FLOOR))


def _log_mean_variance(days: int, fewest: int | None = None) -> Callable[[Asset], pd.Series]:
    return lambda asset: log_annualised(asset.variance.rolling(days, min_periods=fewest).mean())


def _variance_ratio(days: int, fewest: int | None = None) -> Callable[[Asset], pd.Series]:
    # Against the month, not as levels: what is learnt on one asset then holds for another.
    level = _log_mean_variance(MONTH)
    return lambda asset: _log_mean_variance(days, fewest)(asset) - level(asset)


def _return(days: int) -> Callable[[Asset], pd.Series]:
    return lambda asset: _log(asset.prices["close"]).diff(days)


def _share(part: pd.Series, whole: pd.Series, days: int, otherwise: float) -> pd.Series:
    total = whole.rolling(days).sum()
    share = part.rolling(days).sum() / total.where(total > days * VARIANCE_FLOOR / 100)
    # A rolling sum leaves rounding behind, also beyond 0 and 1.
    return share.fillna(otherwise).clip(0.0, 1.0).where(total.notna())


def _downside_share(asset: Asset) -> pd.Series:
    squares = asset.returns**2
    return _share(squares.where(asset.returns < 0, 0.0), squares, MONTH, otherwise=0.5)


def _intraday_share(asset: Asset) -> pd.Series:
    prices = asset.prices
    overnight = _log(prices["open"] / prices["close"].shift()) ** 2
    return _share(asset.variance - overnight, asset.variance, MONTH, otherwise=0.0)


def _true_range(asset: Asset) -> pd.Series:
    before = asset.prices["close"].shift()
    # Not defined on the first day: a comparison with a missing value must stay missing.
    high = asset.prices["high"].where(asset.prices["high"] > before, before)
    low = asset.prices["low"].where(asset.prices["low"] < before, before)
    return _log(high / low) / asset.deviation


def _relative_strength(asset: Asset) -> pd.Series:
    rise = asset.returns.clip(lower=0.0).ewm(alpha=1 / 14, adjust=False).mean()
    fall = (-asset.returns).clip(lower=0.0).ewm(alpha=1 / 14, adjust=False).mean()
    total = rise + fall
    return (100 * rise / total.where(total > 0)).fillna(50.0)


def _macd(asset: Asset) -> pd.Series:
    close = asset.prices["close"]
    fast = close.ewm(span=12, adjust=False).mean()
    return (fast - close.ewm(span=26, adjust=False).mean()) / close


def _trend(asset: Asset) -> pd.Series:
    close = asset.prices["close"]
    return _log(close / close.rolling(60).mean())


def _volume_score(asset: Asset) -> pd.Series:
    window = asset.log_volume.rolling(MONTH, min_periods=10)
    spread = window.std()
    return ((asset.log_volume - window.mean()) / spread.where(spread > 0)).fillna(0.0)


def _relative_volume(asset: Asset) -> pd.Series:
    usual = asset.log_volume.rolling(MONTH, min_periods=10).mean()
    return (asset.log_volume - usual).fillna(0.0)


def _drawdown(asset: Asset) -> pd.Series:
    close = asset.prices["close"]
    return _log(close / close.rolling(YEAR, min_periods=1).max())


RETURN = "log return"
LOG_VARIANCE = "ln(variance a year)"

FEATURES: tuple[Column, ...] = (
    Column("return_1d", RETURN, "over one day", _return(1)),
    Column("return_5d", RETURN, "over a week", _return(WEEK)),
    Column("return_22d", RETURN, "over a month", _return(MONTH)),
    Column("shock_1d", "standard deviations", "fall of today against the month's deviation, or 0",
           lambda asset: asset.returns.clip(upper=0.0) / asset.deviation),
    Column("log_variance_22d", LOG_VARIANCE, "mean of a month", _log_mean_variance(MONTH)),
    Column("variance_ratio_1d", "ln ratio", "today's variance against the month's",
           _variance_ratio(1)),
    Column("variance_ratio_5d", "ln ratio", "the week's variance against the month's",
           _variance_ratio(WEEK)),
    Column("variance_ratio_252d", "ln ratio",
           "the year's variance (of a quarter at least) against the month's",
           _variance_ratio(YEAR, QUARTER)),
    Column("volatility_of_volatility_22d", "ln(variance)",
           "standard deviation of the daily log variance over a month",
           lambda asset: asset.log_variance.rolling(MONTH).std()),
    Column("market_tension", "ln ratio",
           "variance of a week against that of a year, mean over all symbols",
           lambda asset: asset.tension),
    Column("downside_share_22d", "0..1", "share of falls in the squared returns of a month",
           _downside_share),
    Column("intraday_share_22d", "0..1",
           "share of the day's range in a month's variance; 0 for a close-only series",
           _intraday_share),
    Column("true_range_1d", "standard deviations",
           "true range of today (Wilder 1978) against the month's deviation", _true_range),
    Column("trend_60d", "log ratio", "close against its mean of 60 days", _trend),
    Column("drawdown_252d", "log ratio", "close against its highest of a year", _drawdown),
    Column("rsi_14d", "0..100", "relative strength index (Wilder 1978)", _relative_strength),
    Column("macd_12_26", "share of the price",
           "moving average convergence divergence (Appel 1979)", _macd),
    Column("volume_score_22d", "standard deviations",
           "log volume against its month; 0 where volume is unknown", _volume_score),
)  # fmt: skip  # one feature, one declaration: a table

CHANNELS: tuple[Column, ...] = (
    Column("log_return", RETURN, "of the day", lambda asset: asset.returns),
    Column("log_variance", LOG_VARIANCE, "of the day", lambda asset: asset.log_variance),
    Column("relative_volume", "ln ratio", "volume against its month's usual", _relative_volume),
)
"""The channels of `history`; the first must stay the daily log return: regimes are read from it."""


def tension(frames: Mapping[str, pd.DataFrame]) -> dict[str, pd.Series]:
    """Give every symbol the mean over all symbols of ln(week's variance / year's variance).

    Against its own year, so that a symbol that joins or leaves does not move the mean by its level.
    Another symbol counts with its last value on or before the day, for ten days at most.
    """
    own = {}
    for symbol, prices in frames.items():
        variance = daily_variance(prices)
        week = log_annualised(variance.rolling(WEEK).mean())
        own[symbol] = week - log_annualised(variance.rolling(YEAR, min_periods=QUARTER).mean())
    result = {}
    for symbol, prices in frames.items():
        aligned = [
            other.dropna().reindex(prices.index, method="ffill", tolerance=STALE)
            for other in own.values()
        ]
        result[symbol] = pd.concat(aligned, axis=1).mean(axis=1)
    return result


def table(asset: Asset, columns: tuple[Column, ...]) -> pd.DataFrame:
    """Compute `columns` for every day of `asset`; missing where the past is too short."""
    return pd.DataFrame({column.name: column.compute(asset) for column in columns})
