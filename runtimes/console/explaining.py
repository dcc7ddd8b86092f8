"""Why a forecast is what it is, and what it would be: asked of the models that are deployed."""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from runtimes import contract

from . import predictions
from .doors import Refused, gateway

ENRICHMENT = "enrichment"
"""The step whose answer has what the predictor was given."""

SPREAD = 3.0
"""How many standard deviations a slider reaches to either side."""

Document = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Subject:
    """A prediction as its predictor saw it."""

    id: str
    symbol: str
    date: str
    model: str
    version: str
    artifact: str
    volatility: float
    features: tuple[float, ...]
    history: tuple[float, ...]
    history_shape: tuple[int, ...]
    told: Document
    """The explanation that the pipeline gave on its way, or what is missing of it."""

    @property
    def inputs(self) -> list[dict[str, Any]]:
        """Give what a predictor is asked with."""
        return self.changed(self.features)

    def changed(self, features: Sequence[float]) -> list[dict[str, Any]]:
        """Give it with other features."""
        return [
            gateway.numbers(contract.FEATURES, (1, len(features)), features),
            gateway.numbers(contract.HISTORY, self.history_shape, self.history),
        ]


@dataclasses.dataclass(frozen=True, slots=True)
class Forecast:
    """What a predictor answers."""

    volatility: float
    direction: float
    interval: tuple[float, float]
    route: str
    """The model version that answered."""


@dataclasses.dataclass(frozen=True, slots=True)
class Slider:
    """A feature that can be asked for at another value."""

    feature: str
    unit: str
    place: int
    """In the predictor's `features`."""
    value: float
    least: float
    most: float


def subject(trace: predictions.Trace) -> Subject:
    """Read a prediction's subject; raise `Refused` if no predictor's forecast can be explained."""
    step = trace.step(ENRICHMENT)
    name, version, artifact = trace.answered[contract.MODEL].data
    told = predictions.document(trace.answered, contract.EXPLANATION) or {}
    if step is None or contract.FEATURES not in step.outputs:
        raise Refused(f"{trace.id}: Kafka has no record of its features any more")
    features, history = step.outputs[contract.FEATURES], step.outputs[contract.HISTORY]
    if told.get("reason") == "fallback" or not all(map(math.isfinite, features.data)):
        raise Refused(
            f"{trace.id} was answered by {name}: it reads no features, so there is nothing to explain"
        )
    return Subject(
        id=trace.id,
        symbol=str(trace.answered[contract.SYMBOL].data[0]),
        date=str(trace.answered[contract.DATE].data[0]),
        model=str(name),
        version=str(version),
        artifact=str(artifact),
        volatility=float(trace.answered[contract.PREDICTION].data[0]),
        features=tuple(features.data),
        history=tuple(history.data),
        history_shape=history.shape,
        told=told,
    )


async def explain(
    door: gateway.Gateway, explainer: str, of: Subject, method: str, **more: float
) -> Document:
    """Have a prediction explained; raises as `Gateway.infer` does."""
    inputs = [
        *of.inputs,
        gateway.text(contract.MODEL, of.artifact),
        gateway.text("method", method),
        *(gateway.number(name, value) for name, value in more.items()),
    ]
    answer = await door.infer(explainer, inputs)
    document: dict[str, Any] = json.loads(answer.outputs[contract.EXPLANATION][0])
    return document


async def forecast(
    door: gateway.Gateway, of: Subject, sliders: Sequence[Slider], changes: Mapping[str, float]
) -> Forecast:
    """Ask the deployed model what it would forecast with other features, the history as it was."""
    features = list(of.features)
    places = {each.feature: each.place for each in sliders}
    unknown = sorted(set(changes) - set(places))
    if unknown:
        raise Refused(f"{of.model} has no feature {', '.join(unknown)}")
    for name, value in changes.items():
        features[places[name]] = float(value)
    answer = await door.infer(of.model, of.changed(features))
    low, high = answer.outputs[contract.INTERVAL]
    return Forecast(
        volatility=float(answer.outputs[contract.VOLATILITY][0]),
        direction=float(answer.outputs[contract.DIRECTION][0]),
        interval=(float(low), float(high)),
        route=answer.route[0] if answer.route else "",
    )


def sliders(of: Subject, weights: Document) -> tuple[Slider, ...]:
    """Give the features by their weight near the prediction, the largest first.

    `weights` is LIME's document, which names every feature with its value; a feature's place is
    where the request has that value. Features of the very same value cannot be told apart and
    are left out.
    """
    found = []
    for each in weights["attributions"]:
        value = float(each["value"])
        if of.features.count(value) != 1:
            continue
        reach = SPREAD * float(each["standard_deviation"])
        found.append(
            Slider(
                feature=str(each["feature"]),
                unit=str(each["unit"]),
                place=of.features.index(value),
                value=value,
                least=value - reach,
                most=value + reach,
            )
        )
    return tuple(found)
