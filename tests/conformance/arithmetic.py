"""The models of the recordings, as MLServer runtimes: FP32 INPUT [n] in, FP32 OUTPUT [n, 1] out."""

import asyncio
import os
from collections.abc import AsyncIterator

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.errors import InferenceError
from mlserver.types import InferenceRequest, InferenceResponse


class _Counted(MLModel):  # type: ignore[misc] # MLServer is not typed
    """Counts its calls since it was loaded."""

    async def load(self) -> bool:
        self.calls = 0
        return True


class Arithmetic(_Counted):
    """Multiplies by `factor` and adds `term`, after `delay` seconds (settings.parameters.extra)."""

    async def load(self) -> bool:
        extra = self.settings.parameters.extra
        self.factor = float(extra.get("factor", 1))
        self.term = float(extra.get("term", 0))
        self.delay = float(extra.get("delay", 0))
        await asyncio.sleep(float(extra.get("load_delay", 0)))
        return await super().load()

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        self.calls += 1
        inputs = {each.name: each for each in payload.inputs}
        if "INPUT" not in inputs:
            raise InferenceError(f"tensor INPUT missing, got {list(inputs)}")
        if self.delay:
            await asyncio.sleep(self.delay)
        values = NumpyCodec.decode_input(inputs["INPUT"])
        if values.dtype != np.float32:
            values = values.astype(np.float32)
        output = NumpyCodec.encode_output(
            "OUTPUT", (values * np.float32(self.factor) + np.float32(self.term))
        )
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=[output])


class Streaming(Arithmetic):
    """Answers a stream of requests one by one."""

    async def predict_stream(
        self, payloads: AsyncIterator[InferenceRequest]
    ) -> AsyncIterator[InferenceResponse]:
        async for payload in payloads:
            yield await self.predict(payload)


class Bad(_Counted):
    """Refuses every request."""

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        del payload
        self.calls += 1
        raise InferenceError(f"bad input: calls={self.calls}")


class Boom(_Counted):
    """Breaks on every request."""

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        del payload
        self.calls += 1
        raise ValueError(f"boom: calls={self.calls}")


class Unloadable(MLModel):  # type: ignore[misc] # MLServer is not typed
    """Cannot be loaded."""

    async def load(self) -> bool:
        raise RuntimeError("the weights are of another version")


class Counting(_Counted):
    """Answers how often it has been called before, and with how many values now: OUTPUT [2]."""

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        size = sum(int(np.prod(each.shape)) for each in payload.inputs)
        output = NumpyCodec.encode_output("OUTPUT", np.array([self.calls, size], np.float32))
        self.calls += 1
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=[output])


class Deadly(MLModel):  # type: ignore[misc] # MLServer is not typed
    """Takes the process with it when it is loaded."""

    async def load(self) -> bool:
        os._exit(139)
