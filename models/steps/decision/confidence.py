"""Learns how sure a forecast is: the probability that it comes out within a stated factor.

A logistic regression (Cox 1958) over forecasts of days that no fit had seen, on the logarithm of
the interval's width, the regime and the model, with a ridge penalty;
the width's coefficient is never above 0, so that a wider interval is never surer.
Only the newest years count: markets change, and older years made later ones look surer.
"""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import sklearn.linear_model

from models import dataset, features, fitting, linear, procedure, regimes
from runtimes.predictor import artifact

FACTOR = 1.5
"""How far from the forecast still counts as near it, above or below.

Between two thirds of the forecast and half as much again: what a position may be off by.
"""

YEARS = 5
"""Newest years that are learnt from."""

PENALTY = 100.0
"""Rows' worth of evidence that it takes to move a coefficient away from 0 (1 / C in scikit-learn)."""

ALONE = 0.5
"""What the confidence for an unseen symbol is multiplied with if there was none to leave out."""

FEWEST_DAYS = 252
"""Days of a symbol before its usual volatility is one."""

Array = dataset.Array
Flags = npt.NDArray[np.bool_]
Names = npt.NDArray[np.str_]


@dataclasses.dataclass(frozen=True, slots=True)
class Tried:
    """Forecasts with what came of them, one a row; rows of several models stand together."""

    model: Names
    symbol: Names
    date: dataset.Days
    regime: Names
    width: Array
    """`ln(upper / lower)` of the interval."""
    volatility: Array
    """The forecast, annualised."""
    near: Flags
    """Whether the volatility came out within `FACTOR`."""

    def __len__(self) -> int:
        return len(self.date)

    def part(self, which: Flags) -> "Tried":
        """Give the rows of `which`."""
        return Tried(
            **{field.name: getattr(self, field.name)[which] for field in dataclasses.fields(self)}
        )

    def newest(self, years: int = YEARS) -> "Tried":
        """Give the rows of the newest years."""
        since = self.date.max() - np.timedelta64(round(365.25 * years), "D")
        return self.part(self.date > since)


@dataclasses.dataclass(frozen=True, slots=True)
class Confidence:
    """A learnt confidence; see `runtimes.decision.calibration`, which serves it."""

    intercept: float
    log_width: float
    regimes: Mapping[str, float]
    models: Mapping[str, float]
    width: tuple[float, float]
    """The narrowest and the widest that was seen; others are cut to these."""

    def of(self, tried: Tried) -> Array:
        """Give the confidence [k] in forecasts."""
        odds = self.intercept + self.log_width * np.log(np.clip(tried.width, *self.width))
        odds += np.array([self.regimes[name] for name in tried.regime])
        odds += np.array([self.models[name] for name in tried.model])
        result: Array = 1 / (1 + np.exp(-odds))
        return result


def tried(
    data: dataset.Dataset, name: str, ledger: fitting.Ledger, interval: artifact.IntervalRule
) -> Tried:
    """Compare what the model `name` forecast with what came out."""
    rows = ledger.rows
    column = [feature.name for feature in features.FEATURES].index(interval.feature)
    scale = interval.scale(data.features[rows, column])
    error = data.log_volatility[rows] - ledger.log_volatility
    return Tried(
        model=np.full(len(rows), name),
        symbol=np.array(data.symbols)[data.symbol[rows]],
        date=data.date[rows],
        regime=regimes.of(data.history(rows)),
        # Never 0: its logarithm is taken.
        width=np.maximum(scale * (interval.upper - interval.lower), 1e-6),
        volatility=np.exp(ledger.log_volatility),
        near=np.abs(error) <= math.log(FACTOR),
    )


def together(parts: list[Tried]) -> Tried:
    """Give the rows of all parts, one after the other."""
    return Tried(
        **{
            field.name: np.concatenate([getattr(part, field.name) for part in parts])
            for field in dataclasses.fields(Tried)
        }
    )


