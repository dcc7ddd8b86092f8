"""What Seldon's scheduler refuses, in its words, and what Envoy could not take.

Seldon accepts any object into Kubernetes and says in its status what is wrong with it;
the mesh refuses the object, so that what serves keeps serving.
"""

import re
from collections.abc import Iterable, Mapping

from infra import seldon
from infra.local.mesh import pipelines as flow
from infra.local.mesh import refusal

NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
NAME_LIMIT = 240
"""Characters; a model's folder is called after it, with its version added."""

WEIGHT_SUM_LIMIT = 2**32 - 1
"""The largest sum of weights that Envoy takes."""


def check_name(kind: type[seldon.Resource], name: str) -> None:
    """Refuse a name that Seldon would refuse.

    Seldon's scheduler takes dots in an experiment's name;
    they are refused here because `<name>.experiment` could then be read in two ways.
    """
    if NAME.fullmatch(name) and len(name) <= NAME_LIMIT:
        return
    message = (
        f"{kind.__name__} {name} does not have a valid name - "
        "it must be alphanumeric and not contains dots (.)"
    )
    if kind is seldon.Pipeline:
        message = flow.invalid_name(name)
    if len(name) > NAME_LIMIT:
        message = f"{kind.__name__} {name[:40]}… has {len(name)} characters, at most {NAME_LIMIT}"
    raise refusal.invalid(kind.plural, name, message, "metadata.name")


def check_experiment(experiment: seldon.Experiment, others: Iterable[seldon.Experiment]) -> None:
    """Refuse an experiment that contradicts itself or another one."""
    name, spec = experiment.metadata.name, experiment.spec
    taken = {
        each.spec.default
        for each in others
        if each.spec.default is not None and splits_pipelines(each) == splits_pipelines(experiment)
    }
    problem = (
        _default_problem(name, spec, taken)
        or _duplicate_problem(name, spec)
        or _weight_problem(name, spec)
    )
    if problem is not None:
        field, message = problem
        raise refusal.invalid("experiments", name, message, field)


_Problem = tuple[str, str] | None


def _default_problem(name: str, spec: seldon.ExperimentSpec, taken: set[str]) -> _Problem:
    if spec.default in taken:
        return "spec.default", (
            f"Resource {spec.default} already in experiment {name} as a baseline. "
            "A model or pipeline can only appear in one experiment as a baseline"
        )
    if not spec.candidates:
        return "spec.candidates", f"experiment {name} has no candidates or mirror"
    if spec.default is not None and all(spec.default != each.name for each in spec.candidates):
        return "spec.default", (
            f"default model/pipeline {spec.default} not found in experiment {name} candidates"
        )
    return None


def _duplicate_problem(name: str, spec: seldon.ExperimentSpec) -> _Problem:
    seen: dict[str, str] = {}
    fields = [(each.name, f"spec.candidates[{at}].name") for at, each in enumerate(spec.candidates)]
    if spec.mirror is not None:
        fields.append((spec.mirror.name, "spec.mirror.name"))
    for resource, field in fields:
        if resource in seen:
            return field, (
                "each candidate and mirror must be unique but found resource "
                f"{resource} duplicated in experiment {name}"
            )
        seen[resource] = field
    return None


def _weight_problem(name: str, spec: seldon.ExperimentSpec) -> _Problem:
    total = sum(candidate.weight for candidate in spec.candidates)
    if total == 0:
        return "spec.candidates", (
            f"experiment {name} has no candidate with a weight above 0: nobody would answer, "
            "and Envoy would refuse every later route; give at least one candidate a weight"
        )
    if total > WEIGHT_SUM_LIMIT:
        return "spec.candidates", (
            f"the weights of experiment {name} add up to {total}, "
            f"the limit is {WEIGHT_SUM_LIMIT}: only their proportions count"
        )
    return None


def splits_pipelines(experiment: seldon.Experiment) -> bool:
    """Say whether an experiment's candidates are pipelines, rather than models."""
    return experiment.spec.resource_type == "pipeline"


def users_of(
    resource: seldon.Resource,
    experiments: Iterable[seldon.Experiment],
    pipelines: Iterable[seldon.Pipeline],
) -> str:
    """Say who refers to a model or pipeline, and as what; empty if nobody does."""
    name, is_pipeline = resource.metadata.name, isinstance(resource, seldon.Pipeline)
    roles = (_uses_in_pipeline if not is_pipeline else _feeds)(name, pipelines)
    found = [f"pipeline {', '.join(roles)}"] if roles else []
    among = [each for each in experiments if splits_pipelines(each) == is_pipeline]
    roles = _roles_in_experiments(name, among)
    if roles:
        found.insert(0, f"experiment {', '.join(roles)}")
    return " and ".join(found)


def _roles_in_experiments(name: str, experiments: Iterable[seldon.Experiment]) -> list[str]:
    found = []
    for experiment in experiments:
        spec = experiment.spec
        if any(candidate.name == name for candidate in spec.candidates):
            role = "default candidate" if spec.default == name else "candidate"
            found.append(f"{experiment.metadata.name} ({role})")
        if spec.mirror is not None and spec.mirror.name == name:
            found.append(f"{experiment.metadata.name} (mirror)")
    return found


def _uses_in_pipeline(model: str, pipelines: Iterable[seldon.Pipeline]) -> list[str]:
    return [
        f"{each.metadata.name} (step)"
        for each in pipelines
        if any(step.name == model for step in each.spec.steps)
    ]


def _feeds(pipeline: str, others: Iterable[seldon.Pipeline]) -> list[str]:
    return [
        f"{each.metadata.name} (input)"
        for each in others
        if pipeline in flow.feeders(each) and each.metadata.name != pipeline
    ]


def capabilities_of(server: seldon.Server, built_in: Iterable[str]) -> tuple[str, ...]:
    """Say what a server can run: its own list, or its configuration's, and the extra ones."""
    spec = server.spec
    base = tuple(built_in) if spec.capabilities is None else spec.capabilities
    return tuple(dict.fromkeys((*base, *(spec.extra_capabilities or ()))))


def why_unschedulable(spec: seldon.ModelSpec, servers: Mapping[str, tuple[str, ...]]) -> str | None:
    """Say why no server can take a model, or None when one can.

    `servers` are the capabilities by server.
    """
    if spec.explainer is not None or spec.llm is not None:
        part = "explainer" if spec.explainer is not None else "llm"
        return (
            "Failed to schedule model as no matching servers are available: "
            f"this mesh runs no spec.{part}"
        )
    wanted = set(spec.requirements or ())
    eligible = servers
    if spec.server is not None:
        eligible = {name: can for name, can in servers.items() if name == spec.server}
        if not eligible:
            return (
                "Failed to schedule model as no matching servers are available: "
                f"spec.server {spec.server} is not one of {', '.join(sorted(servers))}"
            )
    if any(wanted <= set(can) for can in eligible.values()):
        return None
    offers = "; ".join(f"{name}: {', '.join(can) or 'nothing'}" for name, can in eligible.items())
    return (
        "Failed to schedule model as no matching servers are available: "
        f"requirements {', '.join(sorted(wanted))}, servers have {offers}"
    )
