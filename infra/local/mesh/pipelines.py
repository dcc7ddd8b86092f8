"""Pipelines: what Seldon's scheduler refuses, in its words, and what the model server is told.

The rules and their order are the scheduler's;
where it takes what can never answer, or would run for ever, the docstring says what is refused here.
"""

import graphlib
from collections.abc import Iterable, Mapping, Sequence

from infra import seldon
from infra.local.mesh import dataflow, refusal

Problem = tuple[str, str]
"""The field, and what is wrong with it."""

_SIDES = ("inputs", "outputs")
_STEP = "step"


def check(pipeline: seldon.Pipeline, others: Iterable[seldon.Pipeline]) -> None:
    """Refuse a pipeline that contradicts itself, or would feed itself through other ones.

    Beyond the scheduler's rules, these are refused:
    `allowCycles`, a trigger of a step that does not exist, which makes the scheduler fall over;
    the same reference as input and as trigger, for which the scheduler has a rule that never acts
    (it compares a step's name with a whole reference);
    and pipelines that are each other's `externalInputs`, whose data would go round for ever.
    """
    name, spec = pipeline.metadata.name, pipeline.spec
    problem = (
        _cycles_asked_for(name, spec)
        or _step_problem(name, spec)
        or _reference_problem(name, spec)
        or _output_problem(name, spec)
        or _cycle_problem(name, spec)
        or _trigger_problem(name, spec)
        or _external_problem(name, spec)
        or _feeding_problem(pipeline, others)
    )
    if problem is not None:
        field, message = problem
        raise refusal.invalid(pipeline.plural, name, message, field)


def invalid_name(name: str) -> str:
    """Say in Seldon's words that a pipeline's name is not valid, its misspelling included."""
    return (
        f"pipeline {name} does not have a valid name - "
        "it must be alphanmumeric and cannot contain dots (.)"
    )


def whole(pipeline: seldon.Pipeline) -> dataflow.Pipeline:
    """Write a valid pipeline as the model server is told: references whole, steps in order.

    Its version is its generation, so that a changed pipeline can be told from the one before;
    it changes in place, between two requests.
    On Seldon a pipeline that was changed in place may answer 503 until it is removed and loaded
    again: there, a changed pipeline goes under a new name, behind an experiment.
    """
    name, spec = pipeline.metadata.name, pipeline.spec
    steps = {step.name: _whole_step(name, step) for step in spec.steps}
    order = graphlib.TopologicalSorter(
        {
            each.name: {_source(reference) for reference in (*each.inputs, *each.triggers)} - {name}
            for each in steps.values()
        }
    ).static_order()
    return dataflow.Pipeline(
        name=name,
        version=pipeline.metadata.generation or 1,
        steps=tuple(steps[each] for each in order),
        input=_whole_input(spec.input),
        output=_whole_output(name, spec.output),
    )


def feeders(pipeline: seldon.Pipeline) -> tuple[str, ...]:
    """Name the pipelines that a pipeline gets data or triggers from."""
    given = pipeline.spec.input
    if given is None:
        return ()
    references = (*(given.external_inputs or ()), *(given.external_triggers or ()))
    return tuple(dict.fromkeys(_source(reference) for reference in references))


def unfed(pipeline: seldon.Pipeline, pipelines: Mapping[str, seldon.Pipeline]) -> tuple[str, ...]:
    """Name the external references of a pipeline behind which there is nothing."""
    given = pipeline.spec.input
    if given is None:
        return ()
    missing = []
    for reference in _external((*(given.external_inputs or ()), *(given.external_triggers or ()))):
        source, *rest = reference.split(".")
        feeder = pipelines.get(source)
        steps = {step.name for step in feeder.spec.steps} if feeder is not None else set()
        if feeder is None or (rest[0] == _STEP and rest[1] not in steps):
            missing.append(reference)
    return tuple(missing)


