"""From a forecast to a position: every rule that fires has its name, its reason, and what it did.

The position is that of volatility targeting (Moreira and Muir 2017, "Volatility-Managed
Portfolios"; Bollerslev, Hood, Huss and Pedersen 2018, "Risk Everywhere"): the share of wealth at
which the forecast volatility is the target, `target_volatility / volatility`.
It is long only. The direction is at its base rate, and nothing here bets on it.
"""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

from . import calibration

CONFIDENCE = "confidence"
POSITION = "position"

USUAL = 0.5
"""Anomaly and drift scores up to this are usual: the border of either."""


@dataclasses.dataclass(frozen=True, slots=True)
class Forecast:
    """What there is to decide on."""

    symbol: str
    volatility: float
    lower: float
    upper: float
    model: str
    artifact: str
    regime: str
    quality_score: float
    anomaly_score: float
    drift_score: float
    fallback: str | None
    """Why the fallback answered; None if a model did."""

    @property
    def width(self) -> float:
        """Give the interval's width in logarithms."""
        return math.log(self.upper / self.lower)


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """The business rules' numbers, from configuration: see `settings.Settings`."""

    target_volatility: float = 0.1
    largest_position: float = 1.0
    minimum_confidence: float = 0.5
    fallback_share: float = 0.5
    maximum_anomaly: float = 0.9
    maximum_drift: float = 0.9
    blocked: frozenset[str] = frozenset()
    """In upper case."""


@dataclasses.dataclass(frozen=True, slots=True)
class Fired:
    """One rule that fired."""

    name: str
    of: str
    """What it is about: `confidence` or `position`."""
    reason: str
    before: float
    after: float

    def document(self) -> dict[str, Any]:
        """Give it as JSON's types."""
        return {
            "name": self.name,
            "of": self.of,
            "reason": self.reason,
            "before": self.before,
            "after": self.after,
        }


@dataclasses.dataclass(frozen=True, slots=True)
class Decision:
    """How sure, how much, and why."""

    confidence: float
    position: float
    fired: tuple[Fired, ...]


def decide(forecast: Forecast, known: calibration.Calibration, given: Limits) -> Decision:
    """Apply the rules, in the order of this module."""
    fired: list[Fired] = []
    confidence = _confidence(forecast, known, fired)
    position = given.target_volatility / forecast.volatility
    for name, most, reason in _limits(forecast, position, confidence, given):
        after = min(position, most)
        fired.append(Fired(name, POSITION, reason, position, after))
        position = after
    return Decision(confidence=confidence, position=position, fired=tuple(fired))


def _confidence(forecast: Forecast, known: calibration.Calibration, fired: list[Fired]) -> float:
    if forecast.fallback is not None:
        # The usual volatility is read from no feature: how good these are changes nothing of it.
        return known.fallback
    model = known.models.get(forecast.model)
    offset = model.offset if model is not None else 0.0
    confidence = known.probability(forecast.width, forecast.regime, offset)
    if model is None or forecast.artifact not in model.artifacts:
        after = known.probability(forecast.width, forecast.regime, known.least_offset)
        reason = (
            f"{forecast.model} with artifact {forecast.artifact} was not calibrated: "
            "taken for as sure as the least sure model that was"
        )
        fired.append(Fired("uncalibrated_model", CONFIDENCE, reason, confidence, after))
        confidence = after
    for name, factor, reason in _doubts(forecast, known):
        after = confidence * factor
        fired.append(Fired(name, CONFIDENCE, reason, confidence, after))
        confidence = after
    return confidence


def _doubts(forecast: Forecast, known: calibration.Calibration) -> Iterator[tuple[str, float, str]]:
    """Give what lowers a confidence: each a name, a factor below 1, and a reason."""
    if forecast.symbol not in known.symbols:
        yield (
            "unseen_symbol",
            known.unseen_symbol,
            (
                f"{forecast.symbol} is none of the calibrated {', '.join(known.symbols)}: "
                f"times {known.unseen_symbol:.3g}, the worst that a symbol did which was left out"
            ),
        )
    if forecast.width > known.width.highest:
        yield (
            "beyond_training",
            known.width.highest / forecast.width,
            (
                f"the interval's width {forecast.width:.3g} in logarithms is beyond the widest that "
                f"was seen, {known.width.highest:.3g}: times their ratio"
            ),
        )
    nearest = known.volatility.clip(forecast.volatility)
    if nearest != forecast.volatility:
        ratio = min(nearest, forecast.volatility) / max(nearest, forecast.volatility)
        yield (
            "beyond_training",
            ratio,
            (
                f"volatility {forecast.volatility:.3g} is outside of what was seen, "
                f"{known.volatility.lowest:.3g} to {known.volatility.highest:.3g}: "
                "times its ratio to the nearer end"
            ),
        )
    if forecast.quality_score < 1:
        yield (
            "low_quality",
            forecast.quality_score,
            (
                f"quality score {forecast.quality_score:.3g} is below the 1 of all training data: "
                "times the score"
            ),
        )
    if forecast.anomaly_score > USUAL:
        yield (
            "unusual",
            _beyond(forecast.anomaly_score),
            (
                f"anomaly score {forecast.anomaly_score:.3g} is above {USUAL:g}: less by what it is beyond"
            ),
        )
    if forecast.drift_score > USUAL:
        yield (
            "drifted",
            _beyond(forecast.drift_score),
            (
                f"drift score {forecast.drift_score:.3g} is above {USUAL:g}: less by what it is beyond"
            ),
        )


def _beyond(score: float) -> float:
    return 1 - (score - USUAL)


def _limits(
    forecast: Forecast, targeted: float, confidence: float, given: Limits
) -> Iterator[tuple[str, float, str]]:
    """Give what limits a position: each a name, the most that it allows, and a reason."""
    if targeted > given.largest_position:
        yield (
            "largest_position",
            given.largest_position,
            (
                f"volatility {forecast.volatility:.3g} allows {targeted:.3g} of wealth for the target "
                f"{given.target_volatility:g}: at most {given.largest_position:g}"
            ),
        )
    if forecast.fallback is not None:
        most = given.fallback_share * given.largest_position
        yield (
            "fallback_position",
            most,
            (f"the fallback answered ({forecast.fallback}): at most {most:g}"),
        )
    if confidence < given.minimum_confidence:
        yield (
            "minimum_confidence",
            0.0,
            (f"confidence {confidence:.3g} is below {given.minimum_confidence:g}: no position"),
        )
    if forecast.fallback is None and forecast.anomaly_score > given.maximum_anomaly:
        yield (
            "maximum_anomaly",
            0.0,
            (
                f"anomaly score {forecast.anomaly_score:.3g} is above {given.maximum_anomaly:g}: "
                "no position"
            ),
        )
    if forecast.fallback is None and forecast.drift_score > given.maximum_drift:
        yield (
            "maximum_drift",
            0.0,
            (
                f"drift score {forecast.drift_score:.3g} is above {given.maximum_drift:g}: no position"
            ),
        )
    if forecast.symbol.upper() in given.blocked:
        yield "blocked_symbol", 0.0, f"{forecast.symbol} is blocked: no position"
