"""The features, each declared once: name, unit, what it says, how it is made, what is sane.

To add one, add a line to `TECHNICAL_INDICATORS`: training set, feature store, stream and request
then have it.
A value of day t is made of days <= t alone, of whichever symbol.

The daily variance adds the squared overnight return to the Garman-Klass estimate of the day
(Garman and Klass 1980, "On the Estimation of Security Price Volatilities from Historical Data"):
`v = ln(O_t/C_{t-1})^2 + ln(H/L)^2 / 2 - (2 ln 2 - 1) ln(C/O)^2`.
For a close-only series it is the squared log return.
"""

import dataclasses
import datetime as dt
import hashlib
import math
import re
from collections.abc import Iterable, Sequence
from typing import Literal

from runtimes import contract

from . import expressions
from .expressions import CLOSE, HIGH, LOW, OPEN, VOLUME, Expression

HISTORY_DAYS = 60
"""Days in `history`, the last one being the day of the forecast."""

VARIANCE_FLOOR = 1e-6
"""Least daily variance before a logarithm, 1.6 % volatility a year: closes can stand still."""

WEEK, MONTH, QUARTER, YEAR = 5, 22, 66, 252

HALF_LIFE = dt.timedelta(days=1)
"""After so long a text weighs half as much in a sentiment."""

Source = Literal["bars", "texts"]


@dataclasses.dataclass(frozen=True, slots=True)
class Feature:
    """One feature, or one channel of `history`."""

    name: str
    unit: str
    description: str
    expression: Expression
    lowest: float
    highest: float
    """A value outside these bounds, which are inside themselves, is taken for a broken one."""
    model: bool = False
    """Whether models are trained on it."""

    @property
    def length(self) -> int:
        """How many numbers a value has: 1, or more for an array."""
        if isinstance(self.expression, expressions.Stacked):
            return self.expression.days * len(self.expression.channels)
        return 1


@dataclasses.dataclass(frozen=True, slots=True)
class View:
    """Features of a symbol that are known at the same time."""

    name: str
    description: str
    source: Source
    max_age: dt.timedelta
    """A row whose own time lies further back is stale."""
    features: tuple[Feature, ...]

    def __post_init__(self) -> None:
        for feature in self.features:
            try:
                expressions.check(feature.expression)
            except ValueError as error:
                raise ValueError(f"feature {feature.name!r}: {error}") from error
            if expressions.reads_texts(feature.expression) != (self.source == "texts"):
                raise ValueError(
                    f"feature {feature.name!r} is not made of {self.source}, as all of {self.name!r}"
                )


@dataclasses.dataclass(frozen=True, slots=True)
class Service:
    """What one kind of consumer asks for: features as (view, feature), in order."""

    name: str
    description: str
    features: tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Definitions:
    """All that is declared, for the symbols that there are."""

    symbols: tuple[str, ...]
    views: tuple[View, ...]

    def __post_init__(self) -> None:
        names = [feature.name for view in self.views for feature in view.features]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"features are declared twice: {', '.join(twice)}; names are unique")

    def view(self, name: str) -> View:
        """Give the view `name`; raise KeyError that names those that there are."""
        for view in self.views:
            if view.name == name:
                return view
        known = ", ".join(view.name for view in self.views)
        raise KeyError(f"there is no feature view {name!r}; there are {known}")

    def service(self, name: str) -> Service:
        """Give the service `name`; raise KeyError that names those that there are."""
        for service in self.services:
            if service.name == name:
                return service
        known = ", ".join(service.name for service in self.services)
        raise KeyError(f"there is no feature service {name!r}; there are {known}")

    @property
    def model_features(self) -> tuple[Feature, ...]:
        """What models are trained on, in the order of the artifacts' `features`."""
        return tuple(feature for view in self.views for feature in view.features if feature.model)

    @property
    def services(self) -> tuple[Service, ...]:
        """What is asked for together."""
        every = [(view.name, feature) for view in self.views for feature in view.features]
        return (
            Service(
                "forecasting",
                "what a predictor takes: the history, then the features in the artifact's order",
                (
                    ("market_data", "history"),
                    *((view, feature.name) for view, feature in every if feature.model),
                ),
            ),
            Service(
                "enriched",
                "everything that is known of a symbol",
                tuple((view, feature.name) for view, feature in every),
            ),
        )

    @property
    def digest(self) -> str:
        """A SHA-256 of everything declared, in hexadecimal."""
        return hashlib.sha256(repr((self.symbols, self.views)).encode()).hexdigest()


