"""A step that fails because another was not there: the caller has nothing to mend."""

import asyncio

from infra.local.dataflow import errors
from tests.unit.infra.local.dataflow.world import World, pipeline, run, step


def insists(values):
    """A model that refuses what lacks the forecast."""
    if "volatility" not in values:
        raise errors.ModelFailed("InvalidArgument", "tensor 'volatility' is missing")
    return values


def decided(**more):
    """A decision over a forecast and its date, whichever comes."""
    return pipeline(
        "p",
        step("date", "p.inputs"),
        step("forecast", "p.inputs"),
        step("decision", "date.outputs", "forecast.outputs", inputs_join="outer", **more),
        output=("decision.outputs",),
    )


async def _slow(values):
    await asyncio.sleep(0.1)
    return {"volatility": values["X"]}


MODELS = {"date": lambda _: {"date": [1]}, "decision": insists}


def test_an_error_for_want_of_a_model_that_is_not_served_is_unavailable():
    world = World(decided(), models=MODELS, missing=("forecast",))
    error = run(world.refused("p", {"X": [1]}))
    assert error.status == 503
    assert "decision : rpc error: code = InvalidArgument" in str(error)
    assert "forecast did not run: model forecast is not loaded" in str(error)


def test_an_error_for_want_of_a_step_that_is_late_is_unavailable():
    world = World(decided(join_window_ms=20), models={**MODELS, "forecast": _slow})
    error = run(world.refused("p", {"X": [1]}))
    assert error.status == 503
    assert "forecast.outputs did not come within 20 ms of the rest" in str(error)


def test_an_error_while_another_model_is_not_served_is_the_callers_where_it_does_not_lack_it():
    world = World(
        pipeline(
            "p",
            step("ghost", "p.inputs"),
            step("decision", "p.inputs"),
            output=("decision.outputs",),
        ),
        models={"decision": insists},
        missing=("ghost",),
    )
    error = run(world.refused("p", {"X": [1]}))
    assert (error.status, str(error)) == (
        400,
        "decision : rpc error: code = InvalidArgument desc = tensor 'volatility' is missing",
    )
