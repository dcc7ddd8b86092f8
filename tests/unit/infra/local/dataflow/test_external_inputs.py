"""Pipelines that read from other pipelines."""

import asyncio

from infra.local.mesh import dataflow
from tests.unit.infra.local.dataflow.world import World, pipeline, run, step


def simple(name, given=None):
    """One step `<name>-step` in front of the output, which answers its tensors with its name."""
    return pipeline(
        name,
        step(f"{name}-step", f"{name}.inputs"),
        output=(f"{name}-step.outputs",),
        input=given,
    )


def after(*inputs, **more):
    return dataflow.External(inputs=inputs, **more)


async def ask(world, name, given, *, expect_runs):
    """Ask, and wait until so many runs beside have ended."""
    answer = await world.ask(name, given, request_id="root", headers=(("x-lab", "v"),))
    beside = list(world.asked)
    await world.settle(lambda: len(world.measured.external) >= expect_runs)
    await world.settle(lambda: not any(one.running for one in world.executor.pipelines.values()))
    return answer, beside


def asked_of(world, name):
    return [
        {tensor: content.data for tensor, content in request.tensors}
        for step_name, request in world.requests
        if step_name == name
    ]


def test_a_pipeline_runs_on_what_another_answers_beside_the_callers_path():
    async def work():
        world = World(
            simple("first"),
            simple("second", after("first.outputs", tensor_map={"first.outputs.X": "Y"})),
        )
        answer, beside = await ask(world, "first", {"X": [1]}, expect_runs=1)
        return world, answer, beside

    world, answer, beside = run(work())
    assert answer == {"X": [1]}
    assert beside == ["first-step"], "the caller has the answer before the other begins"
    assert asked_of(world, "second-step") == [{"Y": [1]}]
    assert world.measured.external == [("second", "200")]
    topics = [(each.topic, each.request.id, each.request.headers) for each in world.records]
    assert ("seldon.ns.pipeline.second.outputs", "root", (("x-lab", "v"),)) in topics


def test_called_itself_it_takes_the_callers_request():
    async def work():
        world = World(simple("first"), simple("second", after("first.outputs")))
        await ask(world, "second", {"Z": [3]}, expect_runs=0)
        return world

    world = run(work())
    assert world.asked == ["second-step"]
    assert asked_of(world, "second-step") == [{"Z": [3]}]


def test_a_pipeline_can_read_a_step_and_the_input_of_another():
    async def work():
        first = pipeline(
            "first",
            step("a", "first.inputs"),
            step("b", "a.outputs"),
            output=("b.outputs",),
        )
        world = World(
            first,
            simple("reads-step", after("first.step.a.outputs.X")),
            simple(
                "reads-input",
                after("first.inputs.Y", tensor_map={"first.inputs.Y": "RENAMED"}),
            ),
            simple(
                "renames-step",
                after("first.step.a.outputs", tensor_map={"first.step.a.outputs.X": "NEW"}),
            ),
        )
        await ask(world, "first", {"X": [1], "Y": [2]}, expect_runs=3)
        return world

    world = run(work())
    assert asked_of(world, "reads-step-step") == [{"X": [1]}]
    assert asked_of(world, "reads-input-step") == [{"RENAMED": [2]}]
    assert asked_of(world, "renames-step-step") == [{"NEW": [1], "Y": [2]}]


def diamond(**more):
    """`last` joins two pipelines that both read from `first`."""
    return (
        simple("first"),
        simple("left", after("first.outputs", tensor_map={"first.outputs.X": "L"})),
        simple("right", after("first.outputs.X", tensor_map={"first.outputs.X": "R"})),
        simple("last", after("left.outputs.L", "right.outputs.R", **more)),
    )


def test_pipelines_that_one_request_set_off_are_joined():
    async def work():
        world = World(*diamond())
        await ask(world, "first", {"X": [7]}, expect_runs=3)
        return world

    assert asked_of(run(work()), "last-step") == [{"L": [7], "R": [7]}]


