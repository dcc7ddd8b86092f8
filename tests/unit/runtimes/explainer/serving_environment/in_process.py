"""A step as MLServer makes one, asked without a server."""

import asyncio
import json

from mlserver import settings, types


def load(implementation, folder, **extra):
    step = implementation(
        settings.ModelSettings(
            name="step-under-test_1",
            implementation=implementation,
            parameters={
                "uri": str(folder),
                "extra": {name: str(value) for name, value in extra.items()},
            },
        )
    )
    asyncio.run(step.load())
    return step


def tensor(name, values, shape=None):
    if isinstance(values, list):
        return types.RequestInput(
            name=name, shape=shape or [len(values)], datatype="BYTES", data=values
        )
    return types.RequestInput(
        name=name, shape=list(values.shape), datatype="FP64", data=values.ravel().tolist()
    )


def ask(step, *tensors):
    answer = asyncio.run(step.predict(types.InferenceRequest(inputs=list(tensors))))
    (output,) = answer.outputs
    assert (output.name, output.shape, output.datatype) == ("explanation", [1], "BYTES")
    return json.loads(output.data.root[0])
