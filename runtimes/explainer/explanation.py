"""An explanation as a document: what a caller reads, the same for every additive method."""

import dataclasses
import json
from typing import Any

import numpy as np

from runtimes import contract
from runtimes.predictor import artifact

from . import attribution, bundle

TARGET = "log_volatility"
"""What is explained: contributions to it add up; `100 * (exp(c) - 1)` is one's effect in percent."""

TOP = 5
"""How many features an explanation on the path names."""


@dataclasses.dataclass(frozen=True, slots=True)
class Identity:
    """Who made the forecast: a row of the tensor `model`."""

    name: str
    version: str
    artifact: str

    def document(self) -> dict[str, str]:
        """Give it as JSON's types."""
        return {"name": self.name, "version": self.version, "artifact": self.artifact}


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """What is attributed to: a feature, or a channel of the history."""

    name: str
    unit: str


def groups(source: bundle.Bundle) -> tuple[Group, ...]:
    """Give every feature, then every channel of the history."""
    return (
        *(Group(feature.name, feature.unit) for feature in source.features),
        *(
            Group(f"{contract.HISTORY}.{channel.name}", f"{channel.unit}, the last day's")
            for channel in source.channels
        ),
    )


def additive(  # noqa: PLR0913  # each is a different thing
    parts: attribution.Attribution,
    *,
    method: str,
    source: bundle.Bundle,
    named: tuple[Group, ...],
    features: artifact.Array,
    history: artifact.Array,
    top: int = TOP,
) -> dict[str, Any]:
    """Give the document of an attribution of one row, its `top` contributions first."""
    values = [*features[0].tolist(), *history[0, -1].tolist()]
    contributions = parts.contributions.tolist()
    order = sorted(range(len(contributions)), key=lambda at: -abs(contributions[at]))
    effects = (100 * np.expm1(parts.contributions)).tolist()
    background = source.background
    error = parts.completeness_error
    return {
        "method": method,
        "target": TARGET,
        "base_value": parts.base,
        "output": parts.output,
        "attributions": [
            {
                "feature": named[at].name,
                "value": values[at],
                "unit": named[at].unit,
                "contribution": contributions[at],
                "effect_percent": effects[at],
            }
            for at in order[:top]
        ],
        "rest": sum(contributions[at] for at in order[top:]),
        "completeness_error": error,
        "sampling_error": parts.sampling_error,
        "background": {"rows": parts.days, "digest": background.digest},
        "confidence": confidence(parts, background.typicality(features)),
    }


def confidence(parts: attribution.Attribution, typicality: float) -> float:
    """Give 0..1: how exact the attribution is, times how usual the row is.

    `max(0, 1 - completeness error - sampling error / sum of |contributions|) * typicality`;
    see `bundle.Background.typicality`.
    """
    total = float(np.abs(parts.contributions).sum())
    sampled = parts.sampling_error / total if parts.sampling_error and total else 0.0
    return max(0.0, 1.0 - parts.completeness_error - sampled) * typicality


def missing(reason: str, text: str, identity: Identity) -> str:
    """Give the explanation that there is none: which kind of reason, and in words."""
    return json.dumps({"missing": text, "reason": reason, "model": identity.document()})
