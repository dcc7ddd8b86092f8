"""Rows collected over requests."""

import asyncio
import time

import pytest

from infra.local.dataflow import errors
from infra.local.dataflow.batches import Batch
from infra.local.dataflow.tensors import Content, Given, StepRequest, Tensor
from tests.unit.infra.local.dataflow.world import World, pipeline, run, step

BATCHED = pipeline("p", step("a", "p.inputs", batch_size=4), output=("a.outputs",))


def request(number, rows, width=2, name="X"):
    data = [float(number * 100 + value) for value in range(rows * width)]
    return StepRequest(
        f"r{number}", (Tensor(name, Content("FP64", [rows, width], data)),), None, ()
    )


class Model:
    """Doubles; answers a tensor by rows, and one of the whole call."""

    def __init__(self):
        self.calls = []

    async def __call__(self, asked):
        ((name, content),) = asked.tensors
        self.calls.append((asked.id, content.shape))
        doubled = Content("FP64", content.shape, [value * 2 for value in content.data])
        return Given(
            (Tensor(name, doubled), Tensor("calls", Content("INT64", [1], [len(self.calls)])))
        )


async def ask_all(batch, model, *requests):
    return await asyncio.gather(*(batch.ask(each, model) for each in requests))


def test_rows_are_collected_until_the_size_is_reached_and_each_request_gets_its_own():
    model = Model()
    one, two, three = (request(number, rows) for number, rows in ((1, 1), (2, 2), (3, 1)))
    began = time.perf_counter()
    answers = run(ask_all(Batch(4, patience=60), model, one, two, three))
    assert time.perf_counter() - began < 10
    assert model.calls == [("r3", [4, 2])], "one call, by the id of the last"
    for asked, given in zip((one, two, three), answers, strict=True):
        content = given.tensors[0].content
        assert content.shape == asked.tensors[0].content.shape
        assert content.data == [value * 2 for value in asked.tensors[0].content.data]


def test_what_has_no_row_for_each_row_is_given_whole():
    answers = run(ask_all(Batch(2), Model(), request(1, 1), request(2, 1)))
    assert [given.tensors[1].content.data for given in answers] == [[1], [1]]


def test_a_batch_that_does_not_fill_up_is_called_with_what_is_there():
    model = Model()
    answers = run(ask_all(Batch(100, patience=0.01), model, request(1, 1), request(2, 2)))
    assert model.calls == [("r2", [3, 2])]
    assert [given.tensors[0].content.shape for given in answers] == [[1, 2], [2, 2]]


def test_a_request_that_is_a_batch_by_itself_does_not_wait():
    model = Model()
    began = time.perf_counter()
    run(ask_all(Batch(4, patience=60), model, request(1, 5)))
    assert time.perf_counter() - began < 10
    assert model.calls == [("r1", [5, 2])]


def test_only_requests_alike_share_a_call():
    model = Model()
    run(
        ask_all(
            Batch(2, patience=0.01), model, request(1, 1), request(2, 1, width=3), request(3, 1)
        )
    )
    assert sorted(model.calls) == [("r2", [1, 3]), ("r3", [2, 2])]


def test_a_request_without_a_common_number_of_rows_is_called_alone():
    uneven = StepRequest(
        "r1",
        (Tensor("A", Content("FP64", [1], [1.0])), Tensor("B", Content("FP64", [2], [1.0, 2.0]))),
        None,
        (),
    )
    asked = []

    async def model(given):
        asked.append(given)
        return Given(given.tensors)

    run(ask_all(Batch(2, patience=60), model, uneven))
    assert asked == [uneven]


def test_an_error_is_every_requests_error():
    async def broken(_):
        raise errors.ModelFailed("Internal", "boom")

    async def work():
        batch = Batch(2)
        return await asyncio.gather(
            *(batch.ask(request(number, 1), broken) for number in (1, 2)), return_exceptions=True
        )

    assert [str(each) for each in run(work())] == ["rpc error: code = Internal desc = boom"] * 2


def test_a_request_that_was_given_up_is_not_asked_for():
    model = Model()

    async def work():
        batch = Batch(2, patience=60)
        given_up = asyncio.create_task(batch.ask(request(1, 1), model))
        await asyncio.sleep(0)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        return await batch.ask(request(2, 1), model)

    assert run(work()).tensors[0].content.shape == [1, 2]
    assert model.calls == [("r2", [1, 2])]


def test_a_step_batches_over_the_callers_of_a_pipeline():
    world = World(BATCHED, models={"a": lambda given: {"Y": [x + 1 for x in given["X"]]}})

    async def work():
        return await asyncio.gather(
            *(world.ask("p", {"X": [number]}, request_id=f"r{number}") for number in range(4))
        )

    assert run(work()) == [{"Y": [number + 1]} for number in range(4)]
    assert world.asked == ["a"]


def test_a_joined_step_is_not_batched_as_in_seldon():
    joined = pipeline(
        "p",
        step("a", "p.inputs"),
        step("b", "a.outputs", "p.inputs", batch_size=1000),
        output=("b.outputs",),
    )
    began = time.perf_counter()
    run(World(joined).ask("p", {"X": [1]}))
    assert time.perf_counter() - began < 0.4, "no patience is spent"