def test_an_inner_join_of_pipelines_without_a_partner_does_not_run():
    async def work():
        world = World(*diamond())
        await ask(world, "left", {"L": [7]}, expect_runs=0)
        return world

    assert run(work()).asked == ["left-step"]


def test_an_outer_join_of_pipelines_goes_on_when_nothing_else_can_come():
    async def work():
        world = World(*diamond(inputs_join="outer"))
        await ask(world, "left", {"L": [7]}, expect_runs=1)
        return world

    assert asked_of(run(work()), "last-step") == [{"L": [7]}]


def test_an_outer_join_is_given_up_only_when_no_other_can_lead_to_it():
    async def work():
        world = World(
            simple("first"),
            simple("third", after("second.outputs", "never.outputs", inputs_join="outer")),
            simple("second", after("first.outputs", "never.outputs", inputs_join="outer")),
        )
        await ask(world, "first", {"X": [7]}, expect_runs=2)
        return world

    assert run(work()).asked == ["first-step", "second-step", "third-step"]


def test_any_of_pipelines_runs_once():
    async def work():
        world = World(*diamond(inputs_join="any"))
        await ask(world, "first", {"X": [7]}, expect_runs=3)
        return world

    assert len(asked_of(run(work()), "last-step")) == 1


def test_an_outer_joins_window_ends_while_the_other_pipeline_still_runs():
    async def work():
        event = asyncio.Event()

        async def slow(given):
            await event.wait()
            return given

        world = World(*diamond(inputs_join="outer", join_window_ms=20), models={"right-step": slow})
        await world.ask("first", {"X": [7]})
        await world.settle(lambda: "last-step" in world.asked)
        event.set()
        await world.settle(lambda: len(world.measured.external) == 3)
        return world

    assert asked_of(run(work()), "last-step") == [{"L": [7]}]


def test_a_trigger_from_another_pipeline_is_waited_for():
    async def work(given):
        world = World(
            simple("first"),
            simple("second", after("first.inputs.X", triggers=("first.outputs.ok",))),
        )
        await ask(world, "first", given, expect_runs=int("ok" in given))
        return world

    assert asked_of(run(work({"X": [1], "ok": [1]})), "second-step") == [{"X": [1]}]
    assert asked_of(run(work({"X": [1]})), "second-step") == []


def test_pipelines_that_read_from_each_other_come_to_an_end():
    async def work():
        world = World(
            simple("ping", after("pong.outputs")),
            simple("pong", after("ping.outputs")),
        )
        await ask(world, "ping", {"X": [1]}, expect_runs=2)
        return world

    assert run(work()).asked == ["ping-step", "pong-step", "ping-step"]


def test_an_error_of_a_pipeline_that_reads_is_recorded_and_is_not_the_callers():
    async def work():
        world = World(
            simple("first"), simple("second", after("first.outputs")), missing=("second-step",)
        )
        answer, _ = await ask(world, "first", {"X": [1]}, expect_runs=1)
        return world, answer

    world, answer = run(work())
    assert answer == {"X": [1]}
    assert world.measured.external == [("second", "503")]
    (error,) = [each for each in world.records if each.error]
    assert (error.topic, error.failed) == ("seldon.ns.errors.errors", "second")
    assert "model second-step is not loaded" in error.error


def test_runs_beside_are_bounded(monkeypatch):
    monkeypatch.setattr("infra.local.dataflow.executor.EXTERNAL_CALLS", 1)

    async def work():
        event = asyncio.Event()

        async def slow(given):
            await event.wait()
            return given

        world = World(
            simple("first"), simple("second", after("first.outputs")), models={"second-step": slow}
        )
        for _ in range(3):
            await world.ask("first", {"X": [1]})
            await world.settle(lambda: "second-step" in world.asked)
        event.set()
        await world.settle(lambda: world.measured.external)
        return world

    world = run(work())
    assert world.measured.dropped == ["second", "second"]
    assert world.asked.count("first-step") == 3, "callers are answered all the same"
