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


class Router(_Counted):
    """Emits INPUT as the one tensor that CHOICE names: OUTPUT0, OUTPUT1, …"""

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        self.calls += 1
        inputs = {each.name: NumpyCodec.decode_input(each) for each in payload.inputs}
        choice = int(inputs["CHOICE"].reshape(-1)[0])
        return _answer(self, **{f"OUTPUT{choice}": inputs["INPUT"]})


class Sum(_Counted):
    """Adds all tensors up, after `delay` seconds: OUTPUT, and how many there were: COUNT."""

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        self.calls += 1
        await asyncio.sleep(float(self.settings.parameters.extra.get("delay", 0)))
        arrays = [NumpyCodec.decode_input(each).astype(np.float32) for each in payload.inputs]
        total = np.sum([each.reshape(-1) for each in arrays], axis=0, dtype=np.float32)
        if self.settings.parameters.extra.get("counts"):
            return _answer(self, OUTPUT=total, COUNT=np.array([len(arrays)], np.float32))
        return _answer(self, OUTPUT=total)


class Choice(_Counted):
    """Emits `choice` if INPUT's first value is `wanted`, and `other` if it is not."""

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        self.calls += 1
        value = float(NumpyCodec.decode_input(payload.inputs[0]).reshape(-1)[0])
        chosen = value == float(self.settings.parameters.extra["wanted"])
        return _answer(self, **{"choice" if chosen else "other": np.array([1], np.float32)})


class Pair(_Counted):
    """Takes INPUT0 and INPUT1, gives OUTPUT0, their sum, and OUTPUT1, their difference."""

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        self.calls += 1
        inputs = {each.name: NumpyCodec.decode_input(each) for each in payload.inputs}
        missing = {"INPUT0", "INPUT1"} - set(inputs)
        if missing:
            raise InferenceError(f"tensors {sorted(missing)} missing, got {list(inputs)}")
        first, second = (inputs[f"INPUT{at}"].astype(np.float32).reshape(-1) for at in (0, 1))
        return _answer(self, OUTPUT0=first + second, OUTPUT1=first - second)


class Seen(_Counted):
    """Answers which call this is, and how many rows INPUT has: OUTPUT [rows, 2]."""

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        self.calls += 1
        (values,) = (NumpyCodec.decode_input(each) for each in payload.inputs)
        rows = np.full((len(values), 2), (self.calls, len(values)), np.float32)
        return _answer(self, OUTPUT=rows)


class Guard(Arithmetic):
    """Refuses values above `most`, and passes on all others."""

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        values = NumpyCodec.decode_input(payload.inputs[0])
        if float(values.max()) > float(self.settings.parameters.extra["most"]):
            raise InferenceError(f"outlier: {values.max():g}")
        return await super().predict(payload)


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


def _answer(model: MLModel, **tensors: np.ndarray) -> InferenceResponse:
    return InferenceResponse(
        model_name=model.name,
        model_version=model.version,
        outputs=[NumpyCodec.encode_output(name, values) for name, values in tensors.items()],
    )
