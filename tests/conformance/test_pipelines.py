"""What Seldon says of pipelines: inputs, joins, triggers, batches, outputs, errors, experiments."""

import concurrent.futures
import time
from collections.abc import Callable
from typing import Any, TypeVar

import grpc
import httpx
import pytest

from tests.conformance import apply, open_inference
from tests.conformance.callers import Callers
from tests.conformance.environment import eventually
from tests.conformance.worlds import World, body, routes, tensors, values

pytestmark = pytest.mark.stack

AT_ONCE = 2.0
"""Seconds: far more than an answer takes, and far less than any window or timeout."""

LATE = 0.3
"""Seconds that the models `late2` and `late3` take."""

_Answer = TypeVar("_Answer")


def _timed(ask: Callable[[], _Answer]) -> tuple[_Answer, float]:
    started = time.monotonic()
    answer = ask()
    return answer, time.monotonic() - started


def _chain(world: World, name: str = "chain") -> None:
    world.serve("mul10", "add10")
    second = _mapped("add10", "mul10.outputs.OUTPUT")
    assert world.pipeline(name, ["mul10", second], "add10").accepted


def _mapped(step: str, *sources: str, to: tuple[str, ...] = ("INPUT",), **more: Any) -> Any:
    """Write a step that gets each source's tensor under a name of its own."""
    names = dict(zip(sources, to, strict=True))
    return {"name": step, "inputs": list(sources), "tensorMap": names, **more}


# Inputs and outputs.


def test_a_chain_answers_from_its_last_step(world: World) -> None:
    _chain(world)
    response = world.ask("chain", {"INPUT": [1.0, 2.0]})
    assert tensors(response) == [("OUTPUT", [20, 30])]
    assert routes(response) == ["mul10", "add10", "chain.pipeline"]
    assert response.headers["x-pipeline-version"] == "1"


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v2/models/x/infer", {"seldon-model": "chain.pipeline"}),
        ("/v2/models/chain.pipeline/infer", {}),
        ("/v2/models/chain.pipeline/infer", {"seldon-model": "chain.pipeline"}),
        ("/v2/pipelines/chain/infer", {}),
        ("/v2/pipelines/nosuch/infer", {"seldon-model": "chain.pipeline"}),
        ("/v2/models/mul10/infer", {"seldon-model": "chain.pipeline"}),
    ],
)
def test_a_pipeline_is_named_by_header_or_path(
    world: World, path: str, headers: dict[str, str]
) -> None:
    _chain(world)
    response = world.client.post(path, json=body(1), headers=headers)
    assert values(response) == [20]


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v2/models/chain/infer", {}),
        ("/v2/models/x/infer", {"seldon-model": "chain"}),
        ("/v2/pipelines/chain.pipeline/infer", {}),
        ("/v2/pipelines/chai/infer", {}),
        ("/v2/pipelines/chain/infer", {"seldon-model": "chai.pipeline"}),
    ],
)
def test_another_name_is_not_found(world: World, path: str, headers: dict[str, str]) -> None:
    _chain(world)
    assert world.client.post(path, json=body(1), headers=headers).status_code == 404


def test_a_header_of_the_callers_comes_back(world: World) -> None:
    _chain(world)
    response = world.ask("chain", {"INPUT": [1.0]}, x_lab="v", other="w")
    assert response.headers["x-lab"] == "v"
    assert "other" not in response.headers
    assert (
        "mine" in world.ask("chain", {"INPUT": [1.0]}, x_request_id="mine").headers["x-request-id"]
    )
    assert len(world.ask("chain", {"INPUT": [1.0]}).headers["x-request-id"]) > 8


def test_without_a_tensor_map_a_step_gets_the_names_of_its_source(world: World) -> None:
    world.serve("mul10", "add10")
    world.pipeline("p", ["mul10", {"name": "add10", "inputs": ["mul10"]}], "add10")
    response = world.ask("p", {"INPUT": [1.0]})
    assert response.status_code == 400
    assert response.text.endswith("tensor INPUT missing, got ['OUTPUT']")


def test_a_step_gets_the_tensors_that_it_asks_for_and_no_others(world: World) -> None:
    world.serve("gather")
    world.pipeline("p", [{"name": "gather", "inputs": ["p.inputs.A", "p.inputs.C"]}], "gather")
    response = world.ask("p", {"A": [1.0], "B": [10.0], "C": [100.0]})
    assert tensors(response) == [("OUTPUT", [101]), ("COUNT", [2])]


