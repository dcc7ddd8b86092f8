"""The shapes of Seldon's own sample pipelines, on models of ours.

Samples and their models: `samples/pipelines`, `samples/experiments` of SeldonIO/seldon-core.
`pair…` stand in for the TensorFlow model of two inputs and two outputs, `router` for `conditional`.
Two samples have an underscore in their names, which Seldon's scheduler refuses; here it is a dash.
"""

import concurrent.futures
import re
from typing import Any

import pytest

from tests.conformance.environment import eventually
from tests.conformance.worlds import World, tensors, values

pytestmark = pytest.mark.stack

_PAIRED = {"INPUT0": [5.0], "INPUT1": [2.0]}


def _both(source: str) -> dict[str, str]:
    return {f"{source}.outputs.OUTPUT{at}": f"INPUT{at}" for at in (0, 1)}


SAMPLES: dict[str, tuple[dict[str, Any], list[tuple[Any, Any]]]] = {
    "tfsimple": (
        {"steps": [{"name": "pair1"}], "output": {"steps": ["pair1"]}},
        [(_PAIRED, [("OUTPUT0", [7]), ("OUTPUT1", [3])])],
    ),
    "tfsimples": (
        {
            "steps": [
                {"name": "pair1"},
                {"name": "pair2", "inputs": ["pair1"], "tensorMap": _both("pair1")},
            ],
            "output": {"steps": ["pair2"]},
        },
        [(_PAIRED, [("OUTPUT0", [10]), ("OUTPUT1", [4])])],
    ),
    "tfsimples-input": (
        {
            "steps": [
                {"name": "pair1"},
                {
                    "name": "pair2",
                    "inputs": ["pair1.inputs.INPUT0", "pair1.outputs.OUTPUT1"],
                    "tensorMap": {"pair1.outputs.OUTPUT1": "INPUT1"},
                },
            ],
            "output": {"steps": ["pair2"]},
        },
        [(_PAIRED, [("OUTPUT0", [8]), ("OUTPUT1", [2])])],
    ),
    "join": (
        {
            "steps": [
                {"name": "pair1"},
                {"name": "pair2"},
                {
                    "name": "pair3",
                    "inputs": ["pair1.outputs.OUTPUT0", "pair2.outputs.OUTPUT1"],
                    "tensorMap": {
                        "pair1.outputs.OUTPUT0": "INPUT0",
                        "pair2.outputs.OUTPUT1": "INPUT1",
                    },
                },
            ],
            "output": {"steps": ["pair3"]},
        },
        [(_PAIRED, [("OUTPUT0", [10]), ("OUTPUT1", [4])])],
    ),
    "joincheck": (
        {
            "steps": [
                {"name": "pair1"},
                {"name": "pair2"},
                {
                    "name": "outlier-error",
                    "inputs": ["pair1.outputs.OUTPUT0"],
                    "tensorMap": {"pair1.outputs.OUTPUT0": "INPUT"},
                },
                {
                    "name": "pair3",
                    "inputs": ["pair1.outputs.OUTPUT0", "pair2.outputs.OUTPUT1"],
                    "tensorMap": {
                        "pair1.outputs.OUTPUT0": "INPUT0",
                        "pair2.outputs.OUTPUT1": "INPUT1",
                    },
                    "triggers": ["outlier-error.outputs.OUTPUT"],
                },
            ],
            "output": {"steps": ["pair3"]},
        },
        [
            (_PAIRED, [("OUTPUT0", [10]), ("OUTPUT1", [4])]),
            ({"INPUT0": [99.0], "INPUT1": [2.0]}, "outlier-error : .*outlier: 101"),
        ],
    ),
    "tfsimple-conditional": (
        {
            "steps": [
                {"name": "router"},
                {
                    "name": "mul10",
                    "inputs": ["router.outputs.OUTPUT0"],
                    "tensorMap": {"router.outputs.OUTPUT0": "INPUT"},
                },
                {
                    "name": "add10",
                    "inputs": ["router.outputs.OUTPUT1"],
                    "tensorMap": {"router.outputs.OUTPUT1": "INPUT"},
                },
            ],
            "output": {"steps": ["mul10", "add10"], "stepsJoin": "any"},
        },
        [
            ({"CHOICE": [0], "INPUT": [2.0, 3.0]}, [("OUTPUT", [20, 30])]),
            ({"CHOICE": [1], "INPUT": [2.0, 3.0]}, [("OUTPUT", [12, 13])]),
            ({"CHOICE": [7], "INPUT": [2.0]}, ".*OUTPUT7.*"),
            ({"INPUT": [2.0]}, "router : rpc error: code = Internal desc = builtins.KeyError: .*"),
        ],
    ),
    "choice": (
        {
            "steps": [
                {"name": "choice-is-one"},
                {
                    "name": "mul10",
                    "inputs": ["choice.inputs.INPUT"],
                    "triggers": ["choice-is-one.outputs.choice"],
                },
                {"name": "choice-is-two"},
                {
                    "name": "add10",
                    "inputs": ["choice.inputs.INPUT"],
                    "triggers": ["choice-is-two.outputs.choice"],
                },
            ],
            "output": {"steps": ["mul10", "add10"], "stepsJoin": "any"},
        },
        [
            ({"INPUT": [1.0]}, [("OUTPUT", [10])]),
            ({"INPUT": [2.0]}, [("OUTPUT", [12])]),
            ({"INPUT": [3.0]}, ".*choice.*"),
        ],
    ),
    "trigger-joins": (
        {
            "steps": [
                {
                    "name": "mul10",
                    "inputs": ["trigger-joins.inputs.INPUT"],
                    "triggers": ["trigger-joins.inputs.ok1", "trigger-joins.inputs.ok2"],
                    "triggersJoinType": "any",
                },
                {
                    "name": "add10",
                    "inputs": ["trigger-joins.inputs.INPUT"],
                    "triggers": ["trigger-joins.inputs.ok3"],
                },
            ],
            "output": {"steps": ["mul10", "add10"], "stepsJoin": "any"},
        },
        [
            ({"ok1": [1.0], "INPUT": [4.0]}, [("OUTPUT", [40])]),
            ({"ok2": [1.0], "INPUT": [4.0]}, [("OUTPUT", [40])]),
            ({"ok3": [1.0], "INPUT": [4.0]}, [("OUTPUT", [14])]),
            ({"INPUT": [4.0]}, ".*ok1.*"),
        ],
    ),
    "triggers-join-inputs": (
        {
            "steps": [
                {
                    "name": "gather",
                    "inputs": [
                        "triggers-join-inputs.inputs.INPUT1",
                        "triggers-join-inputs.inputs.INPUT2",
                    ],
                    "triggers": [
                        "triggers-join-inputs.inputs.TRIGGER1",
                        "triggers-join-inputs.inputs.TRIGGER2",
                    ],
                    "triggersJoinType": "any",
                }
            ],
            "output": {"steps": ["gather"]},
        },
        [
            (
                {"TRIGGER2": [1.0], "INPUT1": [4.0], "INPUT2": [5.0]},
                [("OUTPUT", [9]), ("COUNT", [2])],
            ),
            ({"INPUT1": [4.0], "INPUT2": [5.0]}, ".*TRIGGER1.*"),
        ],
    ),
    "triggers-join-internal": (
        {
            "steps": [
                {
                    "name": "mul10",
                    "inputs": ["triggers-join-internal.inputs.TRIGGER1"],
                    "tensorMap": {"triggers-join-internal.inputs.TRIGGER1": "INPUT"},
                },
                {
                    "name": "add10",
                    "inputs": ["triggers-join-internal.inputs.TRIGGER2"],
                    "tensorMap": {"triggers-join-internal.inputs.TRIGGER2": "INPUT"},
                },
                {
                    "name": "gather",
                    "inputs": [
                        "triggers-join-internal.inputs.INPUT1",
                        "triggers-join-internal.inputs.INPUT2",
                    ],
                    "triggers": ["mul10.outputs.OUTPUT", "add10.outputs.OUTPUT"],
                    "triggersJoinType": "any",
                },
            ],
            "output": {"steps": ["gather"]},
        },
        [
            (
                {trigger: [1.0], "INPUT1": [4.0], "INPUT2": [5.0]},
                [("OUTPUT", [9]), ("COUNT", [2])],
            )
            for trigger in ("TRIGGER1", "TRIGGER2")
        ],
    ),
    "pipeline-inputs": (
        {
            "steps": [
                {
                    "name": "mul10",
                    "inputs": ["pipeline-inputs.inputs.INPUT0"],
                    "tensorMap": {"pipeline-inputs.inputs.INPUT0": "INPUT"},
                },
                {
                    "name": "add10",
                    "inputs": ["pipeline-inputs.inputs.INPUT1"],
                    "tensorMap": {"pipeline-inputs.inputs.INPUT1": "INPUT"},
                },
            ],
            "output": {"steps": ["mul10", "add10"]},
        },
        [({"INPUT0": [1.0], "INPUT1": [2.0]}, [("OUTPUT", [10]), ("OUTPUT", [12])])],
    ),
    "error": (
        {"steps": [{"name": "outlier-error"}], "output": {"steps": ["outlier-error"]}},
        [
            ({"INPUT": [100.0]}, [("OUTPUT", [100])]),
            (
                {"INPUT": [200.0]},
                "outlier-error : rpc error: code = InvalidArgument desc = .*: outlier: 200",
            ),
        ],
    ),
    "outlier": (
        {
            "steps": [
                {"name": "outlier-error"},
                {"name": "add10", "triggers": ["outlier-error"]},
            ],
            "output": {"steps": ["add10"]},
        },
        [
            ({"INPUT": [1.0]}, [("OUTPUT", [11])]),
            ({"INPUT": [200.0]}, "outlier-error : .*outlier: 200"),
        ],
    ),
    "income-production": (
        {
            "steps": [
                {"name": "mul10"},
                {"name": "add10"},
                {
                    "name": "pair1",
                    "inputs": ["add10", "mul10"],
                    "tensorMap": {
                        "add10.outputs.OUTPUT": "INPUT0",
                        "mul10.outputs.OUTPUT": "INPUT1",
                    },
                },
                {"name": "seen", "batch": {"size": 20}},
            ],
            "output": {"steps": ["mul10", "pair1.outputs.OUTPUT1"]},
        },
        [({"INPUT": [1.0]}, [("OUTPUT", [10]), ("OUTPUT1", [1])])],
    ),
}


