"""What every step of a pipeline does alike: read its settings, check its tensors, answer, count.

A step subclasses `Step`, names what it takes and gives, and implements `open` and `run`.
"""

import asyncio
import dataclasses
import difflib
import logging
import math
import pathlib
import re
import time
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import grpc
import numpy as np
import prometheus_client
import pydantic
from mlserver import MLModel, errors, types
from mlserver.grpc import utils as grpc_utils
from mlserver.utils import get_model_uri
from numpy.typing import NDArray

Array = NDArray[np.float64]
Value = Array | list[str]
"""A tensor's content: numbers in the tensor's shape, or texts in row-major order."""

REQUESTS = prometheus_client.Counter(
    "bellwether_step_requests", "Requests to a step by outcome: ok, invalid, unavailable, error.",
    ("model", "outcome"),
)  # fmt: skip
SECONDS = prometheus_client.Histogram(
    "bellwether_step_seconds",
    "Time of a request inside a step.",
    ("model",),
    buckets=(0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0),
)

logger = logging.getLogger("mlserver.bellwether.step")

TEXT = types.Parameters(content_type="str")
"""Of a BYTES tensor: without it Seldon's gateway answers base64 over REST."""

# MLServer knows no 503 over gRPC, and would say UNKNOWN.
grpc_utils.STATUS_CODE_MAPPING[503] = grpc.StatusCode.UNAVAILABLE

_VERSIONED = re.compile(r"(?P<model>.+)_\d+")
_NUMBERS = frozenset({"FP32", "FP64"})
_TEXTS = frozenset({"BYTES"})
_FEW = 8


class InvalidRequest(ValueError):  # noqa: N818  (named after the request, as the 400 reads)
    """A request that the caller has to mend: what, where, and how."""


class StepNotLoaded(errors.MLServerError):  # type: ignore[misc]  # MLServer carries no types
    """A step cannot be loaded: its settings or its artifact have to be mended (422)."""

    def __init__(self, message: str) -> None:
        super().__init__(message, status_code=422)


class StepFailed(errors.MLServerError):  # type: ignore[misc]  # MLServer carries no types
    """A step failed on a request that was in order (500)."""

    def __init__(self, message: str) -> None:
        super().__init__(message, status_code=500)


class StepUnavailable(errors.MLServerError):  # type: ignore[misc]  # MLServer carries no types
    """What a step relies on is away, for now: the same request may be sent again (503)."""

    def __init__(self, message: str) -> None:
        super().__init__(message, status_code=503)


class Settings(pydantic.BaseModel):
    """What `parameters.extra` may say; Seldon passes strings, "64" is read as 64."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


@dataclasses.dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a step's signature: -1 in the shape stands for any size."""

    name: str
    datatype: Literal["FP64", "BYTES"]
    shape: tuple[int, ...]
    description: str
    required: bool = True
    """For an output: whether every answer has it."""
    finite: bool = True
    """Whether NaN and infinity are refused."""


class Asked(Protocol):
    """What a step is told of a request beside its tensors: MLServer's request, or less."""

    @property
    def id(self) -> str | None:
        """The request's id."""


class Given(NamedTuple):
    """A tensor on its way to a step in the same process, with the names of MLServer's.

    `data` is a list in row-major order, or what the step before made of it: a `Value`.
    """

    name: str
    shape: list[int]
    datatype: str
    data: Any


class Made(NamedTuple):
    """A tensor that a step answers: as it goes over a wire, and as the `Value` that it was."""

    name: str
    shape: list[int]
    datatype: Literal["FP64", "BYTES"]
    data: list[Any]
    value: Value


class InProcess:
    """An MLServer model that its own process may ask without MLServer's objects for tensors."""

    name: str
    version: str | None
    identity: Mapping[str, str] = MappingProxyType({})
    """The parameters of each of its answers."""

    async def exchange(
        self, asked: Asked, tensors: Iterable[Given | types.RequestInput]
    ) -> list[Made]:
        """Do what `predict` does for a request that names no outputs.

        Building and checking MLServer's objects takes longer than most steps do.
        Raises MLServer's errors, as `predict` does.
        """
        raise NotImplementedError


