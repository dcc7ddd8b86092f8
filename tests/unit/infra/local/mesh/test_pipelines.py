import json
from pathlib import Path
from typing import Any

import pytest

from infra import seldon
from infra.local.mesh import dataflow, pipelines, refusal
from infra.local.mesh.dataflow import JOIN_WINDOW_MS

VALIDATION = Path(__file__).resolve().parents[6] / "shared" / "conformance" / "validation.json"


def _pipeline(name: str = "p", *steps: dict[str, Any], **spec: Any) -> seldon.Pipeline:
    return seldon.parse_as(
        seldon.Pipeline,
        {
            "metadata": {"name": name, "generation": 3},
            "spec": {"steps": list(steps or [{"name": "a"}]), **spec},
        },
    )


def _refused(pipeline: seldon.Pipeline, *others: seldon.Pipeline) -> tuple[str, str]:
    with pytest.raises(refusal.Refusal) as refused:
        pipelines.check(pipeline, others)
    assert refused.value.code == 422
    (cause,) = refused.value.causes
    return cause.field, refused.value.message


def _recorded() -> list[dict[str, Any]]:
    if not VALIDATION.exists():
        return []
    steps: list[dict[str, Any]] = json.loads(VALIDATION.read_text())["steps"]
    return [
        step
        for step in steps
        if step["name"].startswith("LoadPipeline") and "dot in name" not in step["name"]
    ]


@pytest.mark.parametrize("step", _recorded(), ids=lambda step: step["name"])
def test_what_was_recorded_is_refused_in_the_same_words(step: dict[str, Any]) -> None:
    request = {"steps": [], **step["request"]}
    pipeline = _pipeline(request.pop("name"), **request)
    if step["name"] == "LoadPipeline same step input and trigger":
        # The scheduler's own rule, which never acts there; see `pipelines.check`.
        said = "pipeline v3 : inputs and triggers must differ, but found mul10.outputs in both"
        assert _refused(pipeline) == ("spec.steps[1].triggers[0]", said)
    elif step["code"] == "OK":
        pipelines.check(pipeline, ())
    else:
        assert _refused(pipeline)[1] == step["message"]


@pytest.mark.parametrize(
    ("steps", "spec", "field", "message"),
    [
        (
            [{"name": "a"}, {"name": "b", "inputs": [None]}],
            {},
            "spec.steps[1].inputs[0]",
            "pipeline p step b has an empty input",
        ),
        (
            [{"name": "a"}, {"name": "b", "inputs": ["a"], "triggers": [" "]}],
            {},
            "spec.steps[1].triggers[0]",
            "pipeline p step b has an empty trigger",
        ),
        (
            [{"name": "a"}, {"name": "b", "triggers": ["a.OUTPUT"]}],
            {},
            "spec.steps[1].triggers[0]",
            "pipeline step trigger invalid pipeline p step b input step a.OUTPUT.",
        ),
        (
            [{"name": "a"}, {"name": "b", "inputs": ["a.outputs.x.y"]}],
            {},
            "spec.steps[1].inputs[0]",
            "pipeline step input invalid pipeline p step b input step a.outputs.x.y.",
        ),
        (
            [{"name": "a", "triggers": ["nosuch"]}],
            {},
            "spec.steps[0].triggers[0]",
            "pipeline p step a has trigger nosuch for step that does not exist",
        ),
        (
            [{"name": "a"}, {"name": "b", "triggers": ["c"]}, {"name": "c", "inputs": ["b"]}],
            {},
            "spec.steps",
            "pipeline p has a cycle",
        ),
        (
            [{"name": "a"}],
            {"output": {"steps": ["a.OUTPUT"]}},
            "spec.output.steps[0]",
            "pipeline p output specifier a.OUTPUT invalid",
        ),
        (
            [{"name": "a"}],
            {"output": {"steps": ["p.inputs"]}},
            "spec.output.steps[0]",
            "pipeline p output step p not found",
        ),
        (
            [{"name": "a"}],
            {"allowCycles": True},
            "spec.allowCycles",
            (
                "pipeline p asks for cycles: this mesh runs each step once for a request, "
                "leave allowCycles out, or serve it on Seldon"
            ),
        ),
        (
            [{"name": "a"}],
            {"input": {"externalTriggers": ["q"]}},
            "spec.input.externalInputs",
            "pipeline p input  is invalid. At least one pipeline input must be specified",
        ),
    ],
)
def test_a_pipeline_that_contradicts_itself_is_refused(
    steps: list[dict[str, Any]], spec: dict[str, Any], field: str, message: str
) -> None:
    assert _refused(_pipeline("p", *steps, **spec)) == (field, message)