RETURNS = CLOSE.log().change()
"""Log returns, close to close."""

_OVERNIGHT = (OPEN / CLOSE.lag()).log().squared()
_INTRADAY = (HIGH / LOW).log().squared() / 2 - (2 * math.log(2) - 1) * (
    CLOSE / OPEN
).log().squared()

VARIANCE = _OVERNIGHT + _INTRADAY.clip(lower=0.0)
"""The variance of each day, see the module; missing on the first."""


def log_annualised(variance: Expression) -> Expression:
    """Give the logarithm of daily variances, floored and annualised."""
    return (contract.TRADING_DAYS * variance.clip(lower=VARIANCE_FLOOR)).log()


def _log_mean_variance(days: int, fewest: int | None = None) -> Expression:
    return log_annualised(VARIANCE.rolling(days, fewest).mean())


def _variance_ratio(days: int, fewest: int | None = None) -> Expression:
    # Against the month, not as levels: what is learnt on one asset then holds for another.
    return _log_mean_variance(days, fewest) - _log_mean_variance(MONTH)


def _share(part: Expression, whole: Expression, days: int, otherwise: float) -> Expression:
    total = whole.rolling(days).sum()
    share = part.rolling(days).sum() / total.where(total > days * VARIANCE_FLOOR / 100)
    # A rolling sum leaves rounding behind, also beyond 0 and 1.
    return share.filled(otherwise).clip(0.0, 1.0).where(total.known())


def _downside_share() -> Expression:
    squares = RETURNS.squared()
    return _share(squares.where(RETURNS < 0, 0.0), squares, MONTH, otherwise=0.5)


def _true_range() -> Expression:
    before = CLOSE.lag()
    # Not defined on the first day: a comparison with a missing value must stay missing.
    high = HIGH.where(before < HIGH, before)
    low = LOW.where(before > LOW, before)
    return (high / low).log() / _DEVIATION


def _relative_strength() -> Expression:
    rise = RETURNS.clip(lower=0.0).smoothed(alpha=1 / 14)
    fall = (-RETURNS).clip(lower=0.0).smoothed(alpha=1 / 14)
    total = rise + fall
    return (100 * rise / total.where(total > 0)).filled(50.0)


def _volume_score() -> Expression:
    month = _LOG_VOLUME.rolling(MONTH, 10)
    spread = month.std()
    return ((_LOG_VOLUME - month.mean()) / spread.where(spread > 0)).filled(0.0)


_LOG_VARIANCE = log_annualised(VARIANCE)
_LOG_VOLUME = VOLUME.where(VOLUME > 0).log()
_DEVIATION = VARIANCE.rolling(MONTH).mean().clip(lower=VARIANCE_FLOOR).root()
_MACD = (CLOSE.smoothed(span=12) - CLOSE.smoothed(span=26)) / CLOSE
_TENSION = _log_mean_variance(WEEK) - _log_mean_variance(YEAR, QUARTER)
"""A symbol's own: against its own year, so that a symbol that joins or leaves does not move the
mean over all by its level."""

RETURN = "log return"
LOG_VARIANCE = "ln(variance a year)"
DEVIATIONS = "standard deviations"


def _indicator(
    name: str,
    unit: str,
    description: str,
    expression: Expression,
    bounds: tuple[float, float],
) -> Feature:
    return Feature(name, unit, description, expression, *bounds, model=True)


