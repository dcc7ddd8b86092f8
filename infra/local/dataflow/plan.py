"""A document of pipelines, made ready to be executed: who reads what, and who answers for whom."""

import bisect
import itertools
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from infra.local.dataflow import topics
from infra.local.dataflow.batches import Batch
from infra.local.dataflow.joins import MILLISECOND, Join, Source
from infra.local.mesh import dataflow

PIPELINE_INPUTS = 0
"""The topic of what a caller asks."""

OUTPUT = -1
"""The target of the join that makes the pipeline's answer."""


GATE_SOURCES = (Source("inputs", -1, None, {}), Source("triggers", -1, None, {}))


def inputs_of(step: int) -> int:
    """Give the topic of a step's inputs."""
    return 1 + 2 * step


def outputs_of(step: int) -> int:
    """Give the topic of a step's outputs."""
    return 2 + 2 * step


class Choice:
    """Who answers for a model: one version, or several by weight."""

    def __init__(self, shares: Sequence[dataflow.Share]) -> None:
        self.versions = tuple(share.internal_name for share in shares)
        self._totals = list(itertools.accumulate(share.weight for share in shares))

    def version(self) -> str | None:
        """Choose a version; `None` when all weights are zero."""
        # One takes everything, whatever its weight: 0 is for splits.
        if len(self.versions) == 1:
            return self.versions[0]
        total = self._totals[-1]
        if total == 0:
            return None
        return self.versions[bisect.bisect(self._totals, random.random() * total)]  # noqa: S311 - a split is no secret


class Reader(NamedTuple):
    """A source of a join that reads a topic."""

    join: int
    place: int
    source: Source


class Step(NamedTuple):
    """A step, with the joins that it waits for."""

    number: int
    name: str
    joins: tuple[int, ...]
    """What leads to it: the join of its inputs, or inputs, triggers and the gate behind them."""
    batch: Batch | None


class Target(NamedTuple):
    """Where a join's outcome goes: a step's index, `OUTPUT`, or a gate and its side."""

    step: int
    gate: int = -1
    side: int = 0


class Plan:
    """One pipeline. What is fixed is worked out here; what changes is `running` alone."""

    def __init__(
        self, pipeline: dataflow.Pipeline, models: Mapping[str, Choice], namespace: str
    ) -> None:
        self.pipeline = pipeline
        self.name = pipeline.name
        self.version = str(pipeline.version)
        self.running = 0
        """Calls that began and have not ended, with everything beside the caller's path."""
        self.outside: dict[int, list[OutsideReader]] = {}
        """Topics that other pipelines read."""
        self._numbers = {step.name: number for number, step in enumerate(pipeline.steps)}
        self.answers = inputs_of(len(pipeline.steps))
        """The topic of what the pipeline answers."""
        self.joins: list[Join] = []
        self.targets: list[Target] = []
        self.steps = tuple(self._step(number, step) for number, step in enumerate(pipeline.steps))
        if pipeline.output is not None:
            output = pipeline.output
            self._join(
                Target(OUTPUT),
                output.steps_join,
                output.join_window_ms,
                self._sources(output.steps, output.tensor_map),
            )
        self.has_output = pipeline.output is not None
        self.readers: tuple[tuple[Reader, ...], ...] = self._readers()
        self.choices = tuple(models.get(step.name) for step in pipeline.steps)
        self.versions = frozenset(
            name for choice in self.choices if choice is not None for name in choice.versions
        )
        self.topic_names = self._topic_names(namespace)

    @property
    def unserved(self) -> tuple[str, ...]:
        """Steps whose model nobody answers for."""
        return tuple(
            step.name
            for step, choice in zip(self.steps, self.choices, strict=True)
            if choice is None
        )

    def topic(self, text: str) -> int | None:
        """Find the topic that `<step or pipeline>.<inputs|outputs>` means, if there is one."""
        name, side = text.split(".", 1)
        if name == self.name:
            return PIPELINE_INPUTS if side == "inputs" else self.answers
        number = self._numbers.get(name)
        if number is None:
            return None
        return inputs_of(number) if side == "inputs" else outputs_of(number)

    def _step(self, number: int, step: dataflow.Step) -> Step:
        inputs = self._sources(step.inputs, step.tensor_map)
        # Seldon batches what is not joined.
        batch = Batch(step.batch_size) if step.batch_size and len(inputs) == 1 else None
        window = step.join_window_ms
        if not step.triggers:
            join = self._join(Target(number), step.inputs_join, window, inputs)
            return Step(number, step.name, (join,), batch)
        gate = len(self.joins) + 2
        self._join(Target(number, gate, 0), step.inputs_join, window, inputs)
        triggers = self._sources(step.triggers, {})
        self._join(Target(number, gate, 1), step.triggers_join, window, triggers)
        self._join(Target(number), "inner", window, GATE_SOURCES, gate=True)
        return Step(number, step.name, (gate - 2, gate - 1, gate), batch)

    def _join(
        self,
        target: Target,
        kind: dataflow.Join,
        window_ms: int,
        sources: tuple[Source, ...],
        *,
        gate: bool = False,
    ) -> int:
        self.joins.append(Join(kind, window_ms * MILLISECOND, sources, gate))
        self.targets.append(target)
        return len(self.joins) - 1

    def _sources(
        self, references: Iterable[str], tensor_map: Mapping[str, str]
    ) -> tuple[Source, ...]:
        return _sources(references, tensor_map, self._known_topic)

    def _known_topic(self, text: str) -> int:
        topic = self.topic(text)
        if topic is None:
            raise ValueError(f"pipeline {self.name}: {text} is of no step of it")
        return topic

    def _readers(self) -> tuple[tuple[Reader, ...], ...]:
        readers: list[list[Reader]] = [[] for _ in range(self.answers + 1)]
        for number, join in enumerate(self.joins):
            for index, source in enumerate(join.sources):
                if source.topic >= 0:
                    readers[source.topic].append(Reader(number, index, source))
        return tuple(map(tuple, readers))

    def _topic_names(self, namespace: str) -> tuple[str, ...]:
        names = [topics.pipeline(namespace, self.name, "inputs")]
        for step in self.steps:
            names.append(topics.model(namespace, step.name, "inputs"))
            names.append(topics.model(namespace, step.name, "outputs"))
        names.append(topics.pipeline(namespace, self.name, "outputs"))
        return tuple(names)


