from typing import Any

import pytest

from infra import seldon
from infra.local.mesh import refusal, validation


def _experiment(
    name: str = "e3",
    candidates: tuple[tuple[str, int], ...] = (("mul2", 50), ("add1", 50)),
    **spec: Any,
) -> seldon.Experiment:
    listed = tuple(seldon.Candidate(name=each, weight=weight) for each, weight in candidates)
    return seldon.Experiment(
        metadata=seldon.ObjectMeta(name=name),
        spec=seldon.ExperimentSpec(candidates=listed, **spec),
    )


@pytest.mark.parametrize(
    ("experiment", "field", "message"),
    [
        (
            _experiment(candidates=(("mul2", 50), ("mul2", 50))),
            "spec.candidates[1].name",
            (
                "each candidate and mirror must be unique but found resource mul2 "
                "duplicated in experiment e3"
            ),
        ),
        (
            _experiment(mirror=seldon.Mirror(name="mul2", percent=10)),
            "spec.mirror.name",
            (
                "each candidate and mirror must be unique but found resource mul2 "
                "duplicated in experiment e3"
            ),
        ),
        (
            _experiment(default="add10"),
            "spec.default",
            "default model/pipeline add10 not found in experiment e3 candidates",
        ),
        (
            _experiment(candidates=()),
            "spec.candidates",
            "experiment e3 has no candidates or mirror",
        ),
        (
            _experiment(candidates=(("taken", 1),), default="taken"),
            "spec.default",
            (
                "Resource taken already in experiment e3 as a baseline. "
                "A model or pipeline can only appear in one experiment as a baseline"
            ),
        ),
    ],
)
def test_what_seldons_scheduler_refuses_is_refused_in_its_words(
    experiment: seldon.Experiment, field: str, message: str
) -> None:
    others = [_experiment("e1", (("taken", 1),), default="taken")]
    with pytest.raises(refusal.Refusal) as refused:
        validation.check_experiment(experiment, others)
    assert refused.value.code == 422
    assert refused.value.message == message
    assert [cause.field for cause in refused.value.causes] == [field]


@pytest.mark.parametrize(
    ("weights", "said"),
    [((0, 0), "weight above 0"), ((2**31 - 1, 2**31 - 1, 2**31 - 1), "4294967295")],
)
def test_weights_that_envoy_would_refuse_are_refused(weights: tuple[int, ...], said: str) -> None:
    candidates = tuple((f"m{at}", weight) for at, weight in enumerate(weights))
    with pytest.raises(refusal.Refusal, match=said):
        validation.check_experiment(_experiment(candidates=candidates), [])


def test_an_experiment_may_have_a_weight_of_zero_and_share_candidates() -> None:
    other = _experiment("e1", (("mul2", 1),), default="mul2")
    validation.check_experiment(_experiment(candidates=(("mul2", 0), ("add1", 100))), [other])


@pytest.mark.parametrize("name", ["a", "mul10", "a-b-c", "0a", "a" * 240])
def test_names_of_letters_digits_and_dashes_are_taken(name: str) -> None:
    validation.check_name(seldon.Model, name)


@pytest.mark.parametrize(
    "name", ["", "a.b", "A", "a_b", "-a", "a-", "a b", "a/b", "a\n", "a" * 241]
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(refusal.Refusal) as refused:
        validation.check_name(seldon.Model, name)
    assert refused.value.body()["details"]["causes"][0]["field"] == "metadata.name"


def _model(name: str) -> seldon.Model:
    return seldon.Model(
        metadata=seldon.ObjectMeta(name=name), spec=seldon.ModelSpec(storage_uri="/x")
    )


def _pipeline(name: str, *steps: str, feeders: tuple[str, ...] = ()) -> seldon.Pipeline:
    return seldon.Pipeline(
        metadata=seldon.ObjectMeta(name=name),
        spec=seldon.PipelineSpec(
            steps=tuple(seldon.PipelineStep(name=each) for each in steps),
            input=seldon.PipelineInput(external_inputs=feeders) if feeders else None,
        ),
    )


def test_the_users_of_a_model_or_pipeline_are_told_with_their_role() -> None:
    experiments = [
        _experiment("one", (("a", 1), ("b", 1)), default="a"),
        _experiment("two", (("b", 1),), mirror=seldon.Mirror(name="a", percent=1)),
        _experiment("over", (("a", 1), ("p", 1)), default="p", resource_type="pipeline"),
    ]
    chain, fed = _pipeline("p", "b", "d"), _pipeline("q", "d", feeders=("p.outputs",))

    def users(resource: seldon.Resource) -> str:
        return validation.users_of(resource, experiments, [chain, fed])

    assert users(_model("a")) == "experiment one (default candidate), two (mirror)"
    assert users(_model("b")) == "experiment one (candidate), two (candidate) and pipeline p (step)"
    assert users(_model("d")) == "pipeline p (step), q (step)"
    assert users(_model("c")) == users(_model("p")) == users(fed) == ""
    assert users(chain) == "experiment over (default candidate) and pipeline q (input)"


def test_a_model_and_a_pipeline_of_one_name_can_each_be_a_default() -> None:
    over_models = _experiment("one", (("a", 1),), default="a")
    over_pipelines = _experiment("two", (("a", 1),), default="a", resource_type="pipeline")
    validation.check_experiment(over_pipelines, [over_models])
    with pytest.raises(refusal.Refusal, match="already in experiment three as a baseline"):
        validation.check_experiment(
            _experiment("three", (("a", 1),), default="a", resource_type="pipeline"),
            [over_models, over_pipelines],
        )


SERVERS = {"one": ("mlserver", "python"), "two": ("lightgbm",)}


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"requirements": ("python", "mlserver")},
        {"requirements": ("lightgbm",)},
        {"requirements": ("lightgbm",), "server": "two"},
    ],
)
def test_a_model_is_scheduled_where_one_server_has_all_it_requires(spec: dict[str, Any]) -> None:
    model = seldon.ModelSpec(storage_uri="/x", **spec)
    assert validation.why_unschedulable(model, SERVERS) is None


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"requirements": ("triton",)}, "requirements triton"),
        ({"requirements": ("python", "lightgbm")}, "requirements lightgbm, python"),
        ({"requirements": ("lightgbm",), "server": "one"}, "servers have one: mlserver, python"),
        ({"server": "three"}, "spec.server three is not one of one, two"),
        ({"explainer": seldon.Explainer(type="x")}, "spec.explainer"),
    ],
)
def test_a_model_that_no_server_can_take_says_what_is_missing(
    spec: dict[str, Any], said: str
) -> None:
    why = validation.why_unschedulable(seldon.ModelSpec(storage_uri="/x", **spec), SERVERS)
    assert why is not None
    assert why.startswith("Failed to schedule model as no matching servers are available")
    assert said in why


def test_capabilities_replace_and_extra_ones_add() -> None:
    def server(**spec: Any) -> seldon.Server:
        given = seldon.ServerSpec(server_config="mlserver", **spec)
        return seldon.Server(metadata=seldon.ObjectMeta(name="s"), spec=given)

    built_in = ("mlserver",)
    assert validation.capabilities_of(server(), built_in) == ("mlserver",)
    assert validation.capabilities_of(server(capabilities=("a",)), built_in) == ("a",)
    extra = server(extra_capabilities=("a", "mlserver"))
    assert validation.capabilities_of(extra, built_in) == ("mlserver", "a")
