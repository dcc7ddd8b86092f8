"""Off-policy evaluation: what a policy would have earned, from what another one was logged with.

With the logging policy's propensity p_i of the arm a_i that row i has, the target policy's
probabilities pi, weights w_i = pi(a_i|x_i) / p_i, and predicted rewards q:

| estimator | value | source |
|-----------|-------|--------|
| `ips`   | mean w r                              | Horvitz and Thompson 1952 |
| `snips` | sum w r / sum w                       | Swaminathan and Joachims 2015 |
| `dm`    | mean over rows of sum_a pi q          | the direct method |
| `dr`    | dm + mean w (r - q)                   | Dudik, Langford and Li 2011 |
| `sndr`  | dm + sum w (r - q) / sum w            | Thomas and Brunskill 2016 |

Weights may be clipped from above: less variance for a bias towards what clipped rows left out.
"""

import dataclasses
from collections.abc import Callable
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Arms = NDArray[np.integer]
Name = Literal["ips", "snips", "dm", "dr", "sndr"]

NAMES: tuple[Name, ...] = ("ips", "snips", "dm", "dr", "sndr")
_PREDICTING = ("dm", "dr", "sndr")
_TOLERANCE = 1e-6


class Unusable(ValueError):  # noqa: N818  named after the log, which has to be mended
    """A log from which nothing can be estimated: what is wrong with it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Log:
    """Rows of a log, and what a target policy would have done in each.

    `arms` [n] are columns of `target` [n, K]; `propensities` [n] are the logging policy's of the
    arms taken; `predicted` [n, K] are rewards predicted of every arm by a model that has not seen
    the row (see `reward_model.cross_fitted`). Raises `Unusable`.
    """

    arms: Arms
    rewards: Array
    propensities: Array
    target: Array
    predicted: Array | None = None

    def __post_init__(self) -> None:
        """Check shapes and ranges."""
        count = len(self.arms)
        if not count:
            raise Unusable("the log is empty: nothing was decided and rewarded")
        if self.target.ndim != 2 or len(self.target) != count:  # noqa: PLR2004  rows and arms
            raise Unusable(f"target: expected shape ({count}, K), got {self.target.shape}")
        for name in ("rewards", "propensities"):
            _check_finite(name, getattr(self, name), (count,))
        _check_finite("target", self.target, self.target.shape)
        if self.predicted is not None:
            _check_finite("predicted", self.predicted, self.target.shape)
        if not ((self.arms >= 0) & (self.arms < self.target.shape[1])).all():
            raise Unusable(f"arms: expected columns of target, 0..{self.target.shape[1] - 1}")
        if not ((self.propensities > 0) & (self.propensities <= 1)).all():
            raise Unusable("propensities: expected probabilities above 0: what was taken had one")
        if (self.target < 0).any() or (abs(self.target.sum(axis=1) - 1) > _TOLERANCE).any():
            raise Unusable("target: expected probabilities that add up to 1 in every row")

    def weights(self, clip: float | None = None) -> Array:
        """Give the importance weights [n], at most `clip`."""
        weights: Array = self.target[np.arange(len(self.arms)), self.arms] / self.propensities
        return weights if clip is None else np.minimum(weights, clip)


@dataclasses.dataclass(frozen=True, slots=True)
class Estimate:
    """A policy's value per decision, with its interval."""

    estimator: Name
    value: float
    standard_error: float
    lower: float
    upper: float
    level: float
    """Of the interval, 0.95 for 95 %."""


@dataclasses.dataclass(frozen=True, slots=True)
class Evaluation:
    """All estimates from one log, and how much they can be trusted."""

    estimates: dict[Name, Estimate]
    rows: int
    effective_sample_size: float
    """(sum w)^2 / sum w^2 (Kish 1965): rows of the target policy's own that say as much."""
    largest_weight: float
    clip: float | None
    clipped: int
    """Rows whose weight was cut to `clip`."""
    interval: str


@dataclasses.dataclass(frozen=True, slots=True)
class _Parts:
    """An estimator as mean(base) + mean(numerator) / mean(denominator), row by row."""

    base: Array
    numerator: Array
    denominator: Array | None = None

    def value(self) -> float:
        ratio = self.numerator.mean()
        if self.denominator is not None:
            ratio = ratio / self.denominator.mean()
        return float(self.base.mean() + ratio)

    def influence(self) -> Array:
        """Give each row's influence on the value [n]: its mean is 0."""
        if self.denominator is None:
            influence = self.base + self.numerator
        else:
            mean = self.denominator.mean()
            ratio = self.numerator.mean() / mean
            influence = self.base + (self.numerator - ratio * self.denominator) / mean
        centred: Array = influence - influence.mean()
        return centred

    def resampled(self, rows: NDArray[np.integer]) -> float:
        denominator = None if self.denominator is None else self.denominator[rows]
        return _Parts(self.base[rows], self.numerator[rows], denominator).value()


