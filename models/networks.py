"""Neural networks over history and features: how they are built, fitted and exported.

A network adds to two lines that least squares has fitted (`models.linear`), so that it starts from
a sound forecast, and learns only what the lines leave.
It sees no level: returns in the history's standard deviations, variances against the history's
mean; the level is the line's business, and what is learnt on one asset holds for another.
"""

import abc
import copy
import dataclasses
import io
import pathlib
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from runtimes import contract
from runtimes.predictor import forecast_linear, forecast_onnx

from . import fitting, linear

THREADS = 1
"""Fixed: sums over another number of threads may differ in the last bit."""

OPSET = 17
RETURN, LOG_VARIANCE = 0, 1
"""Channels of the history that are made free of the asset's level."""

BATCH = 256
WEIGHT_OF_DIRECTION = 0.3
"""Share of direction's loss: there is little to learn, and much to overfit."""


@dataclasses.dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast a network learns."""

    epochs: int
    epochs_from_start: int
    """Epochs if it goes on from an earlier fit."""
    rate: float
    decay: float = 0.05


class Body(torch.nn.Module, abc.ABC):  # type: ignore[misc]  # no torch where types are checked
    """What differs between networks: [n, T, C] and [n, F] to a state [n, `width`]."""

    width: int
    shape: tuple[int, int]
    """Days and channels of the history."""

    @abc.abstractmethod
    def forward(self, history: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """Give the state."""


class Network(torch.nn.Module):  # type: ignore[misc]  # no torch where types are checked
    """Two lines, and what a body adds to them; takes and gives what an ONNX artifact does."""

    def __init__(self, body: Body, features: int) -> None:
        super().__init__()
        self.body = body
        self.norm = torch.nn.LayerNorm(body.width)
        self.head = torch.nn.Linear(body.width, 2)
        torch.nn.init.zeros_(self.head.weight)
        torch.nn.init.zeros_(self.head.bias)
        self.register_buffer("lines", torch.zeros(features, 2))
        self.register_buffer("intercepts", torch.zeros(2))
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("scale", torch.zeros(features))

    def set_lines(self, volatility: forecast_linear.Line, odds: forecast_linear.Line) -> None:
        """Take over the lines that the body adds to."""
        self.lines = torch.from_numpy(
            np.column_stack([volatility.coefficients, odds.coefficients]).astype(np.float32)
        )
        self.intercepts = torch.tensor([volatility.intercept, odds.intercept])

    def set_scale(self, features: fitting.Array, level: int) -> None:
        """Take over the features' mean and deviation; the level is kept from the body."""
        spread = features.std(axis=0)
        scale = np.where(spread > linear.STILL, 1.0 / np.maximum(spread, linear.STILL), 0.0)
        scale[level] = 0.0
        self.mean = torch.from_numpy(features.mean(axis=0).astype(np.float32))
        self.scale = torch.from_numpy(scale.astype(np.float32))

    def raw(self, features: torch.Tensor, history: torch.Tensor) -> torch.Tensor:
        """Give log volatility and log odds, [n, 2]."""
        returns = history[:, :, RETURN]
        deviation = torch.sqrt((returns**2).mean(dim=1, keepdim=True) + 1e-8)
        variances = history[:, :, LOG_VARIANCE]
        calm = torch.stack(
            [returns / deviation, variances - variances.mean(dim=1, keepdim=True)], dim=2
        )
        free = torch.cat([calm, history[:, :, LOG_VARIANCE + 1 :]], dim=2).clamp(-8.0, 8.0)
        scaled = ((features - self.mean) * self.scale).clamp(-8.0, 8.0)
        added = self.head(self.norm(self.body(free, scaled)))
        result: torch.Tensor = features @ self.lines + self.intercepts + added
        return result

    def forward(
        self, features: torch.Tensor, history: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Give log volatility [n] and the probability of a rise [n]."""
        raw = self.raw(features, history)
        return raw[:, 0], torch.sigmoid(raw[:, 1])


@dataclasses.dataclass(frozen=True, slots=True)
class FittedNetwork:
    """A fitted network."""

    network: Network

    kind = "onnx"

    def estimate(
        self, features: fitting.Array, history: fitting.Array
    ) -> tuple[fitting.Array, fitting.Array]:
        """See `artifact.Estimator`; computed in single precision."""
        with torch.no_grad():
            volatility, direction = self.network(
                torch.from_numpy(features.astype(np.float32)),
                torch.from_numpy(history.astype(np.float32)),
            )
        return volatility.numpy().astype(np.float64), direction.numpy().astype(np.float64)

    def save(self, folder: pathlib.Path) -> Mapping[str, Any]:
        """See `fitting.Fitted`; exports to ONNX, with any number of rows."""
        (folder / forecast_onnx.WEIGHTS).write_bytes(export(self.network))
        return {}


def export(network: Network) -> bytes:
    """Give the network as ONNX."""
    features = torch.zeros(2, network.lines.shape[0])
    history = torch.zeros(2, *network.body.shape)
    names = [*contract.INPUTS, forecast_onnx.LOG_VOLATILITY, contract.DIRECTION]
    written = io.BytesIO()
    with warnings.catch_warnings():
        # The tracing exporter is deprecated, and kept on purpose: the new one writes paths of this
        # machine into the file, so that its digest would differ from one checkout to the next.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(),
            (features, history),
            written,
            input_names=names[:2],
            output_names=names[2:],
            dynamic_axes={name: {0: "n"} for name in names},
            opset_version=OPSET,
            dynamo=False,
        )
    return written.getvalue()


def fit(task: fitting.Task, body: Body, schedule: Schedule) -> FittedNetwork:
    """Fit lines and network; go on from an earlier fit's network if there is one."""
    torch.use_deterministic_algorithms(mode=True)
    torch.set_num_threads(THREADS)
    sample = task.sample
    weights = np.ones(len(sample.rise))
    if isinstance(task.start, FittedNetwork):
        network = copy.deepcopy(task.start.network)
        epochs = schedule.epochs_from_start
        rate = schedule.rate / 3
    else:
        network = Network(body, sample.features.shape[1])
        network.set_scale(sample.features, sample.feature_names.index(linear.LEVEL))
        epochs, rate = schedule.epochs, schedule.rate
    network.set_lines(
        linear.volatility(sample, sample.feature_names, weights), linear.direction(sample, weights)
    )
    _descend(network, sample, epochs=epochs, rate=rate, decay=schedule.decay, seed=task.seed)
    return FittedNetwork(network.eval())


def _descend(  # noqa: PLR0913  # each is a different thing
    network: Network,
    sample: fitting.Sample,
    *,
    epochs: int,
    rate: float,
    decay: float,
    seed: int,
) -> None:
    features = torch.from_numpy(sample.features.astype(np.float32))
    history = torch.from_numpy(sample.history.astype(np.float32))
    volatility = torch.from_numpy(sample.log_volatility.astype(np.float32))
    rise = torch.from_numpy(sample.rise.astype(np.float32))
    rows = len(rise)
    steps = max(epochs * -(-rows // BATCH), 1)
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=rate, total_steps=steps)
    order = torch.Generator().manual_seed(seed)
    network.train()
    for _ in range(epochs):
        for batch in torch.randperm(rows, generator=order).split(BATCH):
            raw = network.raw(features[batch], history[batch])
            loss = torch.nn.functional.mse_loss(raw[:, 0], volatility[batch])
            odds = torch.nn.functional.binary_cross_entropy_with_logits(raw[:, 1], rise[batch])
            optimiser.zero_grad()
            (loss + WEIGHT_OF_DIRECTION * odds).backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
