"""What a pipeline means, shown on models that are plain functions."""

import asyncio
import time

import pytest

from infra.local.dataflow import errors
from infra.local.dataflow.tensors import Request
from infra.local.mesh import dataflow
from tests.unit.infra.local.dataflow.world import World, pipeline, run, step, tensors


def plus(term):
    return lambda given: {"OUTPUT": [value + term for value in given["INPUT"]]}


def times(factor):
    return lambda given: {"OUTPUT": [value * factor for value in given["INPUT"]]}


def held(event, answer):
    """A model that answers once an event is set."""

    async def model(given):
        await event.wait()
        return answer(given) if callable(answer) else answer

    return model


CHAIN = pipeline(
    "chain",
    step("mul10", "chain.inputs"),
    step("add10", "mul10.outputs", tensor_map={"mul10.outputs.OUTPUT": "INPUT"}),
    output=("add10.outputs",),
)
ARITHMETIC = {"mul10": times(10), "add10": plus(10)}


def test_a_chain_hands_each_steps_tensors_on_by_their_new_names():
    world = World(CHAIN, models=ARITHMETIC)
    assert run(world.ask("chain", {"INPUT": [1, 2]})) == {"OUTPUT": [20, 30]}
    assert world.asked == ["mul10", "add10"]


def test_the_answer_tells_the_steps_that_ran_in_order():
    world = World(CHAIN, models=ARITHMETIC)

    async def routes():
        call = world.executor.call("chain", Request("r1", tensors({"INPUT": [1]})))
        await call.answer()
        return call.routes

    assert run(routes()) == (("x-seldon-route", ":mul10_1:"), ("x-seldon-route", ":add10_1:"))


def test_every_step_is_asked_with_the_requests_id_and_headers():
    world = World(CHAIN, models=ARITHMETIC)
    run(world.ask("chain", {"INPUT": [1]}, request_id="q7", headers=(("x-lab", "v"),)))
    assert [(each.id, each.headers) for _, each in world.requests] == [
        ("q7", (("x-lab", "v"),)),
    ] * 2


def test_a_chain_costs_no_task():
    seen = []

    def model(given):
        seen.append(asyncio.current_task())
        return given

    world = World(
        pipeline("p", step("a", "p.inputs"), step("b", "a.outputs"), output=("b.outputs",)),
        models={"a": model, "b": model},
    )

    async def ask():
        await world.ask("p", {"X": [1]})
        return asyncio.current_task()

    assert run(ask()) is seen[0] is seen[1]


def test_steps_that_can_run_side_by_side_do():
    """Each of two steps ends only once the other has begun."""

    async def ask():
        begun = {"a": asyncio.Event(), "b": asyncio.Event()}

        def meeting(own, other):
            async def model(given):
                begun[own].set()
                await begun[other].wait()
                return {own: [1]}

            return model

        world = World(
            pipeline(
                "p",
                step("a", "p.inputs"),
                step("b", "p.inputs"),
                step("both", "a.outputs", "b.outputs"),
                output=("both.outputs",),
            ),
            models={"a": meeting("a", "b"), "b": meeting("b", "a")},
        )
        return await world.ask("p", {"X": [1]})

    assert run(ask()) == {"a": [1], "b": [1]}


def test_joined_tensors_stand_in_the_order_of_the_sources():
    world = World(
        pipeline(
            "p", step("a", "p.inputs"), step("b", "p.inputs"), output=("b.outputs", "a.outputs")
        ),
        models={"a": lambda _: {"A": [1]}, "b": lambda _: {"B": [2]}},
    )
    assert list(run(world.ask("p", {"X": [1]}))) == ["B", "A"]


def test_a_source_that_names_tensors_takes_no_others():
    world = World(
        pipeline(
            "p",
            step("a", "p.inputs"),
            step("b", "a.outputs.X", "a.outputs.Y"),
            step("c", "a.outputs", "a.outputs.Z"),
            output=("b.outputs", "c.outputs"),
        ),
        models={"c": lambda given: {f"c{name}": data for name, data in given.items()}},
    )
    answer = run(world.ask("p", {"W": [0], "X": [1], "Y": [2], "Z": [3]}))
    # A reference to the whole is narrowed by one to a tensor of the same source.
    assert answer == {"X": [1], "Y": [2], "cZ": [3]}