TECHNICAL_INDICATORS: tuple[Feature, ...] = (
    _indicator("return_1d", RETURN, "over one day", RETURNS, (-1, 1)),
    _indicator("return_5d", RETURN, "over a week", CLOSE.log().change(WEEK), (-2, 2)),
    _indicator("return_22d", RETURN, "over a month", CLOSE.log().change(MONTH), (-3, 3)),
    _indicator("shock_1d", DEVIATIONS, "fall of today against the month's deviation, or 0",
               RETURNS.clip(upper=0.0) / _DEVIATION, (-14, 0)),
    _indicator("log_variance_22d", LOG_VARIANCE, "mean of a month", _log_mean_variance(MONTH),
               (-8.3, 3)),
    _indicator("variance_ratio_1d", "ln ratio", "today's variance against the month's",
               _variance_ratio(1), (-11, 3.1)),
    _indicator("variance_ratio_5d", "ln ratio", "the week's variance against the month's",
               _variance_ratio(WEEK), (-11, 1.5)),
    _indicator("variance_ratio_252d", "ln ratio",
               "the year's variance (of a quarter at least) against the month's",
               _variance_ratio(YEAR, QUARTER), (-2.5, 11)),
    _indicator("volatility_of_volatility_22d", "ln(variance)",
               "standard deviation of the daily log variance over a month",
               _LOG_VARIANCE.rolling(MONTH).std(), (0, 6)),
    _indicator("market_tension", "ln ratio",
               "variance of a week against that of a year, mean over all symbols",
               expressions.across(_TENSION), (-11, 4)),
    _indicator("downside_share_22d", "0..1", "share of falls in the squared returns of a month",
               _downside_share(), (0, 1)),
    _indicator("intraday_share_22d", "0..1",
               "share of the day's range in a month's variance; 0 for a close-only series",
               _share(VARIANCE - _OVERNIGHT, VARIANCE, MONTH, otherwise=0.0), (0, 1)),
    _indicator("true_range_1d", DEVIATIONS,
               "true range of today (Wilder 1978) against the month's deviation", _true_range(),
               (0, 20)),
    _indicator("trend_60d", "log ratio", "close against its mean of 60 days",
               (CLOSE / CLOSE.rolling(60).mean()).log(), (-3, 3)),
    _indicator("drawdown_252d", "log ratio", "close against its highest of a year",
               (CLOSE / CLOSE.rolling(YEAR, 1).max()).log(), (-5, 0)),
    _indicator("rsi_14d", "0..100", "relative strength index (Wilder 1978)",
               _relative_strength(), (0, 100)),
    _indicator("macd_12_26", "share of the price",
               "moving average convergence divergence (Appel 1979)", _MACD, (-1, 1)),
    _indicator("volume_score_22d", DEVIATIONS, "log volume against its month; 0 where volume is unknown",
               _volume_score(), (-4.5, 4.5)),
)  # fmt: skip  # one feature, one declaration: a table
"""What models are trained on.

Where the bounds are not a matter of taste they follow from the arithmetic: of 22 days, one has at
most 22 times the mean variance, and lies (22 - 1) / sqrt(22) = 4.48 deviations from the mean;
a straight fall has 0.11 of its square as variance, so that a shock is sqrt(22 / 0.11) at most.
"""

CHANNELS: tuple[Feature, ...] = (
    Feature("log_return", RETURN, "of the day", RETURNS, -1, 1),
    Feature("log_variance", LOG_VARIANCE, "of the day", _LOG_VARIANCE, -8.3, 6),
    Feature("relative_volume", "ln ratio", "volume against its month's usual",
            (_LOG_VOLUME - _LOG_VOLUME.rolling(MONTH, 10).mean()).filled(0.0), -20, 20),
)  # fmt: skip  # as above
"""The channels of `history`; the first must stay the daily log return: regimes are read from it."""

_BAR_AGE = dt.timedelta(days=5)
"""A Friday's bar holds over a long weekend, until Tuesday's has come."""

