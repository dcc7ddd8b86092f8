"""ONNX artifacts: a network over features and history, standardisation included."""

import dataclasses
import pathlib

import numpy as np
import onnxruntime

from runtimes import contract

from . import artifact

WEIGHTS = "model.onnx"
LOG_VOLATILITY = "log_volatility"
ERROR = 3
"""ONNX Runtime's log level for errors."""


@dataclasses.dataclass(frozen=True, slots=True)
class Network:
    """The estimator of an ONNX artifact."""

    session: onnxruntime.InferenceSession

    def estimate(
        self, features: artifact.Array, history: artifact.Array
    ) -> tuple[artifact.Array, artifact.Array]:
        """See `artifact.Estimator`; the network computes in single precision."""
        log_volatility, direction = self.session.run(
            [LOG_VOLATILITY, contract.DIRECTION],
            {
                contract.FEATURES: features.astype(np.float32),
                contract.HISTORY: history.astype(np.float32),
            },
        )
        return log_volatility.astype(np.float64), direction.astype(np.float64)


def load(folder: pathlib.Path, manifest: artifact.Manifest) -> Network:
    """Load `model.onnx` on the CPU with one thread, and check the names of its tensors."""
    del manifest
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = ERROR
    session = onnxruntime.InferenceSession(
        str(folder / WEIGHTS), options, providers=["CPUExecutionProvider"]
    )
    inputs = {tensor.name for tensor in session.get_inputs()}
    outputs = {tensor.name for tensor in session.get_outputs()}
    if inputs != set(contract.INPUTS) or outputs != {LOG_VOLATILITY, contract.DIRECTION}:
        raise artifact.ArtifactError(
            f"{folder / WEIGHTS}: has the inputs {sorted(inputs)} and the outputs "
            f"{sorted(outputs)}, expected {sorted(contract.INPUTS)} and "
            f"{sorted({LOG_VOLATILITY, contract.DIRECTION})}"
        )
    return Network(session=session)