def test_one_of_the_tensors_that_are_asked_for_is_enough():
    world = World(
        pipeline("p", step("a", "p.inputs.X", "p.inputs.Y"), output=("a.outputs",)),
    )
    assert run(world.ask("p", {"Y": [2], "W": [0]})) == {"Y": [2]}


def test_a_steps_inputs_can_be_a_source_by_their_new_names():
    world = World(
        pipeline(
            "p",
            step("a", "p.inputs", tensor_map={"p.inputs.X": "RENAMED"}),
            step("b", "a.inputs.RENAMED", "a.outputs.Y", tensor_map={"a.outputs.Y": "ANSWER"}),
            output=("b.outputs",),
        ),
        models={"a": lambda given: {"Y": given["RENAMED"]}},
    )
    assert run(world.ask("p", {"X": [5]})) == {"RENAMED": [5], "ANSWER": [5]}


def test_the_outputs_tensor_map_renames_the_answer():
    world = World(
        pipeline(
            "p",
            step("a", "p.inputs"),
            output=("a.outputs.X",),
            tensor_map={"a.outputs.X": "ANSWER"},
        ),
    )
    assert run(world.ask("p", {"X": [5], "Y": [6]})) == {"ANSWER": [5]}


CHOICE = pipeline(
    "cond",
    step("router", "cond.inputs"),
    step("mul10", "router.outputs.OUTPUT0", tensor_map={"router.outputs.OUTPUT0": "INPUT"}),
    step("add10", "router.outputs.OUTPUT1", tensor_map={"router.outputs.OUTPUT1": "INPUT"}),
    output=("mul10.outputs", "add10.outputs"),
    steps_join="any",
)


def router(given):
    return {f"OUTPUT{int(given['CHOICE'][0])}": given["INPUT"]}


@pytest.mark.parametrize(("choice", "answer", "ran"), [(0, 30, "mul10"), (1, 13, "add10")])
def test_a_router_chooses_a_branch_by_the_tensor_that_it_emits(choice, answer, ran):
    world = World(CHOICE, models={**ARITHMETIC, "router": router})
    assert run(world.ask("cond", {"CHOICE": [choice], "INPUT": [3]})) == {"OUTPUT": [answer]}
    assert world.asked == ["router", ran]


def test_a_router_that_emits_no_branch_ends_the_call_with_the_reasons():
    world = World(CHOICE, models={**ARITHMETIC, "router": router})
    error = run(world.refused("cond", {"CHOICE": [2], "INPUT": [3]}))
    assert error.status == 400
    assert "mul10 did not run: router.outputs has no tensor OUTPUT0, it has OUTPUT2" in str(error)
    assert "add10 did not run: router.outputs has no tensor OUTPUT1, it has OUTPUT2" in str(error)
    assert world.asked == ["router"]


TRIGGERS = pipeline(
    "trig",
    step(
        "mul10",
        "trig.inputs.INPUT",
        triggers=("trig.inputs.ok1", "trig.inputs.ok2"),
        triggers_join="any",
    ),
    step("add10", "trig.inputs.INPUT", triggers=("trig.inputs.ok3",)),
    output=("mul10.outputs", "add10.outputs"),
    steps_join="any",
)


@pytest.mark.parametrize(("ok", "answer"), [("ok1", 30), ("ok2", 30), ("ok3", 13)])
def test_a_trigger_lets_a_step_run_and_is_no_input_of_it(ok, answer):
    world = World(TRIGGERS, models=ARITHMETIC)
    assert run(world.ask("trig", {"INPUT": [3], ok: [1]})) == {"OUTPUT": [answer]}
    assert [list(dict(each.tensors)) for _, each in world.requests] == [["INPUT"]]


def test_without_a_trigger_the_call_ends_and_names_what_was_waited_for():
    world = World(TRIGGERS, models=ARITHMETIC)
    error = run(world.refused("trig", {"INPUT": [3]}))
    assert error.status == 400
    assert "mul10 did not run: trig.inputs has no tensor ok1 or ok2, it has INPUT" in str(error)
    assert "add10 did not run: trig.inputs has no tensor ok3, it has INPUT" in str(error)
    assert world.asked == []


