"""Seldon's objects: experiments that can split, artifacts that cannot change, bandits within bounds."""

import collections.abc
import re

from infra.cluster import sizes
from policies import objects, rule, stacks
from runtimes.bandit import declaration, notation

_ADDRESSED = re.compile(r"(^|[/@:])sha256[-:][0-9a-f]{64}(/|$)")
_GROUP = "mlops.seldon.io"

EXPLORATION = (0.0, 0.5)
"""Least and largest share of traffic for exploring; an environment's floor may be above the least."""
STEP = (0.01, 1.0)
"""Least and largest share that one arm may gain or lose in an epoch."""
TOTAL = 10_000
"""What a bandit's weights add up to: less than one of it is no weight."""


def _seldon(resource: objects.Resource, kind: str) -> bool:
    return resource.is_object and resource.group == _GROUP and resource.kind == kind


def _weights(resource: objects.Resource, stack: stacks.Stack) -> objects.Faults:
    del stack
    if not _seldon(resource, "Experiment"):
        return
    spec = objects.mapping(resource.inputs, "spec")
    candidates = objects.items(spec, "candidates")
    weights = [objects.at(each, "weight", default=0) for each in candidates]
    names = [str(objects.at(each, "name")) for each in candidates]
    for number, weight in enumerate(weights):
        if not isinstance(weight, int) or weight < 0:
            yield objects.Fault(
                f"spec.candidates[{number}].weight", f"`{weight}` is no weight: whole, zero or more"
            )
            return
    if sum(weights) <= 0:
        yield objects.Fault("spec.candidates", "the weights add up to zero: nothing gets traffic")
    if len(set(names)) < len(names):
        yield objects.Fault("spec.candidates", "a candidate is named twice")
    default = spec.get("default")
    if default is not None and default not in names:
        yield objects.Fault("spec.default", f"the default `{default}` is no candidate")


def _addressed(resource: objects.Resource, stack: stacks.Stack) -> objects.Faults:
    del stack
    if not _seldon(resource, "Model"):
        return
    uri = str(objects.at(resource.inputs, "spec", "storageUri", default=""))
    if not _ADDRESSED.search(uri):
        yield objects.Fault("spec.storageUri", "the URI does not hold a digest")


def _bandit(resource: objects.Resource, stack: stacks.Stack) -> objects.Faults:
    if not (resource.is_object and resource.kind == declaration.KIND):
        return
    try:
        policy = declaration.parse(_plain(resource.inputs))
    except notation.ManifestError as error:
        yield objects.Fault("spec", f"it is no BanditPolicy: {error}")
        return
    least = max(EXPLORATION[0], sizes.SIZES[stack.environment].experiment_floor)
    rate, step = policy.spec.exploration_rate, policy.spec.max_step
    if not least <= rate <= EXPLORATION[1]:
        yield objects.Fault(
            "spec.explorationRate",
            f"{rate:g} is outside {least:g} to {EXPLORATION[1]:g}, the bounds of {stack.environment}",
        )
    if not STEP[0] <= step <= STEP[1]:
        yield objects.Fault("spec.maxStep", f"{step:g} is outside {STEP[0]:g} to {STEP[1]:g}")


def _plain(inputs: objects.Values) -> dict[str, object]:
    return {key: inputs[key] for key in ("apiVersion", "kind", "metadata", "spec") if key in inputs}


def _owned(
    resources: collections.abc.Sequence[objects.Resource], stack: stacks.Stack
) -> rule.Found:
    del stack
    experiments = {
        (each.namespace, each.object_name): each
        for each in resources
        if _seldon(each, "Experiment")
    }
    owners: dict[tuple[str, str], objects.Resource] = {}
    for each in resources:
        if not (each.is_object and each.kind == declaration.KIND):
            continue
        spec = objects.mapping(each.inputs, "spec")
        key = (each.namespace, str(spec.get("experiment")))
        if key not in experiments:
            yield each, objects.Fault("spec.experiment", f"there is no experiment `{key[1]}`")
            continue
        if key in owners:
            other = owners[key].object_name
            yield each, objects.Fault("spec.experiment", f"`{other}` owns its weights already")
        owners[key] = each
        experiment = experiments[key]
        if "spec.candidates" not in experiment.ignored:
            yield (
                experiment,
                objects.Fault(
                    "spec.candidates", f"every update takes back what `{each.object_name}` learnt"
                ),
            )
        arms = len(objects.items(experiment.inputs, "spec", "candidates"))
        floor = objects.at(spec, "explorationRate", default=0.1) / max(1, arms)
        if 0 < floor < 1 / TOTAL:
            yield (
                each,
                objects.Fault(
                    "spec.explorationRate", f"each of {arms} arms gets less than the least weight"
                ),
            )


RULES = (
    rule.Rule(
        "experiment-weights",
        "An experiment's weights add up above zero, and its default is one of its candidates.",
        "Seldon takes it either way; requests then fail.",
        "give at least one candidate a weight, and name a candidate as `default`",
        one=_weights,
    ),
    rule.Rule(
        "content-addressed",
        "A model's storage URI holds the digest of what it points to.",
        "Seldon does not load new bytes behind an old URI, and a rollback must find the old ones.",
        "publish the artifact under `…/sha256-<digest>` (`bellwether artifacts push`)",
        one=_addressed,
    ),
    rule.Rule(
        "bandit-bounds",
        "A bandit explores enough to notice a change, not more than half, and its step can move weights.",
        "Without a floor, an arm that got better is never found; with too high a one, nothing is gained.",
        "set `explorationRate` and `maxStep` within the bounds of this environment",
        one=_bandit,
    ),
    rule.Rule(
        "bandit-owns-weights",
        "A bandit's experiment exists, has one owner, and Pulumi ignores its candidates.",
        "Two owners of the same weights undo each other's work at every step.",
        'register the experiment with `ignore=["spec.candidates"]`, and one BanditPolicy for it',
        whole=_owned,
    ),
)
