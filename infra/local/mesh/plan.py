"""From what is declared and what is loaded to what can be called: pure functions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from infra import seldon
from infra.local.mesh import dataflow, pipelines, validation
from infra.local.mesh.envoy import ModelVersion, ServedPipeline, Share, Target, Upstream
from infra.local.mesh.state import Leaving


@dataclass(frozen=True)
class Live:
    """Who can answer: a version of each of these models, and these pipelines."""

    models: Mapping[str, ModelVersion]
    pipelines: Mapping[str, ServedPipeline]

    def among(self, experiment: seldon.Experiment) -> Mapping[str, Upstream]:
        """Give those of the kind that an experiment splits, by name."""
        return self.pipelines if validation.splits_pipelines(experiment) else self.models


@dataclass(frozen=True)
class ExperimentPlan:
    """An experiment and what it can be routed to.

    `missing_candidates` and `missing_mirror` are models without a live version,
    or pipelines that the model server does not execute yet;
    with any, the experiment has no route.
    """

    experiment: seldon.Experiment
    missing_candidates: tuple[str, ...]
    missing_mirror: str | None

    @property
    def name(self) -> str:
        """What a caller names: `<experiment>.experiment`."""
        return f"{self.experiment.metadata.name}.experiment"

    @property
    def routable(self) -> bool:
        """Whether everything that it refers to can answer."""
        return not self.missing_candidates and self.missing_mirror is None

    @property
    def description(self) -> str:
        """What Seldon's scheduler says about it."""
        missing = (
            *self.missing_candidates,
            *([self.missing_mirror] if self.missing_mirror else []),
        )
        if missing:
            kind = "pipeline" if validation.splits_pipelines(self.experiment) else "model"
            return f"no live replica for {kind} {missing[0]} for {kind} route {self.name}"
        return "experiment active"


def plan_experiment(experiment: seldon.Experiment, live: Live) -> ExperimentPlan:
    """Look up what an experiment refers to among who can answer."""
    mirror, there = experiment.spec.mirror, live.among(experiment)
    return ExperimentPlan(
        experiment,
        tuple(each.name for each in experiment.spec.candidates if each.name not in there),
        mirror.name if mirror is not None and mirror.name not in there else None,
    )


def targets(live: Live, experiments: Iterable[seldon.Experiment]) -> tuple[Target, ...]:
    """Say what can be called: live models, pipelines, and experiments whose candidates are live.

    A model or pipeline that is an experiment's default is split as the experiment is,
    as long as the experiment can be routed.
    """
    split: dict[Upstream, Target] = {}
    named: list[Target] = []
    for experiment in experiments:
        plan = plan_experiment(experiment, live)
        if not plan.routable:
            continue
        spec, there = experiment.spec, live.among(experiment)
        target = Target(
            plan.name,
            tuple(Share(there[each.name], each.weight) for each in spec.candidates),
            there[spec.mirror.name] if spec.mirror is not None else None,
            spec.mirror.percent if spec.mirror is not None else 0,
        )
        named.append(target)
        if spec.default is not None:
            split[there[spec.default]] = target
    everybody: dict[str, Upstream] = {
        **live.models,
        **{each.internal_name: each for each in live.pipelines.values()},
    }
    for name, upstream in sorted(everybody.items()):
        target = split.get(upstream) or Target(name, (Share(upstream, 1),))
        named.append(Target(name, target.shares, target.mirror, target.mirror_percent))
    return tuple(named)


def document(
    declared: Iterable[seldon.Pipeline],
    leaving: Mapping[str, Leaving],
    live: Live,
    experiments: Iterable[seldon.Experiment],
) -> dataflow.Document:
    """Write what the model server is told.

    `leaving` are pipelines that were removed and may still have requests.
    A step whose model is an experiment's default is split as the experiment is.
    """
    wanted = {name: each.pipeline for name, each in leaving.items()}
    wanted |= {each.metadata.name: pipelines.whole(each) for each in declared}
    steps = {step.name for pipeline in wanted.values() for step in pipeline.steps}
    shares = {model: each for left in leaving.values() for model, each in left.models.items()}
    shares |= {
        model: (dataflow.Share(internal_name=version.internal_name, weight=1),)
        for model, version in live.models.items()
        if model in steps
    }
    for experiment in experiments:
        spec = experiment.spec
        if spec.default not in steps or validation.splits_pipelines(experiment):
            continue
        if plan_experiment(experiment, live).routable:
            shares[spec.default] = tuple(
                dataflow.Share(
                    internal_name=live.models[each.name].internal_name, weight=each.weight
                )
                for each in spec.candidates
            )
    return dataflow.Document(
        pipelines=tuple(pipeline for _, pipeline in sorted(wanted.items())),
        models=dict(sorted(shares.items())),
    )