class External:
    """A pipeline's input from other pipelines: joins whose sources are topics of theirs."""

    def __init__(self, plan: Plan, given: dataflow.External, plans: Mapping[str, Plan]) -> None:
        self.plan = plan
        self._plans = plans
        window = given.join_window_ms * MILLISECOND
        inputs = _sources(given.inputs, given.tensor_map, _elsewhere)
        self.joins = [Join(given.inputs_join, window, inputs)]
        if given.triggers:
            triggers = _sources(given.triggers, {}, _elsewhere)
            self.joins.append(Join(given.triggers_join, window, triggers))
            self.joins.append(Join("inner", window, GATE_SOURCES, gate=True))
        for number, join in enumerate(self.joins[:2]):
            for index, source in enumerate(join.sources):
                self._read(source, number, index)

    def _read(self, source: Source, join: int, index: int) -> None:
        name, rest = source.text.split(".", 1)
        owner = self._plans.get(name)
        if owner is None:
            return
        text = rest.removeprefix("step.") if rest.startswith("step.") else source.text
        topic = owner.topic(text)
        if topic is not None:
            reader = OutsideReader(self, join, index, source)
            owner.outside.setdefault(topic, []).append(reader)


class OutsideReader(NamedTuple):
    """A source of another pipeline's input that reads a topic of this one."""

    external: External
    join: int
    place: int
    source: Source


class Plans:
    """All pipelines of a document."""

    def __init__(self, document: dataflow.Document, namespace: str) -> None:
        choices = {name: Choice(shares) for name, shares in document.models.items() if shares}
        self.pipelines = {each.name: Plan(each, choices, namespace) for each in document.pipelines}
        self.has_external = any(each.input is not None for each in document.pipelines)
        for each in document.pipelines:
            if each.input is not None:
                External(self.pipelines[each.name], each.input, self.pipelines)

    def topics(self) -> frozenset[str]:
        """Name every topic that is written to."""
        return frozenset(name for plan in self.pipelines.values() for name in plan.topic_names)


def _elsewhere(text: str) -> int:
    del text
    return -1


def _sources(
    references: Iterable[str], tensor_map: Mapping[str, str], topic: Callable[[str], int]
) -> tuple[Source, ...]:
    """Put references to the same topic together, as Seldon does.

    One that names a tensor narrows one that names none.
    """
    tensors: dict[str, set[str]] = {}
    for reference in references:
        text, tensor = _split(reference)
        tensors.setdefault(text, set()).update(() if tensor is None else (tensor,))
    names: dict[str, dict[str, str]] = {text: {} for text in tensors}
    for reference, name in tensor_map.items():
        text, tensor = _split(reference)
        if text in names and tensor is not None:
            names[text][tensor] = name
    return tuple(
        Source(text, topic(text), frozenset(wanted) or None, names[text])
        for text, wanted in tensors.items()
    )


def _split(reference: str) -> tuple[str, str | None]:
    """Split `<a>.outputs[.<tensor>]` or `<a>.step.<b>.outputs[.<tensor>]` before the tensor."""
    parts = reference.split(".")
    words = 4 if len(parts) > 3 and parts[1] == "step" else 2  # noqa: PLR2004 - see above
    return ".".join(parts[:words]), ".".join(parts[words:]) or None