def test_the_pipelines_name_alone_means_its_inputs_and_a_steps_its_outputs(world: World) -> None:
    world.serve("mul10", "gather")
    world.pipeline("p", ["mul10", {"name": "gather", "inputs": ["p", "mul10"]}], "gather")
    assert tensors(world.ask("p", {"INPUT": [1.0]})) == [("OUTPUT", [11]), ("COUNT", [2])]


def test_a_step_can_take_what_another_step_was_given(world: World) -> None:
    world.serve("pair1", "pair2")
    second = {
        "name": "pair2",
        "inputs": ["pair1.inputs.INPUT0", "pair1.outputs.OUTPUT1"],
        "tensorMap": {"pair1.outputs.OUTPUT1": "INPUT1"},
    }
    world.pipeline("p", ["pair1", second], "pair2")
    response = world.ask("p", {"INPUT0": [7.0], "INPUT1": [2.0]})
    assert tensors(response) == [("OUTPUT0", [12]), ("OUTPUT1", [2])]


def test_an_output_can_be_one_tensor_of_a_step_or_what_a_step_was_given(world: World) -> None:
    world.serve("pair1", "mul10")
    world.pipeline(
        "p",
        ["pair1", {"name": "mul10", "inputs": ["pair1.outputs.OUTPUT0"]}],
        "pair1.outputs.OUTPUT1",
        "pair1.inputs.INPUT0",
    )
    # mul10 has no tensor INPUT and fails; nobody asked for what it gives.
    world.pipeline("q", ["pair1"], "pair1.outputs.OUTPUT1", "pair1.inputs.INPUT0")
    response = world.ask("q", {"INPUT0": [7.0], "INPUT1": [2.0]})
    assert tensors(response) == [("OUTPUT1", [5]), ("INPUT0", [7])]


def test_outputs_of_several_steps_are_joined_in_their_order(world: World) -> None:
    world.serve("mul10", "add10")
    world.pipeline("p", ["mul10", "add10"], "add10", "mul10")
    response = world.ask("p", {"INPUT": [1.0]})
    assert tensors(response) == [("OUTPUT", [11]), ("OUTPUT", [10])]


def test_a_tensor_that_is_absent_ends_the_call_at_once_and_is_named(world: World) -> None:
    world.serve("mul10", "add10", "sum2")
    world.pipeline(
        "p",
        [
            _mapped("mul10", "p.inputs.A"),
            _mapped("add10", "p.inputs.B"),
            {"name": "sum2", "inputs": ["mul10", "add10"]},
        ],
        "sum2",
    )
    response, seconds = _timed(lambda: world.ask("p", {"A": [2.0], "C": [5.0]}))
    assert response.status_code == 400
    assert "B" in response.text
    assert seconds < AT_ONCE


# Joins.


def _gathering(world: World, late: str, join: str, window: int) -> None:
    world.serve("mul10", late, "gather")
    step = {
        "name": "gather",
        "inputs": ["mul10", late],
        "inputsJoinType": join,
        "joinWindowMs": window,
    }
    world.pipeline("p", ["mul10", late, step], "gather")


def test_an_inner_join_waits_for_all(world: World) -> None:
    _gathering(world, "late2", "inner", 5000)
    assert tensors(world.ask("p", {"INPUT": [1.0]})) == [("OUTPUT", [12]), ("COUNT", [2])]


def test_what_comes_after_an_inner_joins_window_is_not_joined(world: World) -> None:
    _gathering(world, "late2", "inner", 50)
    response, seconds = _timed(lambda: world.ask("p", {"INPUT": [1.0]}))
    assert response.status_code == 400
    assert seconds < AT_ONCE


def test_an_outer_join_takes_what_comes_within_its_window(world: World) -> None:
    _gathering(world, "late2", "outer", 100)
    response, seconds = _timed(lambda: world.ask("p", {"INPUT": [1.0]}))
    assert tensors(response) == [("OUTPUT", [10]), ("COUNT", [1])]
    assert seconds > 0.1


def test_an_outer_join_takes_all_when_all_come(world: World) -> None:
    _gathering(world, "late2", "outer", 30_000)
    response, seconds = _timed(lambda: world.ask("p", {"INPUT": [1.0]}))
    assert tensors(response) == [("OUTPUT", [12]), ("COUNT", [2])]
    assert seconds < AT_ONCE, "nothing more can come: there is no reason to wait"


