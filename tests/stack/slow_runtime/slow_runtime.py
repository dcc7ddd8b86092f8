"""A predictor that answers later than it could: a runtime for tests, imported from beside its artifact."""

import asyncio
from typing import Any

from runtimes.predictor import runtime

DELAY = "delay_seconds"


class Slow(runtime.Predictor):
    """Takes the parameter `delay_seconds` beside a predictor's own."""

    def __init__(self, settings: Any) -> None:
        self._delay = float(settings.parameters.extra.pop(DELAY))
        super().__init__(settings)

    async def predict(self, payload: Any) -> Any:
        await asyncio.sleep(self._delay)  # what is to be found
        return await super().predict(payload)
