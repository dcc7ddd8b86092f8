"""Predictions as they are in Kafka: the newest, and one through every step of its pipeline."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pydantic

from runtimes import contract
from runtimes.contract import bandits, inference

from .doors import Missing, objects, topics

SHOWN = 40
"""How many of the newest predictions are listed."""

SEARCHED = 200_000
"""How many of the newest answers are searched for an id."""

EARLIER, LATER = 2.0, 3.0
"""Seconds before and after a pipeline's answer in which the records of its steps are."""

Tensors = Mapping[str, inference.Tensor]
State = Literal["ran", "failed", "waited", "not asked"]


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One answer of the pipeline."""

    id: str
    time: float
    symbol: str
    date: str
    volatility: float
    interval: tuple[float, float]
    confidence: float
    position: float
    regime: str
    model: str


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """One step of the pipeline, as far as it got."""

    name: str
    state: State
    inputs: Tensors
    outputs: Tensors
    sources: tuple[str, ...]
    """What it is given, as the pipeline declares it."""
    triggers: tuple[str, ...]
    error: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Trace:
    """One request through the pipeline."""

    id: str
    time: float
    """When its answer was recorded."""
    asked: Tensors
    answered: Tensors
    steps: tuple[Step, ...]
    routing: Mapping[str, Any] | None
    """What the router recorded of its choice."""
    features: Mapping[str, float]
    """All that the feature store knew, by name."""
    rewards: tuple[bandits.Reward, ...]

    def step(self, name: str) -> Step | None:
        """Give a step by its name."""
        return next((each for each in self.steps if each.name == name), None)

    @property
    def ran(self) -> tuple[Step, ...]:
        """Those that were asked."""
        return tuple(each for each in self.steps if each.state == "ran")


@dataclasses.dataclass(frozen=True, slots=True)
class Decided:
    """One request of an experiment: it has no steps."""

    decision: bandits.Decision
    time: float
    rewards: tuple[bandits.Reward, ...]


async def newest(
    door: topics.Topics, namespace: str, pipeline: str, count: int = SHOWN
) -> tuple[Row, ...]:
    """Give the pipeline's newest answers, the newest first."""
    topic = inference.topic(namespace, "pipeline", pipeline, "outputs")
    records = await door.newest((topic,), count)
    return tuple(_row(each) for each in reversed(records))[:count]


async def trace(
    door: topics.Topics, api: objects.Objects, namespace: str, pipeline: str, identity: str
) -> Trace | Decided:
    """Follow one request; raise `Missing` if nothing is known of it."""
    outputs = inference.topic(namespace, "pipeline", pipeline, "outputs")
    answer = await door.find(outputs, identity, SEARCHED)
    if answer is None:
        return await _elsewhere(door, namespace, pipeline, identity)
    declared = (await api.get("pipelines", pipeline))["spec"]["steps"]
    names = [each["name"] for each in declared]
    sides = ("inputs", "outputs")
    wanted = [
        *(inference.topic(namespace, "model", name, side) for name in names for side in sides),
        inference.topic(namespace, "pipeline", pipeline, "inputs"),
        inference.errors(namespace),
        "routing",
        "feature-monitoring",
    ]
    near = await door.between(wanted, answer.time - EARLIER, answer.time + LATER)
    own = [each for each in near if each.key == identity]
    return Trace(
        id=identity,
        time=answer.time,
        asked=_tensors(own, wanted[len(names) * 2]),
        answered=inference.tensors(answer.value),
        steps=tuple(_step(each, own, namespace) for each in declared),
        routing=_document(near, "routing", identity),
        features=_numbers((_document(near, "feature-monitoring", identity) or {}).get("features")),
        rewards=await _rewards(door, identity),
    )


def usable(text: str) -> str | None:
    """Say what is wrong with what was given as an id; None: nothing."""
    if not text:
        return (
            "Give a prediction's id: `decide` prints it, and each answer has it as `prediction_id`."
        )
    if len(text) > bandits.LONGEST_ID:
        return f"An id has at most {bandits.LONGEST_ID} characters; this has {len(text)}."
    if any(each.isspace() or not each.isprintable() for each in text):
        return "An id has no spaces and no control characters."
    return None