def test_an_any_join_takes_the_first(world: World) -> None:
    _gathering(world, "late2", "any", 5000)
    world.ask("p", {"INPUT": [1.0]})
    answers = [_timed(lambda: world.ask("p", {"INPUT": [1.0]})) for _ in range(3)]
    for response, _ in answers:
        assert tensors(response) == [("OUTPUT", [10]), ("COUNT", [1])]
    assert min(seconds for _, seconds in answers) < LATE


def test_an_outer_join_does_without_a_branch_that_emits_nothing(world: World) -> None:
    world.serve("router", "mul10", "add10", "gather")
    world.pipeline(
        "p",
        [
            "router",
            _mapped("mul10", "router.outputs.OUTPUT0"),
            _mapped("add10", "router.outputs.OUTPUT1"),
            {
                "name": "gather",
                "inputs": ["mul10", "add10"],
                "inputsJoinType": "outer",
                "joinWindowMs": 30_000,
            },
        ],
        "gather",
    )
    response, seconds = _timed(lambda: world.ask("p", {"CHOICE": [1], "INPUT": [3.0]}))
    assert tensors(response) == [("OUTPUT", [13]), ("COUNT", [1])]
    assert seconds < AT_ONCE, "nothing more can come: there is no reason to wait"


@pytest.mark.parametrize(("join", "count"), [("inner", 2), ("any", 1), ("outer", 1)])
def test_a_pipelines_outputs_are_joined_as_a_steps_inputs_are(
    world: World, join: str, count: int
) -> None:
    world.serve("mul10", "late2")
    output = {"stepsJoin": join, "joinWindowMs": 5000 if join != "outer" else 100}
    world.pipeline("p", ["mul10", "late2"], "mul10", "late2", output=output)
    found = tensors(world.ask("p", {"INPUT": [1.0]}))
    assert found == [("OUTPUT", [10]), ("OUTPUT", [2])][:count]


def test_steps_that_can_run_side_by_side_do(world: World) -> None:
    world.serve("late2", "late3", "gather")
    world.pipeline(
        "p", ["late2", "late3", {"name": "gather", "inputs": ["late2", "late3"]}], "gather"
    )
    taken = []
    for _ in range(3):
        response, seconds = _timed(lambda: world.ask("p", {"INPUT": [1.0]}))
        assert tensors(response) == [("OUTPUT", [5]), ("COUNT", [2])]
        taken.append(seconds)
    assert LATE <= min(taken) < 1.8 * LATE


# Branches.


def _conditional(world: World) -> None:
    world.serve("router", "mul10", "add10")
    world.pipeline(
        "cond",
        [
            "router",
            _mapped("mul10", "router.outputs.OUTPUT0"),
            _mapped("add10", "router.outputs.OUTPUT1"),
        ],
        "mul10",
        "add10",
        output={"stepsJoin": "any"},
    )


@pytest.mark.parametrize(("choice", "value", "branch"), [(0, 30, "mul10"), (1, 13, "add10")])
def test_a_router_sends_a_request_to_the_branch_whose_tensor_it_emits(
    world: World, choice: int, value: float, branch: str
) -> None:
    _conditional(world)
    response = world.ask("cond", {"CHOICE": [choice], "INPUT": [3.0]})
    assert tensors(response) == [("OUTPUT", [value])]
    assert routes(response) == ["router", branch, "cond.pipeline"]


def test_a_branch_that_leads_nowhere_ends_the_call_at_once_and_says_why(world: World) -> None:
    _conditional(world)
    response, seconds = _timed(lambda: world.ask("cond", {"CHOICE": [2], "INPUT": [3.0]}))
    assert response.status_code == 400
    for name in ("mul10", "add10", "OUTPUT0", "OUTPUT1"):
        assert name in response.text
    assert seconds < AT_ONCE


def test_many_requests_through_branches_do_not_mix(world: World) -> None:
    _conditional(world)

    def ask(number: int) -> bool:
        choice = number % 2
        found = tensors(world.ask("cond", {"CHOICE": [choice], "INPUT": [float(number)]}))
        return found == [("OUTPUT", [number * 10 if choice == 0 else number + 10])]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(200)))