def _whole_step(pipeline: str, step: seldon.PipelineStep) -> dataflow.Step:
    return dataflow.Step(
        name=step.name,
        inputs=_internal(pipeline, step.inputs) or (f"{pipeline}.inputs",),
        inputs_join=step.inputs_join_type or "inner",
        triggers=_internal(pipeline, step.triggers),
        triggers_join=step.triggers_join_type or "inner",
        tensor_map=step.tensor_map or {},
        join_window_ms=step.join_window_ms or dataflow.JOIN_WINDOW_MS,
        batch_size=(step.batch.size or None) if step.batch is not None else None,
    )


def _whole_input(given: seldon.PipelineInput | None) -> dataflow.External | None:
    if given is None:
        return None
    return dataflow.External(
        inputs=_external(given.external_inputs),
        inputs_join=given.join_type or "inner",
        triggers=_external(given.external_triggers),
        triggers_join=given.triggers_join_type or "inner",
        tensor_map=given.tensor_map or {},
        join_window_ms=given.join_window_ms or dataflow.JOIN_WINDOW_MS,
    )


def _whole_output(pipeline: str, given: seldon.PipelineOutput | None) -> dataflow.Output | None:
    if given is None or not given.steps:
        return None
    return dataflow.Output(
        steps=_internal(pipeline, given.steps),
        steps_join=given.steps_join or "inner",
        tensor_map=given.tensor_map or {},
        join_window_ms=given.join_window_ms or dataflow.JOIN_WINDOW_MS,
    )


def _internal(pipeline: str, references: Sequence[str] | None) -> tuple[str, ...]:
    """Complete references inside a pipeline: a step means its outputs, the pipeline its inputs."""
    return tuple(
        reference
        if "." in reference
        else f"{reference}.{'inputs' if reference == pipeline else 'outputs'}"
        for reference in references or ()
    )


def _external(references: Sequence[str] | None) -> tuple[str, ...]:
    """Complete references to other pipelines: a pipeline, or a step of it, means its outputs."""
    completed = []
    for reference in references or ():
        parts = reference.split(".")
        bare = len(parts) == 1 or (len(parts) == 3 and parts[1] == _STEP)  # noqa: PLR2004 - p.step.s
        completed.append(f"{reference}.outputs" if bare else reference)
    return tuple(completed)


def _source(reference: str) -> str:
    return reference.partition(".")[0]


def _cycles_asked_for(name: str, spec: seldon.PipelineSpec) -> Problem | None:
    if not spec.allow_cycles:
        return None
    return "spec.allowCycles", (
        f"pipeline {name} asks for cycles: this mesh runs each step once for a request, "
        "leave allowCycles out, or serve it on Seldon"
    )


def _step_problem(name: str, spec: seldon.PipelineSpec) -> Problem | None:
    seen = set()
    for at, step in enumerate(spec.steps):
        if step.name in seen:
            return f"spec.steps[{at}].name", f"pipeline {name} has repeated step {step.name}"
        seen.add(step.name)
    if not spec.steps:
        return "spec.steps", f"pipeline {name} has no steps defined"
    if name in seen:
        at = [step.name for step in spec.steps].index(name)
        return f"spec.steps[{at}].name", (
            f"pipeline {name} must not have a step name with the same name as pipeline name"
        )
    return None


def _reference_problem(name: str, spec: seldon.PipelineSpec) -> Problem | None:
    listed = [
        (f"spec.steps[{at}].{kind}s[{position}]", kind, step.name, reference)
        for kind in ("input", "trigger")
        for at, step in enumerate(spec.steps)
        for position, reference in enumerate(_internal(name, getattr(step, f"{kind}s")))
    ]
    for field, kind, step, reference in listed:
        if not _source(reference).strip():
            return field, f"pipeline {name} step {step} has an empty {kind}"
        if not _well_formed(reference):
            return field, (
                f"pipeline step {kind} invalid pipeline {name} step {step} input step {reference}."
            )
    known = {name, *(step.name for step in spec.steps)}
    for field, kind, step, reference in listed:
        if _source(reference) not in known:
            return field, (
                f"pipeline {name} step {step} has {kind} {_source(reference)} "
                "for step that does not exist"
            )
    return None


