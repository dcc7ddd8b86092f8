"""How much better routing is than the alternatives, on the same days, with intervals.

As the walk-forward evaluation (`models.evaluation`) does it:
the error is the root mean square of log volatility;
days are resampled in blocks (stationary bootstrap, Politis and Romano 1994), the same for everybody;
the best single model is picked with hindsight on the same days, which flatters it.
"""

import collections.abc
import dataclasses
import typing

import arch.bootstrap
import numpy as np
import numpy.typing as npt

from models import dataset, evaluation

Array = dataset.Array
Estimate = evaluation.Estimate

ROUTED = evaluation.ROUTED
LAST_VALUE = evaluation.LAST_VALUE


@dataclasses.dataclass(frozen=True, slots=True)
class Comparison:
    """Routing against every single model and the last value, on one set of days."""

    regime: str
    days: int
    errors: collections.abc.Mapping[str, Estimate]
    """Root mean square error of log volatility, by forecaster."""
    best_single: str
    over_best_single: Estimate
    """By how much, as a share, routing's error is smaller; negative where it is larger."""
    over_last_value: Estimate

    def document(self) -> dict[str, typing.Any]:
        """Give it as JSON's types."""
        return {
            "regime": self.regime,
            "days": self.days,
            "rmse_log_volatility": {name: each.document() for name, each in self.errors.items()},
            "best_single": self.best_single,
            "gain_over_best_single": self.over_best_single.document(),
            "gain_over_last_value": self.over_last_value.document(),
        }


def compare(
    actual: Array,
    forecasts: collections.abc.Mapping[str, Array],
    regime: npt.NDArray[np.str_],
    seed: int,
) -> list[Comparison]:
    """Compare over every day, then over each regime that more than one day had.

    `actual` [n] and each of `forecasts` [n] are logarithms of volatility; days whose `actual` is
    NaN, because it has not come true yet, are left out. `forecasts` has to hold `ROUTED`,
    `LAST_VALUE` and at least one model.
    """
    known = np.isfinite(actual)
    squares = np.column_stack([(actual - each)[known] ** 2 for each in forecasts.values()])
    names, regimes = tuple(forecasts), regime[known]
    found = [_compare(evaluation.EVERY, names, squares, np.ones(len(squares)), seed)]
    for each in dict.fromkeys(regimes.tolist()):
        chosen = (regimes == each).astype(np.float64)
        if 1 < chosen.sum() < len(chosen):
            found.append(_compare(each, names, squares, chosen, seed))
    return found


def _compare(
    regime: str, names: tuple[str, ...], squares: Array, chosen: Array, seed: int
) -> Comparison:
    singles = [place for place, name in enumerate(names) if name not in {ROUTED, LAST_VALUE}]
    routed = names.index(ROUTED)
    sums = squares * chosen[:, None]
    total = sums.sum(axis=0)
    best = min(singles, key=lambda place: total[place])
    against = [best, names.index(LAST_VALUE)]

    def statistic(sums: Array, counts: Array) -> Array:
        # A resample without any day of a rare regime says nothing: NaN, left out below.
        errors = np.sqrt(sums.sum(axis=0) / (counts.sum() or np.nan))
        result: Array = np.concatenate([errors, 1 - errors[routed] / errors[against]])
        return result

    points = statistic(sums, chosen)
    low = high = np.full(len(points), np.nan)
    if chosen.sum() >= evaluation.FEWEST_DAYS:
        resamples = arch.bootstrap.StationaryBootstrap(
            evaluation.BLOCK_DAYS, sums, chosen, seed=seed
        ).apply(statistic, evaluation.REPETITIONS)
        tail = (1 - evaluation.CONFIDENCE) / 2
        low, high = np.nanquantile(resamples, [tail, 1 - tail], axis=0)
    estimates = [Estimate(*map(float, values)) for values in zip(points, low, high, strict=True)]
    return Comparison(
        regime=regime,
        days=int(chosen.sum()),
        errors=dict(zip(names, estimates, strict=False)),
        best_single=names[best],
        over_best_single=estimates[-2],
        over_last_value=estimates[-1],
    )