@pytest.mark.parametrize(
    ("join", "given", "runs"),
    [
        ("any", ("ok1",), True),
        ("any", ("ok2",), True),
        ("any", ("ok1", "ok2"), True),
        ("any", (), False),
        ("inner", ("ok1", "ok2"), True),
        ("inner", ("ok1",), True),  # tensors of one source are one trigger: any of them will do
        ("inner", (), False),
        ("outer", ("ok2",), True),
        ("outer", (), False),
    ],
)
def test_triggers_let_a_step_run_by_their_join(
    world: World, join: str, given: tuple[str, ...], runs: bool
) -> None:
    world.serve("gather")
    step = {
        "name": "gather",
        "inputs": ["p.inputs.INPUT"],
        "triggers": ["p.inputs.ok1", "p.inputs.ok2"],
        "triggersJoinType": join,
        "joinWindowMs": 200,
    }
    world.pipeline("p", [step], "gather")
    asked = {"INPUT": [3.0], **{each: [1.0] for each in given}}
    response, seconds = _timed(lambda: world.ask("p", asked))
    if runs:
        assert tensors(response) == [("OUTPUT", [3]), ("COUNT", [1])], "a trigger is no input"
    else:
        assert response.status_code == 400
    assert seconds < AT_ONCE


@pytest.mark.parametrize(
    ("join", "value", "runs"),
    [
        ("inner", 1.0, False),
        ("any", 1.0, True),
        ("outer", 2.0, True),
        ("any", 3.0, False),
        ("outer", 3.0, False),
    ],
)
def test_triggers_from_several_sources_are_joined(
    world: World, join: str, value: float, runs: bool
) -> None:
    world.serve("choice-is-one", "choice-is-two", "mul10")
    step = {
        "name": "mul10",
        "inputs": ["p.inputs.INPUT"],
        "triggers": ["choice-is-one.outputs.choice", "choice-is-two.outputs.choice"],
        "triggersJoinType": join,
        "joinWindowMs": 200,
    }
    world.pipeline("p", ["choice-is-one", "choice-is-two", step], "mul10")
    response, seconds = _timed(lambda: world.ask("p", {"INPUT": [value]}))
    if runs:
        assert tensors(response) == [("OUTPUT", [10 * value])]
    else:
        assert response.status_code == 400
    assert seconds < AT_ONCE


def test_an_inner_join_of_triggers_runs_a_step_when_all_are_there(world: World) -> None:
    world.serve("mul10", "add10", "mul2")
    step = {"name": "mul2", "inputs": ["p"], "triggers": ["mul10", "add10"]}
    world.pipeline("p", ["mul10", "add10", step], "mul2")
    assert tensors(world.ask("p", {"INPUT": [3.0]})) == [("OUTPUT", [6])]


def test_a_trigger_without_inputs_runs_a_step_on_the_pipelines(world: World) -> None:
    world.serve("outlier-error", "add10")
    step = {"name": "add10", "triggers": ["outlier-error"]}
    world.pipeline("p", ["outlier-error", step], "add10")
    assert tensors(world.ask("p", {"INPUT": [3.0]})) == [("OUTPUT", [13])]
    assert world.ask("p", {"INPUT": [300.0]}).status_code == 400


# Batches.


def _batching(world: World, size: int) -> None:
    world.serve("seen")
    world.pipeline("p", [{"name": "seen", "batch": {"size": size}}], "seen")


def test_rows_are_collected_over_requests_and_each_gets_its_own_back(world: World) -> None:
    _batching(world, 3)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(world.ask, "p", {"INPUT": [1.0] * rows}) for rows in (1, 1, 1)]
        answers = [tensors(each.result()) for each in asked]
    (calls,) = {answer[0][1][0] for answer in answers}
    assert answers == [[("OUTPUT", [calls, 3])]] * 3


def test_a_request_with_rows_enough_is_a_batch_of_its_own(world: World) -> None:
    _batching(world, 2)
    ((_, data),) = tensors(world.ask("p", {"INPUT": [1.0, 2.0]}))
    assert data[1::2] == [2, 2]


def test_a_batch_that_does_not_fill_does_not_hang(world: World) -> None:
    _batching(world, 50)
    response, seconds = _timed(lambda: world.ask("p", {"INPUT": [1.0]}))
    assert response.status_code == 200
    assert seconds < AT_ONCE


# Errors.


def test_a_steps_error_names_the_step_and_no_later_one_runs(world: World) -> None:
    world.serve("bad", "counting")
    world.pipeline("p", ["bad", {"name": "counting", "inputs": ["bad"]}], "counting")
    before = values(world.infer("counting", 1))[0]
    response = world.ask("p", {"INPUT": [1.0]})
    assert response.status_code == 400
    said = (
        "bad : rpc error: code = InvalidArgument desc = mlserver.errors.InferenceError: bad input"
    )
    assert response.text.startswith(said)
    assert response.headers["content-type"].startswith("text/plain")
    assert response.headers["x-seldon-route"] == ":p.pipeline:"
    assert values(world.infer("counting", 1))[0] == before + 1, "it was not called by the pipeline"