def test_inner_triggers_from_several_steps_have_all_to_be_there():
    given = pipeline(
        "p",
        step("a", "p.inputs"),
        step("b", "p.inputs.B"),
        step("c", "p.inputs", triggers=("a.outputs", "b.outputs")),
        output=("c.outputs",),
    )
    world = World(given)
    assert run(world.ask("p", {"B": [1]})) == {"B": [1]}
    error = run(world.refused("p", {"X": [1]}))
    assert "c did not run: b.outputs gave nothing" in str(error)
    assert "b did not run: p.inputs has no tensor B, it has X" in str(error)


def test_an_outer_join_takes_what_is_there_once_nothing_else_can_come():
    world = World(
        pipeline(
            "p",
            step("a", "p.inputs.A"),
            step("b", "p.inputs.B"),
            step("sum", "a.outputs", "b.outputs", inputs_join="outer"),
            output=("sum.outputs",),
        ),
    )
    began = time.perf_counter()
    assert run(world.ask("p", {"A": [1]})) == {"A": [1]}
    assert run(world.ask("p", {"B": [2]})) == {"B": [2]}
    assert run(world.ask("p", {"A": [1], "B": [2]})) == {"A": [1], "B": [2]}
    assert time.perf_counter() - began < 10, "it does not wait for the window of a minute"


def test_an_outer_join_takes_what_is_there_when_its_window_ends():
    async def ask():
        event = asyncio.Event()
        world = World(
            pipeline(
                "p",
                step("fast", "p.inputs"),
                step("slow", "p.inputs"),
                step("sum", "fast.outputs", "slow.outputs", inputs_join="outer", join_window_ms=20),
                output=("sum.outputs",),
            ),
            models={"fast": lambda _: {"F": [1]}, "slow": held(event, {"S": [2]})},
        )
        answer = await world.ask("p", {"X": [1]})
        event.set()
        await world.settle(lambda: not world.executor.pipelines["p"].running)
        return answer, world.asked

    answer, asked = run(ask())
    assert answer == {"F": [1]}
    assert asked.count("sum") == 1, "what comes after the window makes no second call"


def test_an_inner_partner_that_comes_after_the_window_does_not_join():
    async def ask():
        event = asyncio.Event()
        world = World(
            pipeline(
                "p",
                step("fast", "p.inputs"),
                step("slow", "p.inputs"),
                step("sum", "fast.outputs", "slow.outputs", join_window_ms=20),
                output=("sum.outputs",),
            ),
            models={"slow": held(event, {"S": [2]})},
        )
        error = await world.refused("p", {"X": [1]})  # while slow still runs
        event.set()
        await world.settle(lambda: not world.executor.pipelines["p"].running)
        return error, world.asked

    error, asked = run(ask())
    assert error.status == 400
    assert "sum did not run: slow.outputs did not come within 20 ms of the rest" in str(error)
    assert "sum" not in asked


def test_any_takes_the_first_and_does_not_wait_for_the_others():
    async def ask():
        event = asyncio.Event()
        world = World(
            pipeline(
                "p",
                step("slow", "p.inputs"),
                step("fast", "p.inputs"),
                step("first", "slow.outputs", "fast.outputs", inputs_join="any"),
                output=("first.outputs",),
            ),
            models={"slow": held(event, {"S": [1]}), "fast": lambda _: {"F": [2]}},
        )
        answer = await world.ask("p", {"X": [1]})
        event.set()
        await world.settle(lambda: not world.executor.pipelines["p"].running)
        return answer, world.asked

    answer, asked = run(ask())
    assert answer == {"F": [2]}
    assert asked.count("first") == 1


def test_a_models_error_ends_the_call_at_once_and_nothing_new_begins():
    async def ask():
        event = asyncio.Event()

        def broken(_):
            raise errors.ModelFailed("Internal", "builtins.ValueError: boom")

        world = World(
            pipeline(
                "p",
                step("slow", "p.inputs"),
                step("boom", "p.inputs"),
                step("after", "slow.outputs"),
                output=("after.outputs", "boom.outputs"),
            ),
            models={"slow": held(event, {"S": [1]}), "boom": broken},
        )
        error = await world.refused("p", {"X": [1]})
        event.set()
        await world.settle(lambda: not world.executor.pipelines["p"].running)
        return error, world

    error, world = run(ask())
    assert isinstance(error, errors.StepFailed)
    assert str(error) == "boom : rpc error: code = Internal desc = builtins.ValueError: boom"
    assert error.status == 400
    assert sorted(world.asked) == ["boom", "slow"], "asked once each, and no later step"