def _used(spec: dict[str, Any]) -> list[str]:
    return [step["name"] for step in spec["steps"]]


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_answers(world: World, name: str) -> None:
    spec, exchanges = SAMPLES[name]
    world.serve(*_used(spec))
    outcome = world.pipeline(name, **spec)
    assert outcome.accepted, outcome
    for asked, wanted in exchanges:
        response = world.ask(name, asked)
        if isinstance(wanted, str):
            assert response.status_code == 400
            assert re.fullmatch(wanted, response.text, re.DOTALL), response.text
        else:
            assert tensors(response) == wanted


@pytest.mark.parametrize(
    ("name", "steps", "output", "message"),
    [
        (
            "iris",
            ["iris"],
            "iris",
            "pipeline iris must not have a step name with the same name as pipeline name",
        ),
        (
            "iris-pipeline",
            ["first", {"name": "second", "inputs": [None]}],
            "iris",
            "pipeline iris-pipeline step second has an empty input",
        ),
        (
            "iris-pipeline",
            ["first", "second", {"name": "third", "inputs": ["first"], "triggers": [None]}],
            "iris",
            "pipeline iris-pipeline step third has an empty trigger",
        ),
    ],
)
def test_a_sample_of_an_error_is_refused_in_seldons_words(
    world: World, name: str, steps: list[Any], output: str, message: str
) -> None:
    refused = world.pipeline(name, steps, output)
    assert not refused.accepted
    assert refused.message == message


