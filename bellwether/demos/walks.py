"""The days of a period, what was forecast for them by routing and by each model, and what that is worth."""

import dataclasses
import typing

import numpy as np
import numpy.typing as npt

from bellwether import demos
from infra.catalogue import models as catalogue
from models import discovery, evaluation, regimes

from . import comparison, periods, served

Array = comparison.Array

CLAIMED = 0.15
"""By how much routing is said to be better in volatile markets."""


def branches() -> dict[str, str]:
    """Give the model that is served for each regime, by the regime's name."""
    found = {}
    for each in catalogue.MODELS:
        regime = discovery.declared(each.artifact).regime
        if regime is None and each.artifact == evaluation.CALM_MODEL:
            regime = regimes.CALM
        if regime is not None:
            found[regime] = each.name
    return {name: found[name] for name in regimes.NAMES}


def short(model: str) -> str:
    """Give a model's name as tables have room for it."""
    return model.removesuffix("-predictor")


@dataclasses.dataclass(slots=True)
class Walk:
    """The days of a period and what was forecast for them; NaN and "" for days not yet asked for."""

    days: periods.Days
    models: dict[str, str]
    """The branches' models by regime."""
    branch: npt.NDArray[np.str_]
    """[n]: the model that answered the routed request."""
    routed: Array
    """[n]: logarithm of the routed forecast."""
    interval: Array
    """[n, 2], as volatility"""
    seconds: Array
    """[n]: time of the routed request."""
    singles: dict[str, Array]
    """Every branch's model alone: logarithm of its forecast [n]."""
    artifacts: set[str] = dataclasses.field(default_factory=set)
    done: int = 0

    @classmethod
    def of(cls, days: periods.Days) -> "Walk":
        """Begin with the first day."""
        count, models = len(days), branches()
        return cls(
            days=days,
            models=models,
            branch=np.full(count, "", dtype="U64"),
            routed=np.full(count, np.nan),
            interval=np.full((count, 2), np.nan),
            seconds=np.full(count, np.nan),
            singles={model: np.full(count, np.nan) for model in models.values()},
        )

    @property
    def forecasts(self) -> dict[str, Array]:
        """Every forecaster's logarithms [n] by name: the routed one first, the last value last."""
        return {
            comparison.ROUTED: self.routed,
            **{short(model): values for model, values in self.singles.items()},
            comparison.LAST_VALUE: self.days.last_value,
        }

    @property
    def regime(self) -> npt.NDArray[np.str_]:
        """The regime [n] for which the branch that answered was made."""
        made_for = {model: regime for regime, model in self.models.items()}
        return np.array([made_for.get(model, "") for model in self.branch.tolist()])

    def share(self, model: str) -> float:
        """Give the share of the days so far that a branch took."""
        return float((self.branch[: self.done] == model).mean()) if self.done else 0.0

    def error(self, forecast: Array, last: int | None = None) -> float:
        """Give the root mean square error of a forecast so far, or over the `last` days."""
        start = 0 if last is None else max(0, self.done - last)
        errors = (self.days.log_volatility - forecast)[start : self.done]
        errors = errors[np.isfinite(errors)]
        return float(np.sqrt((errors**2).mean())) if len(errors) else float("nan")

    def only(self, count: int) -> "Walk":
        """Give the first `count` days alone."""
        inputs = self.days.inputs
        return Walk(
            days=dataclasses.replace(
                self.days,
                inputs=dataclasses.replace(
                    inputs,
                    date=inputs.date[:count],
                    close=inputs.close[:count],
                    features=inputs.features[:count],
                    history=inputs.history[:count],
                ),
                log_volatility=self.days.log_volatility[:count],
                last_value=self.days.last_value[:count],
            ),
            models=self.models,
            branch=self.branch[:count],
            routed=self.routed[:count],
            interval=self.interval[:count],
            seconds=self.seconds[:count],
            singles={model: values[:count] for model, values in self.singles.items()},
            artifacts=self.artifacts,
            done=min(self.done, count),
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """What a walk came to."""

    walk: Walk
    of_days: int
    comparisons: list[comparison.Comparison]
    p50_ms: float
    p99_ms: float
    took: float

    @property
    def volatile(self) -> comparison.Comparison | None:
        """The comparison on volatile days; None where there was none."""
        for each in self.comparisons:
            if each.regime == regimes.VOLATILE:
                return each
        whole = self.comparisons[0]
        return whole if (self.walk.regime == regimes.VOLATILE).all() else None

    @property
    def direct(self) -> int:
        """Days on which the branch is the one that the definition of regimes gives."""
        return int((regimes.of(self.walk.days.inputs.history) == self.walk.regime).sum())

    @property
    def seen(self) -> bool | None:
        """Whether the served models were fitted on days of the period; None where no card tells."""
        inputs = self.walk.days.inputs
        pasts = [served.past(each, inputs.symbol) for each in sorted(self.walk.artifacts)]
        known = [each for each in pasts if each]
        if not known or len(known) < len(pasts):
            return None
        return any(each.first <= inputs.date[-1] and inputs.date[0] <= each.last for each in known)

    def document(self) -> dict[str, typing.Any]:
        """Give it as JSON's types."""
        inputs, walk = self.walk.days.inputs, self.walk
        return {
            "symbol": inputs.symbol,
            "market_conditions": str(walk.days.period.market),
            "from": str(inputs.date[0]),
            "to": str(inputs.date[-1]),
            "days": len(inputs),
            "of_days": self.of_days,
            "share_of_days": {short(model): walk.share(model) for model in walk.singles},
            "branch_equals_direct_calculation_days": self.direct,
            "comparisons": [each.document() for each in self.comparisons],
            "claim": {"claimed": CLAIMED, "verdict": verdict(self.volatile)},
            "models_were_fitted_on_these_days": self.seen,
            "routed_request_ms": {"p50": round(self.p50_ms, 2), "p99": round(self.p99_ms, 2)},
            "seconds": round(self.took, 1),
        }


def verdict(volatile: comparison.Comparison | None) -> str:
    """Say what the days say of the claim: `holds`, `does not hold`, `undecided`, `not tested`."""
    if volatile is None:
        return "not tested: no day is volatile"
    gain = volatile.over_best_single
    if not np.isfinite(gain.low):
        return f"not tested: {volatile.days} volatile days are too few for an interval"
    if gain.low >= CLAIMED:
        return "holds"
    return "does not hold" if gain.high < CLAIMED else "undecided"


def summed_up(walk: Walk, of_days: int, seed: int, took: float) -> Result:
    """Compare the forecasts of a walk with what came true.

    Raises:
        DemoError: nothing came true yet.

    """
    known = np.isfinite(walk.days.log_volatility)
    if known.sum() <= 1:
        raise demos.DemoError("no day was asked for whose five days after it have come: no error")
    p50, p99 = np.percentile(walk.seconds, [50, 99]) * 1000
    return Result(
        walk=walk,
        of_days=of_days,
        comparisons=comparison.compare(walk.days.log_volatility, walk.forecasts, walk.regime, seed),
        p50_ms=float(p50),
        p99_ms=float(p99),
        took=took,
    )