class Step(InProcess, MLModel):  # type: ignore[misc]  # MLServer carries no types
    """A step of a pipeline, as an MLServer model."""

    SETTINGS: ClassVar[type[Settings]] = Settings
    TAKES: ClassVar[tuple[Tensor, ...]] = ()
    GIVES: ClassVar[tuple[Tensor, ...]] = ()

    def open(self, folder: pathlib.Path) -> None:
        """Read the artifact, in a thread; `self.given` are the settings. Raise to refuse it."""

    async def run(self, inputs: Mapping[str, Value], asked: Asked) -> Mapping[str, Value]:
        """Answer one request whose tensors are in order.

        What is not in `inputs` was not sent. Raise `InvalidRequest` for what the caller has to mend,
        `StepUnavailable` for what passes by itself.
        """
        raise NotImplementedError

    def signature(self) -> tuple[Tensor, ...]:
        """Give the tensors that are taken; override where they depend on the artifact."""
        return self.TAKES

    async def load(self) -> bool:
        """Read settings and artifact; raise `StepNotLoaded` with the reason."""
        name = _VERSIONED.fullmatch(self.name)
        self.label = name["model"] if name else self.name
        self.given = self._read_settings()
        folder = pathlib.Path(await get_model_uri(self.settings))
        try:
            await asyncio.to_thread(self.open, folder)
        except Exception as error:
            raise StepNotLoaded(
                f"{self.name!r} cannot be loaded from {folder}: {type(error).__name__}: {error}"
            ) from error
        self._taken = {tensor.name: tensor for tensor in self.signature()}
        self.inputs = [_described(tensor) for tensor in self.signature()]
        self.outputs = [_described(tensor) for tensor in self.GIVES]
        self._gives = {tensor.name: tensor for tensor in self.GIVES}
        self._seconds = SECONDS.labels(self.label)
        self._outcomes = {
            outcome: REQUESTS.labels(self.label, outcome)
            for outcome in ("ok", "invalid", "unavailable", "error")
        }
        return True

    async def predict(self, payload: types.InferenceRequest) -> types.InferenceResponse:
        """Check the tensors, run the step, answer."""
        made = await self.exchange(payload, payload.inputs)
        return types.InferenceResponse(
            id=payload.id,
            model_name=self.name,
            model_version=self.version,
            outputs=[
                types.ResponseOutput(
                    name=each.name,
                    shape=each.shape,
                    datatype=each.datatype,
                    data=each.data,
                    parameters=TEXT if each.datatype == "BYTES" else None,
                )
                for each in made
            ],
        )

    async def exchange(
        self, asked: Asked, tensors: Iterable[Given | types.RequestInput]
    ) -> list[Made]:
        """See `InProcess`."""
        began = time.perf_counter()
        try:
            outputs = await self.run(read(tensors, self._taken), asked)
            made = [self._made(name, value) for name, value in outputs.items()]
        except InvalidRequest as error:
            self._outcomes["invalid"].inc()
            raise errors.InferenceError(f"{self.label!r}: {error}") from error
        except StepUnavailable:
            self._outcomes["unavailable"].inc()
            raise
        except Exception as error:
            self._outcomes["error"].inc()
            logger.exception("%s failed", self.name)
            raise StepFailed(
                f"{self.label!r} failed on a valid request: {type(error).__name__}: {error}; "
                "see MLServer's log"
            ) from error
        self._outcomes["ok"].inc()
        self._seconds.observe(time.perf_counter() - began)
        return made

    def _made(self, name: str, value: Value) -> Made:
        tensor = self._gives[name]
        if isinstance(value, list):
            # A text tensor's trailing sizes are given by its signature.
            width = max(1, math.prod(tensor.shape[1:]))
            shape = [len(value) // width, *tensor.shape[1:]]
            # Bytes, as MLServer's own codec has them: its gRPC takes no other text.
            data: list[Any] = [text.encode() for text in value]
        else:
            shape, data = list(value.shape), value.ravel().tolist()
            value.setflags(write=False)  # from here on it is everybody's
        return Made(name, shape, tensor.datatype, data, value)

    def _read_settings(self) -> Settings:
        parameters = self.settings.parameters
        extra = (parameters.extra if parameters else None) or {}
        try:
            return self.SETTINGS.model_validate(extra)
        except pydantic.ValidationError as error:
            wrong = "; ".join(
                f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}, got {detail['input']!r}"
                for detail in error.errors()
            )
            raise StepNotLoaded(
                f"{self.name!r} cannot be loaded: its parameters are wrong ({wrong}); "
                f"known are {', '.join(self.SETTINGS.model_fields) or 'none'}"
            ) from error