def test_a_failing_step_is_asked_once(world: World) -> None:
    world.serve("boom")
    world.pipeline("p", ["boom"], "boom")
    said = [world.ask("p", {"INPUT": [1.0]}).text for _ in range(3)]
    first = int(said[0].rpartition("=")[2])
    assert said == [
        f"boom : rpc error: code = Internal desc = builtins.ValueError: boom: calls={first + at}"
        for at in range(3)
    ]


def test_a_step_that_fails_beside_the_answer_ends_the_call_too(world: World) -> None:
    world.serve("late2", "bad")
    world.pipeline("p", ["late2", "bad"], "late2")
    response = world.ask("p", {"INPUT": [1.0]})
    assert response.status_code == 400
    assert response.text.startswith("bad : ")


def test_an_error_over_grpc_names_the_step(world: World) -> None:
    world.serve("mul10", "outlier-error")
    second = _mapped("outlier-error", "mul10.outputs.OUTPUT")
    world.pipeline("p", ["mul10", second], "outlier-error")
    with open_inference.Client(world.environment.gateway_address) as client:
        metadata = (("seldon-model", "p.pipeline"),)
        assert client.infer(1, metadata=metadata)[0].id == "g1"
        with pytest.raises(grpc.RpcError) as refused:
            client.infer(100, metadata=metadata)
    error: Any = refused.value
    assert error.code() == grpc.StatusCode.UNKNOWN
    wanted = "outlier-error : rpc error: code = InvalidArgument desc = "
    assert error.details() == f"{wanted}mlserver.errors.InferenceError: outlier: 1000"


def test_a_pipeline_without_output_says_so_and_its_steps_run(world: World) -> None:
    world.serve("counting")
    world.pipeline("p", ["counting"])
    before = values(world.infer("counting", 1))[0]
    response, seconds = _timed(lambda: world.ask("p", {"INPUT": [1.0]}))
    assert response.status_code == 400
    assert "output" in response.text
    assert seconds < AT_ONCE
    eventually(
        lambda: values(world.infer("counting", 1))[0] > before + 2, "the step runs", pause=0.1
    )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"inputs": []}',
        b'{"inputs": [{"name": "INPUT", "shape": [2], "datatype": "FP32", "data": [1]}]}',
        b'{"inputs": [{"name": "INPUT", "shape": [-1], "datatype": "FP32", "data": [1]}]}',
        b'{"inputs": [{"name": "INPUT", "shape": [1], "datatype": "FP32", "data": ["x"]}]}',
        b'{"inputs": [{"name": "INPUT", "shape": [1], "datatype": "FLOAT", "data": [1]}]}',
        b'{"inputs": [{"name": "INPUT", "shape": [1], "datatype": "FP32"}]}',
        b'{"inputs": [{"shape": [1], "datatype": "FP32", "data": [1]}]}',
    ],
)
def test_a_wrong_request_is_refused_at_once_and_the_next_one_served(
    world: World, content: bytes
) -> None:
    _chain(world)
    headers = {"content-type": "application/json"}
    response, seconds = _timed(
        lambda: world.client.post("/v2/pipelines/chain/infer", content=content, headers=headers)
    )
    assert response.status_code == 400
    assert response.text
    assert seconds < AT_ONCE
    assert tensors(world.ask("chain", {"INPUT": [1.0]})) == [("OUTPUT", [20])]


# gRPC.


def test_a_pipeline_answers_over_grpc(world: World) -> None:
    _chain(world)
    with open_inference.Client(world.environment.gateway_address) as client:
        fields = {
            "modelName": "x",
            "id": "g7",
            "inputs": [
                {
                    "name": "INPUT",
                    "datatype": "FP32",
                    "shape": ["2"],
                    "contents": {"fp32Contents": [1.0, 2.0]},
                }
            ],
        }
        asked = open_inference.message("ModelInferRequest", fields)
        answer = client.answer(asked, (("seldon-model", "chain.pipeline"), ("x-lab", "v")))
    assert answer.code == "OK"
    assert list(answer.response.outputs[0].contents.fp32_contents) == [20, 30]
    assert (answer.response.id, answer.response.model_name) == ("g7", "")
    told = [value for key, value in answer.initial if key == "x-seldon-route"]
    assert [each.strip(":").rsplit("_", 1)[0] for each in told] == [
        "mul10",
        "add10",
        "chain.pipeline",
    ]
    assert dict(answer.initial)["x-pipeline-version"] == "1"
    assert dict(answer.initial)["x-lab"] == "v"


