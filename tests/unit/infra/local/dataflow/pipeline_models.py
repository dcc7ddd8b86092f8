"""Models for pipelines, as MLServer runtimes."""

import asyncio
from typing import Any

from mlserver import MLModel
from mlserver.errors import InferenceError
from mlserver.types import InferenceRequest, InferenceResponse, Parameters, ResponseOutput


class Echo(MLModel):  # type: ignore[misc] # MLServer is not typed
    """Answers its inputs, and what it saw of the request beside them."""

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        outputs = [
            ResponseOutput(
                name=each.name,
                shape=each.shape,
                datatype=each.datatype,
                data=each.data,
                parameters=each.parameters,
            )
            for each in payload.inputs
        ]
        headers = payload.parameters.headers
        seen = [payload.id, headers.get("x-request-id"), headers.get("x-lab", "")]
        outputs.append(ResponseOutput(name="seen", shape=[3], datatype="BYTES", data=seen))
        return InferenceResponse(
            model_name=self.name,
            model_version=self.version,
            outputs=outputs,
            parameters=Parameters(headers={"x-made-by": self.name, "other": "not passed on"}),
        )


class Branching(MLModel):  # type: ignore[misc] # MLServer is not typed
    """Emits INPUT as OUTPUT0 or OUTPUT1, as CHOICE says."""

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        inputs = {each.name: each for each in payload.inputs}
        given = inputs["INPUT"]
        output = ResponseOutput(
            name=f"OUTPUT{int(inputs['CHOICE'].data[0])}",
            shape=given.shape,
            datatype=given.datatype,
            data=given.data,
        )
        return InferenceResponse(model_name=self.name, outputs=[output])


class Strange(MLModel):  # type: ignore[misc] # MLServer is not typed
    """Answers what JSON has no way for: bytes that are no text, and a number that is none."""

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        outputs = [
            ResponseOutput(name="bytes", shape=[2], datatype="BYTES", data=[b"\xff\x00", b"a"]),
            ResponseOutput(name="nan", shape=[2], datatype="FP64", data=[None, 1.0]),
        ]
        return InferenceResponse(model_name=self.name, outputs=outputs)


class Held(MLModel):  # type: ignore[misc] # MLServer is not typed
    """Waits until a request with a tensor named GO comes; that one is answered at once."""

    async def load(self) -> bool:
        self._go = asyncio.Event()
        self.waiting = 0
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        if payload.inputs[0].name == "GO":
            self._go.set()
        elif payload.inputs[0].name == "WAITING":
            return self._answer(self.waiting)
        elif payload.inputs[0].name != "INPUT":
            raise InferenceError("send GO, WAITING or INPUT")
        self.waiting += 1
        await self._go.wait()
        return self._answer(self.waiting)

    def _answer(self, value: Any) -> InferenceResponse:
        output = ResponseOutput(name="OUTPUT", shape=[1], datatype="FP32", data=[value])
        return InferenceResponse(model_name=self.name, outputs=[output])