def test_a_model_that_breaks_unforeseen_does_not_keep_the_caller():
    def broken(_):
        raise ZeroDivisionError("engine's own")

    fan = pipeline(
        "p", step("a", "p.inputs"), step("b", "p.inputs"), output=("a.outputs", "b.outputs")
    )
    with pytest.raises(ZeroDivisionError):
        run(World(fan, models={"a": broken}).ask("p", {"X": [1]}))


def test_a_missing_model_is_told_at_once_as_unavailable():
    world = World(
        pipeline("p", step("ghost", "p.inputs"), output=("ghost.outputs",)), missing=("ghost",)
    )
    error = run(world.refused("p", {"X": [1]}))
    assert (error.status, world.asked) == (503, [])
    assert "ghost did not run: model ghost is not loaded" in str(error)


def test_a_model_that_is_gone_when_it_is_asked_is_unavailable_too():
    def gone(_):
        raise errors.NotServed("Model a_1 not found")

    world = World(pipeline("p", step("a", "p.inputs"), output=("a.outputs",)), models={"a": gone})
    error = run(world.refused("p", {"X": [1]}))
    assert error.status == 503
    assert "a did not run: Model a_1 not found" in str(error)


def test_an_outer_join_goes_on_without_a_model_that_is_missing():
    world = World(
        pipeline(
            "p",
            step("forecast", "p.inputs"),
            step("explainer", "forecast.outputs"),
            step("decision", "forecast.outputs", "explainer.outputs", inputs_join="outer"),
            output=("decision.outputs",),
        ),
        models={"forecast": lambda _: {"volatility": [0.2]}},
        missing=("explainer",),
    )
    assert run(world.ask("p", {"X": [1]})) == {"volatility": [0.2]}


def test_what_the_request_lacks_is_not_blamed_on_a_missing_model_beside():
    world = World(
        pipeline("p", step("a", "p.inputs.A"), step("ghost", "p.inputs"), output=("a.outputs",)),
        missing=("ghost",),
    )
    error = run(world.refused("p", {"X": [1]}))
    assert error.status == 400
    assert "ghost" not in str(error)


def test_a_request_without_tensors_is_refused():
    error = run(World(CHAIN, models=ARITHMETIC).refused("chain", {}))
    assert (error.status, str(error)) == (
        400,
        "pipeline chain: the request has no tensors: add them to `inputs`",
    )


def test_a_pipeline_without_output_is_refused_and_runs_its_steps():
    async def ask():
        world = World(pipeline("p", step("a", "p.inputs"), step("b", "a.outputs")))
        error = await world.refused("p", {"X": [1]})
        await world.settle(lambda: not world.executor.pipelines["p"].running)
        return error, world.asked

    error, asked = run(ask())
    assert error.status == 400
    assert "pipeline p has no output" in str(error)
    assert asked == ["a", "b"]


def test_a_pipeline_that_is_not_there_is_unavailable():
    error = run(World().refused("p", {"X": [1]}))
    assert (error.status, str(error)) == (503, "pipeline p is not served here")


def test_the_answer_does_not_wait_for_what_does_not_lead_to_it():
    async def ask():
        event = asyncio.Event()
        world = World(
            pipeline(
                "p",
                step("a", "p.inputs"),
                step("drift", "p.inputs"),
                step("alert", "drift.outputs"),
                output=("a.outputs",),
            ),
            models={"drift": held(event, {"D": [1]})},
        )
        answer = await world.ask("p", {"X": [1]})
        before = list(world.asked)
        event.set()
        await world.settle(lambda: not world.executor.pipelines["p"].running)
        return answer, before, world.asked

    answer, before, asked = run(ask())
    assert answer == {"X": [1]}
    assert "alert" not in before
    assert "alert" in asked, "it runs to its end all the same"


def test_a_model_that_is_split_is_asked_by_weight_at_every_call():
    shares = (
        dataflow.Share(internal_name="mul10_1", weight=30),
        dataflow.Share(internal_name="mul2_1", weight=70),
        dataflow.Share(internal_name="never_1", weight=0),
    )
    world = World(
        CHAIN,
        models={"mul10": times(10), "mul2": times(2), "add10": plus(10)},
        shares={"mul10": shares},
    )

    async def ask():
        answers = [(await world.ask("chain", {"INPUT": [1]}))["OUTPUT"] for _ in range(1000)]
        return answers.count([12])

    # 700 of 1000; five standard deviations are 72.
    assert 628 < run(ask()) < 772
    assert world.routed["never_1"] == 0