def test_raw_contents_are_answered_with_raw_contents(world: World) -> None:
    _chain(world)
    with open_inference.Client(world.environment.gateway_address) as client:
        raw = bytes.fromhex("0000803f00000040")  # 1 and 2, little-endian
        response, _, _ = client.infer(raw=raw, metadata=(("seldon-model", "chain.pipeline"),))
    (written,) = response.raw_output_contents
    assert written.hex() == "0000a0410000f041"  # 20 and 30


# Pipelines that feed pipelines.


@pytest.mark.parametrize("source", ["first.outputs.OUTPUT", "first.step.mul10.outputs.OUTPUT"])
def test_a_pipeline_runs_on_what_another_one_gives(world: World, source: str) -> None:
    world.serve("mul10", "counting")
    world.pipeline("first", ["mul10"], "mul10")
    fed = {"externalInputs": [source], "tensorMap": {source: "INPUT"}}
    world.pipeline("second", ["counting"], "counting", input=fed)
    before = values(world.infer("counting", 1))[0]
    for at in range(3):
        assert tensors(world.ask("first", {"INPUT": [float(at)]})) == [("OUTPUT", [10 * at])]
    asked = 0

    def fed_thrice() -> bool:
        nonlocal asked
        asked += 1
        return values(world.infer("counting", 1))[0] == before + 3 + asked

    eventually(fed_thrice, "the second pipeline has run three times", pause=0.05)


def test_a_pipeline_that_is_fed_can_be_asked_as_well(world: World) -> None:
    world.serve("mul10", "add10")
    world.pipeline("first", ["mul10"], "mul10")
    fed = {"externalInputs": ["first.outputs"], "tensorMap": {"first.outputs.OUTPUT": "INPUT"}}
    world.pipeline("second", ["add10"], "add10", input=fed)
    assert tensors(world.ask("second", {"INPUT": [1.0]})) == [("OUTPUT", [11])]


def test_a_pipeline_that_fails_does_not_fail_the_one_that_feeds_it(world: World) -> None:
    world.serve("mul10", "bad")
    world.pipeline("first", ["mul10"], "mul10")
    world.pipeline("second", ["bad"], "bad", input={"externalInputs": ["first"]})
    for _ in range(5):
        assert tensors(world.ask("first", {"INPUT": [1.0]})) == [("OUTPUT", [10])]


# Experiments.


def test_a_step_that_is_an_experiments_default_is_split(world: World) -> None:
    world.serve("mul10", "mul2", "add10")
    _chain(world)
    world.experiment("e", [("mul10", 1), ("mul2", 0)], default="mul10")
    assert tensors(world.ask("chain", {"INPUT": [1.0]})) == [("OUTPUT", [20])]
    world.experiment("e", [("mul10", 0), ("mul2", 1)], default="mul10")
    for _ in range(10):
        response = world.ask("chain", {"INPUT": [1.0]})
        assert tensors(response) == [("OUTPUT", [12])]
        assert routes(response) == ["mul2", "add10", "chain.pipeline"]
    world.experiment("e", [("mul10", 1), ("mul2", 1)], default="mul10")
    seen = {routes(world.ask("chain", {"INPUT": [1.0]}))[0] for _ in range(60)}
    assert seen == {"mul10", "mul2"}
    assert world.remove("experiments", "e").accepted
    assert {routes(world.ask("chain", {"INPUT": [1.0]}))[0] for _ in range(10)} == {"mul10"}


def _two_pipelines(world: World) -> None:
    world.serve("mul10", "add10")
    world.pipeline("pa", ["mul10"], "mul10")
    world.pipeline("pb", ["add10"], "add10")


def _over(world: World, name: str = "pe", **spec: Any) -> apply.Outcome:
    candidates = spec.pop("candidates", [("pa", 30), ("pb", 70)])
    return world.experiment(name, candidates, resourceType="pipeline", **spec)


def test_an_experiment_over_pipelines_splits_them_by_weight(world: World) -> None:
    _two_pipelines(world)
    assert _over(world, candidates=[("pa", 0), ("pb", 1)], default="pa").accepted
    for name in ("pe.experiment", "pa.pipeline"):
        response = world.infer(name, 1)
        assert values(response) == [11]
        assert routes(response) == ["add10", "pb.pipeline"]
    assert _over(world, candidates=[("pa", 1), ("pb", 0)], default="pb").accepted
    assert values(world.infer("pe.experiment", 1)) == [10]
    assert values(world.infer("pb.pipeline", 1)) == [10]
    assert values(world.client.post("/v2/pipelines/pb/infer", json=body(1))) == [10]