_SIDES = (
    "A Pipeline inputs referencing another pipeline must be "
    "<pipeineName>.(inputs|outputs|step.<stepName>)"
)
_STEPS = "A pipeline step must be <pipelineName>.step.<stepName>.(inputs|outputs)"


@pytest.mark.parametrize(
    ("reference", "why"),
    [
        ("", "Input name must not be empty"),
        ("q.OUTPUT", _SIDES),
        ("q.outputs.x.y", _SIDES),
        ("q.step.s.OUTPUT", _STEPS),
        ("q.step", _STEPS),
        (
            "q.step.s.outputs.x.y",
            (
                "The input is too long. It must be <pipelineName>.(inputs|outputs).(tensorName)? "
                "or <pipelineName>.step.<stepName>.<inputs|outputs>.<tensorName>"
            ),
        ),
    ],
)
def test_a_reference_to_another_pipeline_that_is_none_is_refused(reference: str, why: str) -> None:
    given = {"externalInputs": ["ok.outputs"], "externalTriggers": [reference]}
    field, message = _refused(_pipeline(input=given))
    assert field == "spec.input.externalTriggers[0]"
    assert message.startswith("pipeline p input ")
    assert message.endswith(f"is invalid. {why}")


def test_pipelines_that_feed_each_other_are_refused() -> None:
    others = [
        _pipeline("q", input={"externalInputs": ["r.step.s.outputs"]}),
        _pipeline("r", input={"externalInputs": ["x"], "externalTriggers": ["p"]}),
    ]
    pipelines.check(_pipeline("p", input={"externalInputs": ["x"]}), others)
    field, message = _refused(_pipeline("p", input={"externalInputs": ["q"]}), *others)
    assert field == "spec.input.externalInputs"
    assert message.startswith("pipeline p would feed itself through q")
    assert "for ever" in _refused(_pipeline("p", input={"externalInputs": ["p"]}))[1]


def test_the_same_source_may_give_one_tensor_as_input_and_another_as_trigger() -> None:
    step = {"name": "a", "inputs": ["p.inputs.INPUT"], "triggers": ["p.inputs.ok1"]}
    pipelines.check(_pipeline("p", step), ())


def test_references_are_completed_and_steps_come_after_their_sources() -> None:
    pipeline = _pipeline(
        "p",
        {"name": "last", "inputs": ["first", "p"], "triggers": ["middle.outputs.x"]},
        {"name": "middle", "inputs": ["first.outputs.y"], "joinWindowMs": 50},
        {"name": "first", "batch": {"size": 4, "windowMs": 9}},
        output={"steps": ["last", "first.inputs.z"], "stepsJoin": "any"},
        input={
            "externalInputs": ["q", "q.step.s", "q.inputs.x"],
            "externalTriggers": ["r.step.s.inputs.y"],
            "joinType": "outer",
            "tensorMap": {"q.outputs.a": "b"},
        },
    )
    pipelines.check(pipeline, ())
    assert pipelines.whole(pipeline) == dataflow.Pipeline(
        name="p",
        version=3,
        steps=(
            dataflow.Step(name="first", inputs=("p.inputs",), batch_size=4),
            dataflow.Step(name="middle", inputs=("first.outputs.y",), join_window_ms=50),
            dataflow.Step(
                name="last", inputs=("first.outputs", "p.inputs"), triggers=("middle.outputs.x",)
            ),
        ),
        input=dataflow.External(
            inputs=("q.outputs", "q.step.s.outputs", "q.inputs.x"),
            inputs_join="outer",
            triggers=("r.step.s.inputs.y",),
            tensor_map={"q.outputs.a": "b"},
        ),
        output=dataflow.Output(steps=("last.outputs", "first.inputs.z"), steps_join="any"),
    )


def test_what_is_left_out_is_seldons_default() -> None:
    step = {"name": "a", "joinWindowMs": 0, "batch": {"size": 0}, "inputsJoinType": "outer"}
    whole = pipelines.whole(_pipeline("p", step, output={"steps": []}))
    assert whole.output is None
    (only,) = whole.steps
    assert (only.join_window_ms, only.batch_size) == (JOIN_WINDOW_MS, None)
    assert (only.inputs_join, only.triggers_join) == ("outer", "inner")


def test_external_references_behind_which_is_nothing_are_named() -> None:
    fed = _pipeline(
        input={
            "externalInputs": ["q", "q.step.a", "q.step.zzz.outputs.x"],
            "externalTriggers": ["ghost.inputs"],
        }
    )
    assert pipelines.unfed(fed, {"q": _pipeline("q")}) == ("q.step.zzz.outputs.x", "ghost.inputs")
    assert pipelines.unfed(_pipeline(), {}) == ()