def evaluate(  # noqa: PLR0913  each is an option, named at the call site
    log: Log,
    *,
    level: float = 0.95,
    clip: float | None = None,
    interval: Literal["normal", "bootstrap"] = "normal",
    resamples: int = 1000,
    seed: int = 0,
) -> Evaluation:
    """Estimate the target policy's value by every estimator that the log allows.

    `normal` intervals are value +- z s / sqrt(n), with s the standard deviation of the rows'
    influence on the value (for ratios by the delta method); `bootstrap` ones are percentiles of
    values over rows drawn anew (Efron 1979), slower, and better for few rows or large weights.
    Both take rows for independent, and predictions as given: an interval of `dm` says nothing of
    its model's bias.

    Raises `Unusable` where no row's arm could have been the target policy's.
    """
    if not 0 < level < 1:
        raise Unusable(f"level: expected a probability such as 0.95, got {level}")
    if clip is not None and not clip > 0:
        raise Unusable(f"clip: expected a weight above 0, got {clip}")
    raw = log.weights()
    weights = log.weights(clip)
    if not weights.any():
        raise Unusable("no row has an arm that the target policy would have taken: no overlap")
    bounds = _normal(level) if interval == "normal" else _bootstrap(level, resamples, seed)
    parts = _parts(log, weights)
    return Evaluation(
        estimates={name: _estimate(name, part, level, bounds) for name, part in parts.items()},
        rows=len(weights),
        effective_sample_size=float(weights.sum() ** 2 / (weights**2).sum()),
        largest_weight=float(raw.max()),
        clip=clip,
        clipped=0 if clip is None else int((raw > clip).sum()),
        interval=interval,
    )


def difference(
    log: Log, other: Log, name: Name, *, level: float = 0.95, clip: float | None = None
) -> Estimate:
    """Estimate by how much the target of `log` is better than that of `other`, over the same rows.

    The interval is normal, of the paired influences; `clip` is for `log` alone.
    """
    one, two = _parts(log, log.weights(clip))[name], _parts(other, other.weights())[name]
    error = _standard_error(one.influence() - two.influence())
    value = one.value() - two.value()
    z = NormalDist().inv_cdf((1 + level) / 2)
    return Estimate(name, value, error, value - z * error, value + z * error, level)


def _parts(log: Log, weights: Array) -> dict[Name, _Parts]:
    nothing = np.zeros(len(weights))
    gained = weights * log.rewards
    parts: dict[Name, _Parts] = {
        "ips": _Parts(nothing, gained),
        "snips": _Parts(nothing, gained, weights),
    }
    if log.predicted is not None:
        direct = (log.target * log.predicted).sum(axis=1)
        residual = weights * (log.rewards - log.predicted[np.arange(len(weights)), log.arms])
        parts["dm"] = _Parts(direct, nothing)
        parts["dr"] = _Parts(direct, residual)
        parts["sndr"] = _Parts(direct, residual, weights)
    return parts


_Bounds = Callable[[_Parts, float, float], tuple[float, float]]


def _estimate(name: Name, parts: _Parts, level: float, bounds: _Bounds) -> Estimate:
    value, influence = parts.value(), parts.influence()
    error = _standard_error(influence)
    lower, upper = bounds(parts, value, error)
    return Estimate(name, value, error, lower, upper, level)


def _standard_error(influence: Array) -> float:
    count = len(influence)
    if count < 2:  # noqa: PLR2004  one row has no spread
        return float("inf")
    return float(influence.std(ddof=1) / np.sqrt(count))


def _normal(level: float) -> _Bounds:
    z = NormalDist().inv_cdf((1 + level) / 2)

    def bounds(parts: _Parts, value: float, error: float) -> tuple[float, float]:
        del parts
        return value - z * error, value + z * error

    return bounds


def _bootstrap(level: float, resamples: int, seed: int) -> _Bounds:
    def bounds(parts: _Parts, value: float, error: float) -> tuple[float, float]:
        del value, error
        generator = np.random.default_rng(seed)  # the same rows for every estimator
        count = len(parts.base)
        drawn = [parts.resampled(generator.integers(count, size=count)) for _ in range(resamples)]
        with np.errstate(invalid="ignore"):
            lower, upper = np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2])
        return float(lower), float(upper)

    return bounds


def _check_finite(name: str, values: Array, shape: tuple[int, ...]) -> None:
    if values.shape != shape:
        raise Unusable(f"{name}: expected shape {shape}, got {values.shape}")
    if not np.isfinite(values).all():
        place = np.argwhere(~np.isfinite(values))[0].tolist()
        raise Unusable(f"{name}: expected finite numbers, got {values[tuple(place)]} at {place}")