def learn(rows: Tried) -> Confidence:
    """Learn from forecasts that were tried."""
    names = tuple(np.unique(rows.model).tolist())
    logs = np.log(rows.width)
    spread = max(float(logs.std()), 1e-9)
    scaled = (logs - logs.mean()) / spread
    offsets = np.column_stack(
        [rows.regime == regime for regime in regimes.NAMES] + [rows.model == name for name in names]
    ).astype(np.float64)
    intercept, coefficients = _logistic(np.column_stack([scaled, offsets]), rows.near)
    slope = coefficients[0] / spread
    if slope > 0:
        intercept, others = _logistic(offsets, rows.near)
        slope, coefficients = 0.0, np.concatenate([[0.0], others])
    first_model = 1 + len(regimes.NAMES)
    return Confidence(
        intercept=linear.rounded(intercept - slope * logs.mean()),
        log_width=linear.rounded(slope),
        regimes=_rounded(regimes.NAMES, coefficients[1:first_model]),
        models=_rounded(names, coefficients[first_model:]),
        width=(linear.rounded(rows.width.min()), linear.rounded(rows.width.max())),
    )


def _logistic(design: Array, outcome: Flags) -> tuple[float, Array]:
    if outcome.all() or not outcome.any():
        # Nothing tells the rows apart: the share, drawn in from certainty by one row of each.
        share = (outcome.sum() + 1) / (len(outcome) + 2)
        return math.log(share / (1 - share)), np.zeros(design.shape[1])
    fit = sklearn.linear_model.LogisticRegression(C=1 / PENALTY, tol=1e-8, max_iter=1000)
    fit.fit(design, outcome)
    return float(fit.intercept_[0]), np.asarray(fit.coef_[0], dtype=np.float64)


def _rounded(names: tuple[str, ...], values: Array) -> dict[str, float]:
    return {name: linear.rounded(value) for name, value in zip(names, values, strict=True)}


def for_unseen_symbols(rows: Tried) -> float:
    """Give what to multiply the confidence for a symbol with that was never seen.

    Each symbol is left out in turn; the worst ratio of what came out near to what was expected
    decides, and is never above 1.
    """
    symbols = np.unique(rows.symbol)
    if len(symbols) == 1:
        return ALONE
    ratios = [1.0]
    for symbol in symbols:
        out = rows.symbol == symbol
        left = rows.part(out)
        expected = learn(rows.part(~out)).of(left).mean()
        ratios.append(float(left.near.mean() / expected))
    return linear.rounded(min(ratios))


@dataclasses.dataclass(frozen=True, slots=True)
class Usual:
    """Each day's usual volatility of its symbol, tried: the median of what was known before."""

    date: dataset.Days
    near: Flags


def usual(data: dataset.Dataset) -> Usual:
    """Try the usual volatility on every year that has a past.

    The median is that of all days whose target was known a week before the year.
    With less than a year of past, the second half of the days is tried with the first.
    """
    rows = procedure.known_before(data, None)
    years = np.unique(data.date[rows].astype("datetime64[Y]")).astype("datetime64[D]")
    found = [
        _usual_between(data, rows, *ends) for ends in zip(years, [*years[1:], None], strict=True)
    ]
    if not sum(len(each.date) for each in found):
        middle = data.date[rows[len(rows) // 2]]
        found = [_usual_between(data, rows, middle, None, fewest=1)]
    return Usual(
        date=np.concatenate([each.date for each in found]),
        near=np.concatenate([each.near for each in found]),
    )


def _usual_between(
    data: dataset.Dataset,
    rows: dataset.Rows,
    start: np.datetime64,
    end: np.datetime64 | None,
    fewest: int = FEWEST_DAYS,
) -> Usual:
    dates, near = [data.date[:0]], [np.zeros(0, dtype=bool)]
    for symbol in range(len(data.symbols)):
        own = rows[data.symbol[rows] == symbol]
        past = own[data.known[own] < start - procedure.EMBARGO]
        now = own[data.date[own] >= start]
        now = now if end is None else now[data.date[now] < end]
        if len(past) >= fewest:
            error = data.log_volatility[now] - np.median(data.log_volatility[past])
            dates.append(data.date[now])
            near.append(np.abs(error) <= math.log(FACTOR))
    return Usual(date=np.concatenate(dates), near=np.concatenate(near))