def _output_problem(name: str, spec: seldon.PipelineSpec) -> Problem | None:
    if spec.output is None:
        return None
    references = _internal(name, spec.output.steps)
    steps = {step.name for step in spec.steps}
    for at, reference in enumerate(references):
        if _source(reference) not in steps:
            return f"spec.output.steps[{at}]", (
                f"pipeline {name} output step {_source(reference)} not found"
            )
    for at, reference in enumerate(references):
        if not _well_formed(reference):
            return f"spec.output.steps[{at}]", (
                f"pipeline {name} output specifier {reference} invalid"
            )
    return None


def _well_formed(reference: str) -> bool:
    """Say whether it is `<step>.<inputs|outputs>`, or that and a tensor."""
    parts = reference.split(".")
    return len(parts) in {2, 3} and parts[1] in _SIDES and all(parts)


def _cycle_problem(name: str, spec: seldon.PipelineSpec) -> Problem | None:
    sources = {
        step.name: {
            _source(reference) for reference in (*(step.inputs or ()), *(step.triggers or ()))
        }
        - {name}
        for step in spec.steps
    }
    if not _has_cycle(sources):
        return None
    return "spec.steps", f"pipeline {name} has a cycle"


def _has_cycle(sources: Mapping[str, Iterable[str]]) -> bool:
    # The sorter takes a node that is its own source for none.
    if any(each in its for each, its in sources.items()):
        return True
    try:
        graphlib.TopologicalSorter(sources).prepare()
    except graphlib.CycleError:
        return True
    return False


def _trigger_problem(name: str, spec: seldon.PipelineSpec) -> Problem | None:
    for at, step in enumerate(spec.steps):
        inputs = set(_internal(name, step.inputs))
        for position, trigger in enumerate(_internal(name, step.triggers)):
            if trigger in inputs:
                return f"spec.steps[{at}].triggers[{position}]", (
                    f"pipeline {name} : inputs and triggers must differ, "
                    f"but found {trigger} in both"
                )
    return None


def _external_problem(name: str, spec: seldon.PipelineSpec) -> Problem | None:
    if spec.input is None:
        return None
    inputs = _external(spec.input.external_inputs)
    if not inputs:
        return "spec.input.externalInputs", (
            f"pipeline {name} input  is invalid. At least one pipeline input must be specified"
        )
    listed = [(f"spec.input.externalInputs[{at}]", each) for at, each in enumerate(inputs)]
    listed += [
        (f"spec.input.externalTriggers[{at}]", each)
        for at, each in enumerate(_external(spec.input.external_triggers))
    ]
    for field, reference in listed:
        why = _why_no_external(reference)
        if why is not None:
            return field, f"pipeline {name} input {reference} is invalid. {why}"
    return None


def _why_no_external(reference: str) -> str | None:
    pipeline, *rest = reference.split(".")
    if not pipeline.strip():
        return "Input name must not be empty"
    if rest[0] in _SIDES:
        if len(rest) <= 2 and all(rest):  # noqa: PLR2004 - a side and a tensor
            return None
    elif rest[0] == _STEP:
        if len(rest) < 3 or rest[2] not in _SIDES or not all(rest):  # noqa: PLR2004 - step.s.outputs
            return "A pipeline step must be <pipelineName>.step.<stepName>.(inputs|outputs)"
        if len(rest) <= 4:  # noqa: PLR2004 - step.s.outputs.tensor
            return None
        return (
            "The input is too long. It must be <pipelineName>.(inputs|outputs).(tensorName)? "
            "or <pipelineName>.step.<stepName>.<inputs|outputs>.<tensorName>"
        )
    return (
        "A Pipeline inputs referencing another pipeline must be "
        "<pipeineName>.(inputs|outputs|step.<stepName>)"
    )


def _feeding_problem(
    pipeline: seldon.Pipeline, others: Iterable[seldon.Pipeline]
) -> Problem | None:
    name = pipeline.metadata.name
    sources = {each.metadata.name: feeders(each) for each in others} | {name: feeders(pipeline)}
    if not _has_cycle(sources):
        return None
    return "spec.input.externalInputs", (
        f"pipeline {name} would feed itself through {', '.join(feeders(pipeline))}: "
        "its data would go round for ever"
    )
