"""Serves one trained model inside MLServer: the Open Inference Protocol in, a forecast out.

Set `implementation` to `runtimes.predictor.runtime.Predictor` and `parameters.uri` to the folder
of an artifact; `Settings` lists what `parameters.extra` may say.
"""

import asyncio
import hashlib
import logging
import pathlib
import re
import time
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pydantic
from mlserver import MLModel, errors, types
from mlserver import settings as mlserver_settings
from mlserver.utils import get_model_uri
from numpy.typing import NDArray

from runtimes import contract
from runtimes.contract import step

from . import artifact, client_errors, decisions, metrics, validation

_LOG = logging.getLogger("mlserver.bellwether.predictor")
_WARM_UPS = 5
_History = NDArray[np.floating[Any]]
_CONTENT_ADDRESS = re.compile("sha256-[0-9a-f]{64}")

_UNITS = {
    contract.VOLATILITY: "annualised standard deviation over the next five trading days",
    contract.DIRECTION: "probability that tomorrow closes above today",
    contract.INTERVAL: "lower and upper end for volatility",
    contract.MODEL: "name, version and artifact of the model that answers",
}
_SHAPES = {contract.INTERVAL: [-1, 2], contract.MODEL: [-1, 3]}
_NUMBERS = tuple(name for name in contract.OUTPUTS if name != contract.MODEL)