def read(
    tensors: Iterable[Given | types.RequestInput], taken: Mapping[str, Tensor]
) -> dict[str, Value]:
    """Read a request's tensors as the signature `taken` has them; raise `InvalidRequest`."""
    found: dict[str, Value] = {}
    for tensor in tensors:
        expected = taken.get(tensor.name)
        if expected is None:
            near = difflib.get_close_matches(tensor.name, taken, n=1)
            meant = f" (did you mean {near[0]!r}?)" if near else ""
            raise InvalidRequest(
                f"tensor {tensor.name!r} is unknown{meant}; known are {', '.join(taken)}"
            )
        if tensor.name in found:
            raise InvalidRequest(f"tensor {tensor.name!r} came twice; send it once")
        found[tensor.name] = _value(tensor, expected)
    missing = [name for name, tensor in taken.items() if tensor.required and name not in found]
    if missing:
        came = ", ".join(map(repr, found)) or "no tensor at all"
        raise InvalidRequest(f"tensor {missing[0]!r} is missing: got {came}; add it to `inputs`")
    return found


def _value(tensor: Given | types.RequestInput, expected: Tensor) -> Value:
    shape, name = tuple(tensor.shape), tensor.name
    datatype = str(tensor.datatype)
    wanted = _NUMBERS if expected.datatype == "FP64" else _TEXTS
    if datatype not in wanted:
        raise InvalidRequest(
            f"tensor {name!r}: expected datatype {' or '.join(sorted(wanted))}, got {datatype}"
        )
    # A column of one is the same as a vector: MLServer's and Seldon's codecs make either.
    column = (*expected.shape, 1)
    if (
        shape not in (expected.shape, column)
        and not _fits(shape, expected.shape)
        and not _fits(shape, column)
    ):
        raise InvalidRequest(
            f"tensor {name!r}: expected shape {list(expected.shape)}, got {list(shape)}"
        )
    data = getattr(tensor.data, "root", tensor.data)
    if expected.datatype == "BYTES":
        return _texts(name, data, shape)
    return _numbers(name, data, shape, expected)


def _fits(shape: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    return len(shape) == len(expected) and all(
        size in {-1, given} for size, given in zip(expected, shape, strict=True)
    )


def _texts(name: str, data: Any, shape: tuple[int, ...]) -> list[str]:
    items = [data] if isinstance(data, str | bytes) else list(data)
    while items and isinstance(items[0], list):
        items = [each for row in items for each in row]
    if len(items) != math.prod(shape):
        raise InvalidRequest(
            f"tensor {name!r}: shape {list(shape)} holds {math.prod(shape)} texts, got {len(items)}"
        )
    try:
        return [each.decode() if isinstance(each, bytes) else _text(name, each) for each in items]
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"tensor {name!r}: is not UTF-8: {error}") from error


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidRequest(f"tensor {name!r}: expected texts, got {type(value).__name__}")
    return value


def _numbers(name: str, data: Any, shape: tuple[int, ...], expected: Tensor) -> Array:
    try:
        values = np.asarray(data, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidRequest(f"tensor {name!r}: expected numbers: {error}") from error
    if values.size != math.prod(shape):
        raise InvalidRequest(
            f"tensor {name!r}: shape {list(shape)} holds {math.prod(shape)} values, "
            f"got {values.size}; make shape and data agree"
        )
    values = values.reshape(shape[: len(expected.shape)])
    if expected.finite and not _all_finite(values):
        at = np.argwhere(~np.isfinite(values))[0].tolist()
        raise InvalidRequest(
            f"tensor {name!r}: expected finite numbers, got {values[tuple(at)]} at {at}; "
            "fill or drop what is missing"
        )
    return values


def _all_finite(values: Array) -> bool:
    # For a few numbers, a loop of Python's takes less time than one call of numpy's.
    if values.size <= _FEW:
        return all(map(math.isfinite, values.ravel().tolist()))
    return bool(np.isfinite(values).all())


def _described(tensor: Tensor) -> types.MetadataTensor:
    return types.MetadataTensor(
        name=tensor.name,
        datatype=tensor.datatype,
        shape=list(tensor.shape),
        parameters=types.Parameters(
            description=tensor.description, required=str(tensor.required).lower()
        ),
    )
