"""What each feature adds to a forecast's logarithm, exactly where the model's kind allows it.

An attribution is additive: base value + contributions = the model's output (Lundberg and Lee 2017,
"A Unified Approach to Interpreting Model Predictions").

- A line: `coefficient * (x - mean)`, the Shapley values of a linear model of independent features
  (Štrumbelj and Kononenko 2014); the base is the line at the background's mean.
- Trees: TreeSHAP with the trees' own covers (Lundberg et al. 2020, "From local explanations to
  global understanding with explainable AI for trees"), by LightGBM itself.
- A network: sampled Shapley values, see `permutations`.
- An ensemble: the members' attributions, weighted; Shapley values are linear in the model.
"""

import dataclasses
from collections.abc import Sequence
from typing import Protocol

import lightgbm
import numpy as np

from runtimes.predictor import (
    artifact,
    forecast_ensemble,
    forecast_lightgbm,
    forecast_linear,
    forecast_onnx,
)

from . import bundle, permutations

Array = artifact.Array


@dataclasses.dataclass(frozen=True, slots=True)
class Attribution:
    """Contributions to log volatility that add up to `output - base`."""

    base: float
    output: float
    contributions: Array
    """[F + C]: of every feature, then of every channel of the history."""
    sampling_error: float = 0.0
    """Sum of the contributions' standard errors; 0 where nothing is sampled."""
    days: int = 0
    """Days of the background that it is relative to."""

    @property
    def completeness_error(self) -> float:
        """Relative error of the volatility that base and contributions add up to."""
        return float(abs(np.expm1(self.base + self.contributions.sum() - self.output)))


class Attributor(Protocol):
    """Explains one artifact."""

    @property
    def method(self) -> str:
        """What it does, for a person."""
        ...

    @property
    def quick(self) -> bool:
        """Whether it takes so little that a thread's hand-over costs more."""
        ...

    def attribute(self, features: Array, history: Array) -> Attribution:
        """Explain one row: `features` [1, F], `history` [1, T, C]."""
        ...


@dataclasses.dataclass(frozen=True)
class Line:
    """The exact Shapley values of a line."""

    line: forecast_linear.Line
    mean: Array
    base: float
    """The line at the mean."""
    unused: Array
    """[C]: what the history contributes, nothing."""
    days: int

    method = "exact linear SHAP"
    quick = True

    @classmethod
    def over(cls, line: forecast_linear.Line, background: bundle.Background) -> "Line":
        """Explain `line` against the mean of `background`."""
        return cls(
            line=line,
            mean=background.mean,
            base=float(line(background.mean[None])[0]),
            unused=np.zeros(background.history.shape[2]),
            days=len(background),
        )

    def attribute(self, features: Array, history: Array) -> Attribution:
        """See `Attributor`; the history has no part."""
        del history
        parts = self.line.coefficients * (features[0] - self.mean)
        return Attribution(
            base=self.base,
            output=float(self.line(features)[0]),
            contributions=np.concatenate([parts, self.unused]),
            days=self.days,
        )


@dataclasses.dataclass(frozen=True)
class Trees:
    """The exact path-dependent Shapley values of trees, and those of the line that they add to."""

    line: Line
    booster: lightgbm.Booster

    method = "exact linear SHAP and TreeSHAP"
    quick = True

    def attribute(self, features: Array, history: Array) -> Attribution:
        """See `Attributor`; the history has no part."""
        of_line = self.line.attribute(features, history)
        added = self.booster.predict(features, pred_contrib=True, num_threads=1)[0]
        output = float(self.booster.predict(features, num_threads=1)[0])
        contributions = of_line.contributions
        contributions[: len(added) - 1] += added[:-1]
        return Attribution(
            base=of_line.base + float(added[-1]),
            output=of_line.output + output,
            contributions=contributions,
            days=of_line.days,
        )


@dataclasses.dataclass(frozen=True)
class Network:
    """Sampled Shapley values of whatever forecasts."""

    game: permutations.Game

    method = "grouped permutations"
    quick = False

    def attribute(self, features: Array, history: Array) -> Attribution:
        """See `Attributor`."""
        values = self.game.play(features, history)
        return Attribution(
            base=values.base,
            output=values.output,
            contributions=values.mean,
            sampling_error=float(values.error.sum()),
            days=len(self.game.features),
        )


@dataclasses.dataclass(frozen=True)
class Weighted:
    """The weighted sum of members' attributions."""

    members: Sequence[tuple[float, Attributor]]

    method = "weighted sum over members"

    @property
    def quick(self) -> bool:
        """Whether every member is."""
        return all(member.quick for _, member in self.members)

    def attribute(self, features: Array, history: Array) -> Attribution:
        """See `Attributor`."""
        return weighted(
            [(weight, member.attribute(features, history)) for weight, member in self.members]
        )


def weighted(parts: Sequence[tuple[float, Attribution]]) -> Attribution:
    """Give the attribution of the weighted sum of what was attributed."""
    base = output = error = 0.0
    contributions = np.zeros_like(parts[0][1].contributions)
    # In the members' order, as the ensemble adds them: the output is the same to the last bit.
    for weight, part in parts:
        base += weight * part.base
        output += weight * part.output
        error += weight * part.sampling_error
        contributions += weight * part.contributions
    return Attribution(
        base=base,
        output=output,
        contributions=contributions,
        sampling_error=error,
        days=min(part.days for _, part in parts),
    )


def of(
    estimator: artifact.Estimator, background: bundle.Background, sampling: permutations.Sampling
) -> Attributor:
    """Give what explains `estimator` on the path: exact where its kind allows it."""
    if isinstance(estimator, forecast_linear.Linear):
        return Line.over(estimator.log_volatility, background)
    if isinstance(estimator, forecast_lightgbm.Trees):
        return Trees(Line.over(estimator.line, background), estimator.log_volatility)
    if isinstance(estimator, forecast_ensemble.Ensemble):
        return Weighted(
            [
                (member.volatility_weight, of(member.estimator, background, sampling))
                for member in estimator.members
            ]
        )
    if isinstance(estimator, forecast_onnx.Network):
        return Network(permutations.Game.over(estimator, background, sampling))
    raise TypeError(
        f"an artifact's estimator is a {type(estimator).__name__}: no attribution is known for it"
    )