def test_a_caller_can_stick_to_a_pipeline_of_an_experiment(world: World) -> None:
    _two_pipelines(world)
    _over(world)
    for pipeline, value in (("pa", 10), ("pb", 11)):
        # As a client gives back what it was told: all lines, or the last one.
        for sent in (f":{pipeline}.pipeline:", f":some_1:, :{pipeline}.pipeline:"):
            for _ in range(10):
                response = world.infer("pe.experiment", 1, x_seldon_route=sent)
                assert values(response) == [value]
    assert world.infer("pe.experiment", 1, x_seldon_route=":other.pipeline:").status_code == 404


def test_a_mirrored_pipeline_gets_copies_and_its_answers_are_dropped(world: World) -> None:
    world.serve("mul10", "counting")
    world.pipeline("pa", ["mul10"], "mul10")
    world.pipeline("pm", ["counting"], "counting")
    _over(world, candidates=[("pa", 1)], mirror=("pm", 100))
    before = values(world.infer("counting", 1))[0]
    for _ in range(5):
        assert values(world.infer("pe.experiment", 1)) == [10]
    asked = 0

    def copied() -> bool:
        nonlocal asked
        asked += 1
        return values(world.infer("counting", 1))[0] == before + 5 + asked

    eventually(copied, "five copies arrive", pause=0.05)


def test_an_experiment_over_pipelines_waits_for_a_pipeline_that_is_missing(world: World) -> None:
    world.serve("mul10", "add10")
    world.pipeline("pa", ["mul10"], "mul10")
    outcome = _over(world, default="pa")
    assert outcome.accepted
    assert "pb" in outcome.message
    assert world.infer("pe.experiment", 1).status_code == 404
    assert values(world.infer("pa.pipeline", 1)) == [10]
    world.pipeline("pb", ["add10"], "add10")
    eventually(
        lambda: world.infer("pe.experiment", 1).status_code == 200, "the experiment has its route"
    )


# What changes while it serves.


def _wait_for_more(callers: Callers) -> None:
    enough = callers.asked + 50
    eventually(lambda: callers.asked > enough, "callers ask")


def test_a_pipeline_changes_in_place_without_a_failed_request(world: World) -> None:
    world.serve("mul10", "add10", "mul2")
    world.pipeline("p", ["mul10"], "mul10")
    with Callers(world.environment, "p.pipeline") as callers:
        for at, step in enumerate(("add10", "mul2", "mul10"), 2):
            _wait_for_more(callers)
            assert world.pipeline("p", [step], step).accepted
            response = world.infer("p.pipeline", 3)
            assert routes(response) == [step, "p.pipeline"]
            assert response.headers["x-pipeline-version"] == str(at)
        _wait_for_more(callers)
    assert not callers.failures


def test_a_new_version_of_a_step_goes_live_without_a_failed_request(world: World) -> None:
    _chain(world)
    with Callers(world.environment, "chain.pipeline") as callers:
        for factor in (3, 4):
            _wait_for_more(callers)
            parameters = [{"name": "factor", "value": str(factor)}]
            assert world.model("mul10", parameters=parameters).message.endswith("serves")
        _wait_for_more(callers)
    assert not callers.failures
    assert tensors(world.ask("chain", {"INPUT": [1.0]})) == [("OUTPUT", [14])]


def test_an_old_version_of_a_step_finishes_what_a_pipeline_asked_of_it(world: World) -> None:
    world.serve("late2", "late3")
    world.pipeline("p", ["late2", _mapped("late3", "late2.outputs.OUTPUT")], "late3")
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(world.ask, "p", {"INPUT": [1.0]}) for _ in range(4)]
        eventually(lambda: any(each.running() for each in asked), "requests are under way")
        # late3 changes while they are at late2: they began with the version before, or after.
        assert world.model("late3", parameters=[{"name": "term", "value": "1"}]).accepted
        answers = [tensors(each.result()) for each in asked]
    assert {answer[0][1][0] for answer in answers} <= {6.0, 7.0}