async def _elsewhere(door: topics.Topics, namespace: str, pipeline: str, identity: str) -> Decided:
    """Look for a request that is no answer of the pipeline."""
    failed = await door.find(inference.errors(namespace), identity, SEARCHED)
    if failed is not None:
        step = dict(failed.headers).get("seldon-pipeline-errors", b"").decode(errors="replace")
        said = failed.value.decode(errors="replace")
        raise Missing(f"The request {identity} was not answered: {step or 'a step'} failed: {said}")
    found = await door.find(bandits.DECISIONS, identity, SEARCHED)
    if found is None:
        raise Missing(
            f"Nothing is known of {identity!r}: it is no id of the last {SEARCHED:,} answers of "
            f"{pipeline} or of an experiment. Ids are those that answers carry as `prediction_id` "
            "or `x-request-id`; Kafka keeps them for 30 days."
        )
    return Decided(bandits.Decision.decode(found.value), found.time, await _rewards(door, identity))


async def _rewards(door: topics.Topics, identity: str) -> tuple[bandits.Reward, ...]:
    record = await door.find(bandits.REWARDS, identity, SEARCHED)
    return () if record is None else (bandits.Reward.decode(record.value),)


def _row(record: topics.Record) -> Row:
    read = inference.tensors(record.value)
    interval = read[contract.INTERVAL].data
    return Row(
        id=record.key,
        time=record.time,
        symbol=str(read[contract.SYMBOL].data[0]),
        date=str(read[contract.DATE].data[0]),
        volatility=float(read[contract.PREDICTION].data[0]),
        interval=(float(interval[0]), float(interval[1])),
        confidence=float(read[contract.CONFIDENCE].data[0]),
        position=float(read[contract.POSITION].data[0]),
        regime=str(read[contract.REGIME].data[0]),
        model=str(read[contract.MODEL].data[0]),
    )


def _step(declared: Mapping[str, Any], own: Sequence[topics.Record], namespace: str) -> Step:
    name = str(declared["name"])
    inputs = _tensors(own, inference.topic(namespace, "model", name, "inputs"))
    outputs = _tensors(own, inference.topic(namespace, "model", name, "outputs"))
    error = _error(own, namespace, name)
    state: State = "not asked"
    if error is not None:
        state = "failed"
    elif outputs:
        state = "ran"
    elif inputs:
        state = "waited"
    return Step(
        name=name,
        state=state,
        inputs=inputs,
        outputs=outputs,
        sources=tuple(declared.get("inputs") or ()),
        triggers=tuple(declared.get("triggers") or ()),
        error=error,
    )


def _error(own: Sequence[topics.Record], namespace: str, name: str) -> str | None:
    for each in own:
        if each.topic != inference.errors(namespace):
            continue
        step = dict(each.headers).get("seldon-pipeline-errors", b"").decode(errors="replace")
        if step.rpartition("_")[0] == name or step == name:
            return each.value.decode(errors="replace")
    return None


def _tensors(own: Sequence[topics.Record], topic: str) -> Tensors:
    values = topics.values(own, topic)
    return inference.tensors(values[-1]) if values else {}


def _document(near: Sequence[topics.Record], topic: str, identity: str) -> Mapping[str, Any] | None:
    """Find a request's record among those that are keyed by symbol."""
    for value in topics.values(near, topic):
        if identity.encode() in value:
            found: dict[str, Any] = json.loads(value)
            if found.get("id") == identity:
                return found
    return None


def _numbers(found: object) -> dict[str, float]:
    if not isinstance(found, dict):
        return {}
    return {
        str(name): float(value) for name, value in found.items() if isinstance(value, int | float)
    }


def document(tensors: Tensors, name: str) -> Any:
    """Read a tensor of one text that is JSON; None if it is not there."""
    tensor = tensors.get(name)
    return None if tensor is None else pydantic.TypeAdapter(Any).validate_json(tensor.data[0])
