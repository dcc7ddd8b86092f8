"""Windows on a loop such as uvloop, whose handles do not always know when they are due."""

import asyncio

from tests.unit.infra.local.dataflow.world import World, pipeline, step


class Quiet(asyncio.Handle):
    """A timer's handle that does not say when it is due."""

    def __init__(self, timer):
        super().__init__(timer._callback, timer._args, timer._loop)
        self._timer = timer

    def cancel(self):
        self._timer.cancel()
        super().cancel()


class QuietLoop(asyncio.SelectorEventLoop):
    def call_at(self, when, callback, *args, context=None):
        return Quiet(super().call_at(when, callback, *args, context=context))


async def _slow(values):
    await asyncio.sleep(0.02)
    return {"volatility": values["X"]}


def test_two_windows_of_a_call_are_open_at_once():
    world = World(
        pipeline(
            "p",
            step("date", "p.inputs"),
            step("forecast", "p.inputs"),
            step("explainer", "date.outputs", "forecast.outputs"),
            step("decision", "date.outputs", "explainer.outputs", inputs_join="outer"),
            output=("decision.outputs",),
        ),
        models={"date": lambda _: {"date": [1]}, "forecast": _slow},
    )
    with asyncio.Runner(loop_factory=QuietLoop) as runner:
        answer = runner.run(world.ask("p", {"X": [2]}))
    assert answer == {"date": [1], "volatility": [2]}