def test_a_pipeline_leaves_without_a_failed_request(world: World) -> None:
    world.serve("late2")
    world.pipeline("p", ["late2"], "late2")
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(world.ask, "p", {"INPUT": [1.0]}) for _ in range(4)]
        eventually(lambda: any(each.running() for each in asked), "requests are under way")
        time.sleep(LATE / 3)  # they have reached the step, which nothing tells
        assert world.remove("pipelines", "p").accepted
        assert [tensors(each.result()) for each in asked] == [[("OUTPUT", [2])]] * 4
    gone = world.ask("p", {"INPUT": [1.0]})
    assert gone.status_code == 404


def test_a_removed_pipeline_can_come_back_as_another(world: World) -> None:
    _two_pipelines(world)
    assert world.remove("pipelines", "pa").accepted
    assert world.ask("pa", {"INPUT": [1.0]}).status_code == 404
    assert world.pipeline("pa", ["add10"], "add10").accepted
    response = world.ask("pa", {"INPUT": [1.0]})
    assert tensors(response) == [("OUTPUT", [11])]
    assert response.headers["x-pipeline-version"] == "1"


def test_a_pipeline_whose_model_is_missing_answers_at_once_and_runs_when_it_comes(
    world: World,
) -> None:
    world.serve("mul10")
    second = _mapped("add20", "mul10.outputs.OUTPUT")
    outcome = world.pipeline("p", ["mul10", second], "add20")
    assert outcome.accepted
    assert "ome models are not available" in outcome.message
    status = world.applier.status("pipelines", "p")
    found = {
        kind: apply.condition(status, kind)["status"] for kind in ("PipelineReady", "ModelsReady")
    }
    assert found == {"PipelineReady": "True", "ModelsReady": "False"}
    response, seconds = _timed(lambda: world.ask("p", {"INPUT": [1.0]}))
    assert response.status_code == 503
    assert "add20" in response.text
    assert seconds < AT_ONCE
    world.serve("add20")

    def answers() -> httpx.Response | None:
        response = world.ask("p", {"INPUT": [1.0]})
        return response if response.status_code == 200 else None

    assert tensors(eventually(answers, "the pipeline answers")) == [("OUTPUT", [30])]
    ready = apply.condition(world.applier.status("pipelines", "p"), "Ready")
    assert ready["status"] == "True"


def test_what_a_pipeline_uses_cannot_be_taken_from_it(world: World) -> None:
    _two_pipelines(world)
    _over(world)
    world.pipeline("fed", ["add10"], "add10", input={"externalInputs": ["pb"]})
    for plural, name, user in (
        ("models", "mul10", "pipeline pa (step)"),
        ("pipelines", "pa", "experiment pe (candidate)"),
        ("pipelines", "pb", "experiment pe (candidate) and pipeline fed (input)"),
    ):
        refused = world.remove(plural, name)
        assert not refused.accepted
        assert user in refused.message


@pytest.mark.parametrize(
    ("steps", "spec", "message"),
    [
        (
            [{"name": "mul10", "inputs": ["nosuch"]}],
            {},
            "pipeline wrong step mul10 has input nosuch for step that does not exist",
        ),
        (
            ["mul10", {"name": "add10", "inputs": [""]}],
            {},
            "pipeline wrong step add10 has an empty input",
        ),
        (
            ["wrong"],
            {},
            "pipeline wrong must not have a step name with the same name as pipeline name",
        ),
        (["mul10"], {"output": {"steps": ["zzz"]}}, "pipeline wrong output step zzz not found"),
        (["mul10", "mul10"], {}, "pipeline wrong has repeated step mul10"),
        (
            ["mul10", {"name": "add10", "inputs": ["mul10"], "triggers": ["add10"]}],
            {},
            "pipeline wrong has a cycle",
        ),
    ],
)
def test_what_seldon_refuses_is_refused_in_its_words_and_the_one_before_keeps_serving(
    world: World, steps: list[Any], spec: dict[str, Any], message: str
) -> None:
    world.serve("mul10")
    world.pipeline("wrong", ["mul10"], "mul10")
    refused = world.pipeline("wrong", steps, **spec)
    assert refused == apply.Outcome(accepted=False, message=message)
    assert tensors(world.ask("wrong", {"INPUT": [1.0]})) == [("OUTPUT", [10])]


def test_a_pipelines_readiness_and_metadata_can_be_asked(world: World) -> None:
    _chain(world)
    for path in ("/v2/pipelines/chain", "/v2/models/chain.pipeline"):
        assert world.client.get(f"{path}/ready").status_code == 200
        assert world.client.get(path).json()["name"] == "chain"