class Settings(pydantic.BaseModel):
    """What `parameters.extra` may say.

    Seldon passes a Model's parameters as strings: "64" is read as 64.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    max_rows: int = pydantic.Field(
        default=1024, ge=1, le=1_000_000, description="The most rows that a request may have."
    )
    thread_rows: int = pydantic.Field(
        default=16,
        ge=1,
        description=(
            "Requests of more rows are checked and forecast in a thread, smaller ones in the "
            "event loop: a row takes less time than the hand-over to a thread, "
            "many rows would hold up everything else that the server does."
        ),
    )
    kafka: str | None = pydantic.Field(
        default=None,
        pattern=r"^[^\s,:]+:\d+(,[^\s,:]+:\d+)*$",
        description=(
            "Where decisions are recorded when an experiment's split led a request here, "
            "host:port; nowhere without it."
        ),
    )


class ModelNotLoaded(errors.MLServerError):  # type: ignore[misc]  # MLServer carries no types
    """A model cannot be loaded: its settings or its artifact have to be mended (422)."""

    def __init__(self, message: str) -> None:
        super().__init__(message, status_code=422)


class ForecastFailed(errors.MLServerError):  # type: ignore[misc]  # MLServer carries no types
    """A model failed on a request that was in order (500)."""

    def __init__(self, message: str) -> None:
        super().__init__(message, status_code=500)


class Predictor(step.InProcess, MLModel):  # type: ignore[misc]  # MLServer carries no types
    """An MLServer model around an artifact.

    `features` [n, F] and `history` [n, T, C] in, FP32 or FP64;
    `volatility` [n], `direction` [n] and `interval` [n, 2] out, FP64, and `model` [n, 3], BYTES.
    """

    def __init__(self, settings: mlserver_settings.ModelSettings) -> None:
        super().__init__(settings)
        self._served = metrics.served(settings.name, settings.version)
        self._meter = metrics.Meter(self._served)

    async def load(self) -> bool:
        """Open the artifact and make a first forecast, while other models go on serving.

        Raises `ModelNotLoaded` with the reason; MLServer then keeps what it served before.
        """
        client_errors.install()
        self._limits = self._read_settings()
        kafka = self._limits.kafka
        self._decisions = decisions.Decisions(self._served, kafka) if kafka else None
        folder = pathlib.Path(await get_model_uri(self.settings))
        began = time.perf_counter()
        try:
            self._forecaster = await asyncio.to_thread(artifact.load, folder)
            await asyncio.to_thread(self._warm_up)
        except artifact.ArtifactError as error:
            raise ModelNotLoaded(f"model {self.name!r} cannot be loaded: {error}") from error
        self._describe(_digest(folder))
        _LOG.info("%s: loaded %s in %.2f s", self.name, folder, time.perf_counter() - began)
        return True

    async def predict(self, payload: types.InferenceRequest) -> types.InferenceResponse:
        """Answer a request; raises `InferenceError` (400) for one that the caller has to mend."""
        wanted = [each.name for each in payload.outputs or ()]
        made, history = await self._answer(payload.inputs, wanted)
        if self._decisions is not None:
            self._decisions.take(payload, history)
        return types.InferenceResponse(
            model_name=self.name,
            model_version=self.version,
            parameters=types.Parameters(**self.identity),
            outputs=[
                types.ResponseOutput(
                    name=each.name,
                    shape=each.shape,
                    datatype=each.datatype,
                    data=each.data,
                    parameters=step.TEXT if each.datatype == "BYTES" else None,
                )
                for each in made
            ],
        )

    async def exchange(
        self, asked: step.Asked, tensors: Iterable[step.Given | types.RequestInput]
    ) -> list[step.Made]:
        """See `step.InProcess`. A step of a pipeline is no arm: nothing is decided."""
        del asked
        made, _ = await self._answer(tuple(tensors), ())
        return made

    async def _answer(
        self, tensors: Sequence[validation.Tensor], wanted: Sequence[str]
    ) -> tuple[list[step.Made], _History]:
        began = time.perf_counter()
        try:
            if _rows(tensors) > self._limits.thread_rows:
                answered = await asyncio.to_thread(self._forecast, tensors, wanted)
            else:
                answered = self._forecast(tensors, wanted)
            names, forecast, history = answered
        except validation.InvalidRequest as error:
            self._meter.invalid(error.reason)
            raise errors.InferenceError(f"model {self._served.model!r}: {error}") from error
        except Exception as error:
            self._meter.error.inc()
            raise ForecastFailed(
                f"model {self.name!r} failed on a valid request: {error!r}; see MLServer's log"
            ) from error
        made = [self._made(name, forecast) for name in names]
        volatilities = forecast.volatility.tolist()
        for volatility in volatilities:
            self._meter.volatility.observe(volatility)
        self._meter.rows.inc(len(volatilities))
        self._meter.ok.inc()
        self._meter.seconds.observe(time.perf_counter() - began)
        return made, history

    async def metadata(self) -> types.MetadataModelResponse:
        """Describe the model; parameters are strings, the one type that gRPC's V2 carries too."""
        return types.MetadataModelResponse(
            name=self.name,
            versions=[self._served.version] if self._served.version else [],
            platform=f"bellwether_{self._forecaster.metadata.kind}",
            inputs=self.inputs,
            outputs=self.outputs,
            parameters=types.Parameters(**self.identity, **self._card),
        )

    def _forecast(
        self, tensors: Sequence[validation.Tensor], wanted: Sequence[str]
    ) -> tuple[tuple[str, ...], artifact.Forecast, _History]:
        names = validation.outputs(wanted)
        features, history = validation.inputs(
            tensors, self._signature, max_rows=self._limits.max_rows
        )
        with np.errstate(over="ignore", invalid="ignore"):  # found, and named, below
            forecast = self._forecaster.forecast(features, history)
        _refuse_not_finite(forecast)
        return names, forecast, history

    def _made(self, name: str, forecast: artifact.Forecast) -> step.Made:
        if name == contract.MODEL:
            rows = len(forecast.volatility)
            texts = [*self.identity.values()] * rows
            # Bytes, as MLServer's own codec has them: its gRPC takes no other text.
            data: list[Any] = [*self._identity_bytes] * rows
            return step.Made(name, [rows, len(self.identity)], "BYTES", data, texts)
        values: NDArray[np.float64] = getattr(forecast, name)
        return step.Made(name, list(values.shape), "FP64", values.ravel().tolist(), values)

    def _read_settings(self) -> Settings:
        parameters = self.settings.parameters
        extra = (parameters.extra if parameters else None) or {}
        try:
            return Settings.model_validate(extra)
        except pydantic.ValidationError as error:
            wrong = "; ".join(
                f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}, got {detail['input']!r}"
                for detail in error.errors()
            )
            raise ModelNotLoaded(
                f"model {self.name!r} cannot be loaded: its parameters are wrong ({wrong}); "
                f"known are {', '.join(Settings.model_fields)}"
            ) from error

    def _warm_up(self) -> None:
        """Forecast a quiet market a few times: weights are paged in, allocators are filled."""
        manifest = self._forecaster.metadata
        shape = (1, manifest.history_length, len(manifest.history_channels))
        features, history = np.zeros((1, len(manifest.features))), np.zeros(shape)
        for _ in range(_WARM_UPS):
            forecast = self._forecaster.forecast(features, history)
        for name in _NUMBERS:
            if not np.isfinite(getattr(forecast, name)).all():
                raise artifact.ArtifactError(
                    f"its {name} for inputs that are all 0 is {getattr(forecast, name).tolist()}: "
                    "the weights are unusable, train the model again"
                )

    def _describe(self, digest: str) -> None:
        """Fill what MLServer shows of the model from the artifact's manifest."""
        manifest = self._forecaster.metadata
        self._signature = validation.Signature(
            features=manifest.feature_names,
            days=manifest.history_length,
            channels=tuple(channel.name for channel in manifest.history_channels),
        )
        self.identity = {
            "model": self._served.model,
            "version": self._served.version,
            "artifact": digest,
        }
        self._identity_bytes = tuple(text.encode() for text in self.identity.values())
        self._card = {
            "kind": manifest.kind,
            "regime": manifest.regime or "any",
            "horizon_days": str(manifest.horizon_days),
            "interval_level": str(manifest.interval.level),
            "max_rows": str(self._limits.max_rows),
        }
        columns = {
            contract.FEATURES: manifest.features,
            contract.HISTORY: manifest.history_channels,
        }
        self.inputs = [
            types.MetadataTensor(
                name=name,
                datatype="FP64",
                shape=[-1, *self._signature.shape(name)],
                parameters=types.Parameters(
                    columns=",".join(column.name for column in columns[name]),
                    units="; ".join(column.unit for column in columns[name]),
                    accepts=",".join(validation.DATATYPES),
                ),
            )
            for name in contract.INPUTS
        ]
        self.outputs = [
            types.MetadataTensor(
                name=name,
                datatype="BYTES" if name == contract.MODEL else "FP64",
                shape=_SHAPES.get(name, [-1]),
                parameters=types.Parameters(unit=_UNITS[name]),
            )
            for name in contract.OUTPUTS
        ]


def _digest(folder: pathlib.Path) -> str:
    """Return what identifies an artifact: its content-addressed name, else its manifest's digest.

    Seldon's agent copies a folder to a place of its own, where it has another name.
    """
    if _CONTENT_ADDRESS.fullmatch(folder.name):
        return folder.name
    manifest = (folder / artifact.MANIFEST).read_bytes()
    return f"manifest-sha256-{hashlib.sha256(manifest).hexdigest()}"


def _rows(tensors: Iterable[validation.Tensor]) -> int:
    """Return the rows that a request claims to have, before anything of it was checked."""
    return max((tensor.shape[0] for tensor in tensors if tensor.shape), default=0)


def _refuse_not_finite(forecast: artifact.Forecast) -> None:
    """Refuse a request whose finite values are beyond what the model can compute with."""
    finite = (
        np.isfinite(forecast.volatility)
        & np.isfinite(forecast.direction)
        & np.isfinite(forecast.interval).all(axis=1)
    )
    if not finite.all():
        raise validation.InvalidRequest(
            validation.Reason.NOT_FINITE,
            f"row {int(np.argmin(finite))} has no finite forecast: its values are finite, "
            "but far outside of what a market does; check their units",
        )