def test_the_sample_with_a_misspelt_field_is_refused_with_the_right_one(world: World) -> None:
    step = {"name": "mul10", "input": ["router.outputs.OUTPUT0"]}
    refused = world.pipeline("tfsimple-conditional", ["router", step], "mul10")
    assert not refused.accepted
    assert 'unknown field "spec.steps[1].input"' in refused.message


def test_the_sample_of_a_batch_collects_rows(world: World) -> None:
    world.serve("seen")
    world.pipeline("iris-batch", [{"name": "seen", "batch": {"size": 2}}], "seen")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(world.ask, "iris-batch", {"INPUT": [1.0]}) for _ in range(2)]
        rows = [tensors(each.result())[0][1][1] for each in asked]
    assert rows == [2, 2]


def test_the_sample_of_versions_answers_as_it_was_declared_last(world: World) -> None:
    world.serve("add10", "mul10")
    for version, (step, value) in enumerate((("add10", 13), ("mul10", 30), ("add10", 13)), 1):
        world.pipeline("version-test", [step], step)
        response = world.ask("version-test", {"INPUT": [3.0]})
        assert tensors(response) == [("OUTPUT", [value])]
        assert response.headers["x-pipeline-version"] == str(version)


# Pipelines that read from `tfsimple`: what they run is seen by a model that counts its calls.


def _extended(world: World, name: str, step: str, source: str) -> None:
    prefix = source.removesuffix(".outputs")
    spec = {"externalInputs": [source], "tensorMap": _both(prefix)}
    world.pipeline(name, [step], step, input=spec)


def _calls(world: World) -> float:
    return values(world.infer("counting", 1))[0]