def test_weights_that_are_all_zero_ask_nobody():
    shares = tuple(dataflow.Share(internal_name=name, weight=0) for name in ("a_1", "b_1"))
    world = World(CHAIN, models=ARITHMETIC, shares={"mul10": shares})
    error = run(world.refused("chain", {"INPUT": [1]}))
    assert error.status == 503
    assert "all weights of model mul10 are zero" in str(error)


def test_running_calls_end_on_the_document_that_they_began_with():
    async def ask():
        event = asyncio.Event()
        world = World(CHAIN, models={"mul10": held(event, times(10)), "add10": plus(10)})
        first = asyncio.create_task(world.ask("chain", {"INPUT": [1]}))
        await world.settle(lambda: world.asked)
        world.act_on(CHAIN, version=2)
        at_both = world.executor.at("add10_1"), world.executor.at("add10_2")
        drained = asyncio.create_task(world.executor.drained("add10_1"))
        await asyncio.sleep(0)
        waits = not drained.done()
        event.set()
        await first
        await drained
        await world.ask("chain", {"INPUT": [1]})
        return at_both, waits, world

    at_both, waits, world = run(ask())
    assert at_both == (1, 0)
    assert waits, "a version is not drained while a call may still come to it"
    assert world.executor.at("add10_1") == 0
    assert world.routed == {"mul10_1": 1, "add10_1": 1, "mul10_2": 1, "add10_2": 1}


def test_draining_what_nothing_is_at_is_answered_at_once():
    run(World(CHAIN).executor.drained("mul10_1"))


def test_a_document_that_contradicts_itself_changes_nothing():
    world = World(CHAIN, models=ARITHMETIC)
    with pytest.raises(ValueError, match=r"pipeline p: nobody.outputs is of no step of it"):
        world.act_on(pipeline("p", step("a", "nobody.outputs"), output=("a.outputs",)))
    assert run(world.ask("chain", {"INPUT": [1]})) == {"OUTPUT": [20]}


def test_a_caller_that_goes_away_leaves_nothing_behind():
    async def ask():
        event = asyncio.Event()
        world = World(CHAIN, models={"mul10": held(event, times(10))})
        task = asyncio.create_task(world.ask("chain", {"INPUT": [1]}))
        await world.settle(lambda: world.asked)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return world.executor.at("mul10_1")

    assert run(ask()) == 0


def test_every_message_is_recorded_at_seldons_topics():
    async def ask():
        world = World(CHAIN, models=ARITHMETIC)
        await world.ask("chain", {"INPUT": [1]})
        assert world.records == [], "not before the answer is on its way"
        await world.settle(lambda: world.records)
        return world.records

    records = run(ask())
    assert [(each.topic, each.is_request, each.version) for each in records] == [
        ("seldon.ns.pipeline.chain.inputs", True, ""),
        ("seldon.ns.model.mul10.inputs", True, "1"),
        ("seldon.ns.model.mul10.outputs", False, "1"),
        ("seldon.ns.model.add10.inputs", True, "1"),
        ("seldon.ns.model.add10.outputs", False, "1"),
        ("seldon.ns.pipeline.chain.outputs", False, "1"),
    ]
    assert [each.name for each in records[3].message.tensors] == ["INPUT"], "as the model gets it"
    assert records[5].message.headers == (
        ("x-seldon-route", ":mul10_1:"),
        ("x-seldon-route", ":add10_1:"),
    )


def test_an_error_is_recorded_at_the_topic_of_errors_with_its_step():
    def broken(_):
        raise errors.ModelFailed("InvalidArgument", "no")

    async def ask():
        world = World(CHAIN, models={"mul10": times(10), "add10": broken})
        await world.refused("chain", {"INPUT": [1]})
        await world.settle(lambda: world.records)
        return world.records[-1]

    record = run(ask())
    assert (record.topic, record.failed) == ("seldon.ns.errors.errors", "add10")
    assert record.error == "rpc error: code = InvalidArgument desc = no"