MARKET_DATA = View(
    "market_data",
    "the newest bar, adjusted, and what came before it",
    "bars",
    _BAR_AGE,
    (
        Feature("open", "price", "of the day", OPEN, 1e-6, 1e9),
        Feature("high", "price", "of the day", HIGH, 1e-6, 1e9),
        Feature("low", "price", "of the day", LOW, 1e-6, 1e9),
        Feature("close", "price", "of the day", CLOSE, 1e-6, 1e9),
        Feature("volume", "units", "traded on the day; 0 where unknown", VOLUME, 0, 1e15),
        Feature(
            "history",
            "per channel",
            f"{HISTORY_DAYS} days of {', '.join(channel.name for channel in CHANNELS)}, "
            "oldest first, day by day",
            expressions.Stacked(tuple(channel.expression for channel in CHANNELS), HISTORY_DAYS),
            min(channel.lowest for channel in CHANNELS),
            max(channel.highest for channel in CHANNELS),
        ),
    ),
)

SENTIMENT = View(
    "sentiment",
    "the tone of the texts about a symbol, scored -1..1",
    "texts",
    dt.timedelta(days=3),
    (
        Feature("news_sentiment", "-1..1",
                "mean score of headlines, each weighing half as much every day",
                expressions.TextMean("news", HALF_LIFE), -1, 1),
        Feature("social_sentiment", "-1..1",
                "mean score of posts, each weighing half as much every day",
                expressions.TextMean("social", HALF_LIFE), -1, 1),
        Feature("news_count_1d", "headlines", "in the day up to the newest text",
                expressions.TextCount("news", dt.timedelta(days=1)), 0, 1e6),
        Feature("social_count_1d", "posts", "in the day up to the newest text",
                expressions.TextCount("social", dt.timedelta(days=1)), 0, 1e6),
    ),
)  # fmt: skip  # as above


def declare(
    symbols: Iterable[str], technical_indicators: Sequence[Feature] | None = None
) -> Definitions:
    """Give all definitions for the symbols that there are; raise ValueError for none."""
    known = tuple(sorted(set(symbols)))
    if not known:
        raise ValueError("there is no symbol to declare features for")
    technical = View(
        "technical_indicators",
        "what is computed of a symbol's bars",
        "bars",
        _BAR_AGE,
        tuple(TECHNICAL_INDICATORS if technical_indicators is None else technical_indicators),
    )
    views = (MARKET_DATA, technical, SENTIMENT)
    return Definitions(known, (*views, _cross_asset(known)) if len(known) > 1 else views)


def _cross_asset(symbols: Sequence[str]) -> View:
    """Declare the correlations with all others together, and with each by its name.

    The summaries mean the same for any set of symbols; the named ones are as many as there are
    symbols, each once, whichever symbol a row is of.
    """
    named = column_names(symbols)
    features: list[Feature] = []
    for days in (MONTH, QUARTER):
        for summary in ("mean", "min", "max"):
            expression = expressions.correlation_with_others(RETURNS, days, summary)
            features.append(
                Feature(
                    f"correlation_{days}d_{summary}_of_all",
                    "-1..1",
                    f"{summary} correlation of daily log returns with all other symbols "
                    f"over {days} common days",
                    expression,
                    -1,
                    1,
                )
            )
        for symbol, name in named.items():
            features.append(
                Feature(
                    f"correlation_{days}d_{name}",
                    "-1..1",
                    f"correlation of daily log returns with {symbol} over {days} common days; "
                    "1 with itself",
                    expressions.correlation(RETURNS, days, symbol),
                    -1,
                    1,
                )
            )
    return View("cross_asset", "how the symbols move together", "bars", _BAR_AGE, tuple(features))


def column_names(symbols: Sequence[str]) -> dict[str, str]:
    """Give each symbol a name that may be part of a column's: lower case, other signs as _."""
    names: dict[str, str] = {}
    for symbol in symbols:
        base = re.sub(r"[^a-z0-9]+", "_", symbol.lower()).strip("_") or "symbol"
        name, count = base, 1
        while name in names.values():
            count += 1
            name = f"{base}_{count}"
        names[symbol] = name
    return names
