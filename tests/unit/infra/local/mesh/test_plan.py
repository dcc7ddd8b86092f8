from typing import Any

from infra import seldon
from infra.local.mesh import dataflow, pipelines, plan
from infra.local.mesh.envoy import ModelVersion, ServedPipeline, Share, Target
from infra.local.mesh.state import Leaving

A, B, C = ModelVersion("a", 1), ModelVersion("b", 4), ModelVersion("c", 2)
LIVE = plan.Live({"a": A, "b": B, "c": C}, {})
ONLY_A = plan.Live({"a": A}, {})


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
    assert plan.targets(ONLY_A, [experiment]) == (Target("a", (Share(A, 1),)),)
    planned = plan.plan_experiment(experiment, ONLY_A)
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


P, Q = ServedPipeline("p"), ServedPipeline("q")
WITH_PIPELINES = plan.Live({"a": A, "b": B}, {"p": P, "q": Q})


def _pipeline(name: str, *steps: str, generation: int = 1) -> seldon.Pipeline:
    return seldon.Pipeline(
        metadata=seldon.ObjectMeta(name=name, generation=generation),
        spec=seldon.PipelineSpec(steps=tuple(seldon.PipelineStep(name=each) for each in steps)),
    )


def test_an_experiment_over_pipelines_splits_them_and_its_default() -> None:
    mirror = seldon.Mirror(name="p", percent=10)
    experiment = _experiment("e", ("q", 3), default="q", resource_type="pipeline", mirror=mirror)
    shares = (Share(Q, 3),)
    assert plan.targets(WITH_PIPELINES, [experiment]) == (
        Target("e.experiment", shares, P, 10),
        Target("a", (Share(A, 1),)),
        Target("b", (Share(B, 1),)),
        Target("p.pipeline", (Share(P, 1),)),
        Target("q.pipeline", shares, P, 10),
    )


def test_an_experiment_over_pipelines_does_not_take_models_for_them() -> None:
    planned = plan.plan_experiment(
        _experiment("e", ("a", 1), resource_type="pipeline"), WITH_PIPELINES
    )
    assert planned.missing_candidates == ("a",)
    said = "no live replica for pipeline a for pipeline route e.experiment"
    assert planned.description == said


def _shares(**weights: int) -> tuple[dataflow.Share, ...]:
    return tuple(dataflow.Share(internal_name=each, weight=its) for each, its in weights.items())


def test_the_document_has_the_pipelines_and_who_answers_for_their_steps() -> None:
    declared = [_pipeline("q", "b", "ghost"), _pipeline("p", "a", "b", generation=4)]
    document = plan.document(declared, {}, LIVE, [])
    assert [(each.name, each.version) for each in document.pipelines] == [("p", 4), ("q", 1)]
    assert document.models == {"a": _shares(a_1=1), "b": _shares(b_4=1)}


def test_a_step_that_is_a_default_is_split_as_long_as_the_experiment_can_be_routed() -> None:
    experiment = _experiment("e", ("a", 30), ("c", 70), default="a")
    over_pipelines = _experiment("o", ("a", 1), default="a", resource_type="pipeline")
    declared = [_pipeline("p", "a", "b")]
    document = plan.document(declared, {}, LIVE, [experiment, over_pipelines])
    assert document.models == {"a": _shares(a_1=30, c_2=70), "b": _shares(b_4=1)}
    without = plan.Live({"a": A, "b": B}, {})
    document = plan.document(declared, {}, without, [experiment])
    assert document.models["a"] == _shares(a_1=1)


def test_a_removed_pipeline_keeps_its_models_until_it_is_gone() -> None:
    left = Leaving(pipelines.whole(_pipeline("old", "gone")), {"gone": _shares(gone_1=1)})
    document = plan.document([_pipeline("p", "a")], {"old": left}, LIVE, [])
    assert [each.name for each in document.pipelines] == ["old", "p"]
    assert document.models == {"a": _shares(a_1=1), "gone": _shares(gone_1=1)}
    assert left.needs(ModelVersion("gone", 1))
    assert not left.needs(ModelVersion("gone", 2))


def test_a_pipeline_that_is_declared_again_takes_the_place_of_the_removed_one() -> None:
    left = Leaving(pipelines.whole(_pipeline("p", "a")), {"a": _shares(a_1=1)})
    document = plan.document([_pipeline("p", "b")], {"p": left}, LIVE, [])
    assert [step.name for each in document.pipelines for step in each.steps] == ["b"]