def _runs(world: World, times: int) -> None:
    """Ask `tfsimple` so often, and see that the counting model is called so often, too."""
    before = _calls(world)
    for _ in range(times):
        assert tensors(world.ask("tfsimple", _PAIRED)) == [("OUTPUT0", [7]), ("OUTPUT1", [3])]
    looked = 0

    def ran() -> bool:
        nonlocal looked
        looked += 1
        return _calls(world) == before + times + looked

    eventually(ran, f"the pipeline has run {times} times", pause=0.05)


@pytest.mark.parametrize("source", ["tfsimple.outputs", "tfsimple.step.pair1.outputs"])
def test_a_sample_that_extends_another_runs_with_it(world: World, source: str) -> None:
    world.serve("pair1", "counting")
    world.pipeline("tfsimple", ["pair1"], "pair1")
    _extended(world, "tfsimple-extended", "counting", source)
    _runs(world, 2)


@pytest.mark.parametrize(
    "given",
    [
        {
            "externalInputs": [
                "tfsimple-extended.outputs.OUTPUT0",
                "tfsimple-extended2.outputs.OUTPUT1",
            ],
            "tensorMap": {
                "tfsimple-extended.outputs.OUTPUT0": "INPUT0",
                "tfsimple-extended2.outputs.OUTPUT1": "INPUT1",
            },
        },
        {
            "externalInputs": [
                "tfsimple-extended.step.pair2.outputs.OUTPUT0",
                "tfsimple-extended2.step.pair2.outputs.OUTPUT0",
            ],
            "tensorMap": {
                "tfsimple-extended.step.pair2.outputs.OUTPUT0": "INPUT0",
                "tfsimple-extended2.step.pair2.outputs.OUTPUT0": "INPUT1",
            },
        },
        {
            "externalInputs": ["tfsimple-extended.outputs"],
            "externalTriggers": ["tfsimple-extended2.outputs"],
            "tensorMap": _both("tfsimple-extended"),
        },
    ],
    ids=["combined", "combined-step", "combined-trigger"],
)
def test_a_sample_that_combines_two_others_runs_once_with_both(
    world: World, given: dict[str, Any]
) -> None:
    world.serve("pair1", "pair2", "counting")
    world.pipeline("tfsimple", ["pair1"], "pair1")
    for name in ("tfsimple-extended", "tfsimple-extended2"):
        _extended(world, name, "pair2", "tfsimple.outputs")
    world.pipeline("tfsimple-combined", ["counting"], "counting", input=given)
    _runs(world, 2)


# Experiments.


def test_the_sample_of_an_experiment_over_pipelines_splits_them(world: World) -> None:
    world.serve("add10", "mul10")
    world.pipeline("pipeline-add10", ["add10"], "add10")
    world.pipeline("pipeline-mul10", ["mul10"], "mul10")
    world.experiment(
        "addmul10",
        [("pipeline-add10", 50), ("pipeline-mul10", 50)],
        default="pipeline-add10",
        resourceType="pipeline",
    )
    for name in ("addmul10.experiment", "pipeline-add10.pipeline"):
        seen = {tuple(values(world.infer(name, 3))) for _ in range(60)}
        assert seen == {(13,), (30,)}


def test_the_sample_of_a_mirror_over_pipelines_answers_from_its_candidate(world: World) -> None:
    world.serve("add10", "counting")
    world.pipeline("pipeline-add10", ["add10"], "add10")
    world.pipeline("pipeline-mul10", ["counting"], "counting")
    world.experiment(
        "addmul10-mirror",
        [("pipeline-add10", 100)],
        default="pipeline-add10",
        mirror=("pipeline-mul10", 100),
        resourceType="pipeline",
    )
    before = _calls(world)
    for name in ("addmul10-mirror.experiment", "pipeline-add10.pipeline"):
        assert values(world.infer(name, 3)) == [13]
    looked = 0

    def copied() -> bool:
        nonlocal looked
        looked += 1
        return _calls(world) == before + 2 + looked

    eventually(copied, "both copies arrive", pause=0.05)


def test_the_sample_of_a_models_experiment_splits_a_pipelines_step(world: World) -> None:
    world.serve("add10", "add20", "mul10")
    step = {
        "name": "mul10",
        "inputs": ["add10"],
        "tensorMap": {"add10.outputs.OUTPUT": "INPUT"},
    }
    world.pipeline("pipeline-add10", ["add10", step], "mul10")
    world.experiment("add1020", [("add10", 50), ("add20", 50)], default="add10")
    seen = {tuple(values(world.infer("pipeline-add10.pipeline", 3))) for _ in range(60)}
    assert seen == {(130,), (230,)}
