from typing import Any

from infra import seldon
from infra.local.mesh import plan
from infra.local.mesh.envoy import ModelVersion, Share, Target

A, B, C = ModelVersion("a", 1), ModelVersion("b", 4), ModelVersion("c", 2)
LIVE = {"a": A, "b": B, "c": C}


def _experiment(name: str, *candidates: tuple[str, int], **spec: Any) -> seldon.Experiment:
    listed = tuple(seldon.Candidate(name=each, weight=weight) for each, weight in candidates)
    return seldon.Experiment(
        metadata=seldon.ObjectMeta(name=name),
        spec=seldon.ExperimentSpec(candidates=listed, **spec),
    )


def test_every_live_model_answers_to_its_name() -> None:
    assert plan.targets(LIVE, []) == (
        Target("a", (Share(A, 1),)),
        Target("b", (Share(B, 1),)),
        Target("c", (Share(C, 1),)),
    )


def test_an_experiment_answers_to_its_name_and_to_its_defaults() -> None:
    mirror = seldon.Mirror(name="c", percent=30)
    experiment = _experiment("e", ("a", 40), ("b", 60), default="b", mirror=mirror)
    shares = (Share(A, 40), Share(B, 60))
    assert plan.targets(LIVE, [experiment]) == (
        Target("e.experiment", shares, C, 30),
        Target("a", (Share(A, 1),)),
        Target("b", shares, C, 30),
        Target("c", (Share(C, 1),)),
    )


def test_an_experiment_that_lacks_a_model_disappears_and_leaves_its_default_whole() -> None:
    experiment = _experiment("e", ("a", 40), ("ghost", 60), default="a")
    assert plan.targets({"a": A}, [experiment]) == (Target("a", (Share(A, 1),)),)
    planned = plan.plan_experiment(experiment, {"a": A})
    assert not planned.routable
    assert planned.missing_candidates == ("ghost",)
    assert planned.description == "no live replica for model ghost for model route e.experiment"


def test_a_missing_mirror_stops_an_experiment_too() -> None:
    experiment = _experiment("e", ("a", 1), mirror=seldon.Mirror(name="ghost", percent=1))
    planned = plan.plan_experiment(experiment, LIVE)
    assert (planned.missing_candidates, planned.missing_mirror) == ((), "ghost")
    assert not planned.routable


def test_an_active_experiment_is_described_in_seldons_words() -> None:
    planned = plan.plan_experiment(_experiment("e", ("a", 1)), LIVE)
    assert planned.description == "experiment active"
