"""From what is declared and what is loaded to what can be called: pure functions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from infra import seldon
from infra.local.mesh.envoy import ModelVersion, Share, Target


@dataclass(frozen=True)
class ExperimentPlan:
    """An experiment and what it can be routed to.

    `missing_candidates` and `missing_mirror` are models without a live version;
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
            return f"no live replica for model {missing[0]} for model route {self.name}"
        return "experiment active"


def plan_experiment(
    experiment: seldon.Experiment, live: Mapping[str, ModelVersion]
) -> ExperimentPlan:
    """Look up what an experiment refers to among the live versions by model."""
    mirror = experiment.spec.mirror
    return ExperimentPlan(
        experiment,
        tuple(each.name for each in experiment.spec.candidates if each.name not in live),
        mirror.name if mirror is not None and mirror.name not in live else None,
    )


def targets(
    live: Mapping[str, ModelVersion], experiments: Iterable[seldon.Experiment]
) -> tuple[Target, ...]:
    """Say what can be called: every live model, and every experiment whose models are live.

    A model that is an experiment's default is split as the experiment is,
    as long as the experiment can be routed.
    """
    split: dict[str, Target] = {}
    named: list[Target] = []
    for experiment in experiments:
        plan = plan_experiment(experiment, live)
        if not plan.routable:
            continue
        spec = experiment.spec
        target = Target(
            plan.name,
            tuple(Share(live[each.name], each.weight) for each in spec.candidates),
            live[spec.mirror.name] if spec.mirror is not None else None,
            spec.mirror.percent if spec.mirror is not None else 0,
        )
        named.append(target)
        if spec.default is not None:
            split[spec.default] = Target(
                spec.default, target.shares, target.mirror, target.mirror_percent
            )
    plain = (
        split.get(model) or Target(model, (Share(version, 1),))
        for model, version in sorted(live.items())
    )
    return (*named, *plain)
