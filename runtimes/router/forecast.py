"""Takes up whichever branch answered, as an MLServer model: one name for what comes of many.

Set `implementation` to `runtimes.router.forecast.Forecast`; it has no settings.
What comes after the branches then reads `forecast.outputs`, and is not rewired with a branch.
"""

from collections.abc import Mapping

from runtimes import contract
from runtimes.contract import step

_TENSORS = (
    step.Tensor(
        contract.VOLATILITY,
        "FP64",
        (1,),
        "annualised standard deviation over the next five trading days",
    ),
    step.Tensor(contract.DIRECTION, "FP64", (1,), "probability that tomorrow closes above today"),
    step.Tensor(contract.INTERVAL, "FP64", (1, 2), "lower and upper end for volatility"),
    step.Tensor(contract.MODEL, "BYTES", (1, 3), "name, version and artifact of who forecast"),
)


class Forecast(step.Step):
    """Gives a forecast on, unchanged."""

    TAKES = _TENSORS
    GIVES = _TENSORS

    async def run(
        self, inputs: Mapping[str, step.Value], asked: step.Asked
    ) -> Mapping[str, step.Value]:
        """See `step.Step.run`."""
        del asked
        return inputs
