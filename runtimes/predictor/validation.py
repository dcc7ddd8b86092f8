"""A request's tensors, checked against a model's signature.

What is wrong is said in one message:
which tensor, what was expected, what came, and how to mend it.
Nothing here knows MLServer: the runtime turns an `InvalidRequest` into its 400.

Datatypes: FP32 and FP64.
Integer tensors are refused: a feature that arrives as an integer has lost its fraction on the way.
(A whole number inside an FP64 tensor's JSON, `0` for `0.0`, is a number like any other.)
FP32 values are rounded to FP32 first, so that REST and gRPC forecast the same.
"""

import dataclasses
import difflib
import enum
import math
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from runtimes import contract

DATATYPES = {"FP32": np.dtype(np.float32), "FP64": np.dtype(np.float64)}

_NUMBERS = frozenset({float, int})
_MOST_NAMED = 3


class Reason(enum.StrEnum):
    """Why a request was refused: the bounded label that the metrics carry."""

    MISSING_TENSOR = "missing_tensor"
    UNKNOWN_TENSOR = "unknown_tensor"
    DUPLICATE_TENSOR = "duplicate_tensor"
    DATATYPE = "datatype"
    SHAPE = "shape"
    DATA = "data"
    NOT_FINITE = "not_finite"
    EMPTY_BATCH = "empty_batch"
    TOO_MANY_ROWS = "too_many_rows"
    UNKNOWN_OUTPUT = "unknown_output"


class InvalidRequest(ValueError):  # noqa: N818  (named after the request, as the 400 reads)
    """A request that the caller has to mend; `reason` is its kind."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Tensor(Protocol):
    """What is read of a tensor: MLServer's `RequestInput`, over REST and gRPC alike.

    `data` is a list, or an array of the tensor's shape.
    """

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def shape(self) -> Any:
        """Its sizes."""

    @property
    def datatype(self) -> Any:
        """What its values are."""

    @property
    def data(self) -> Any:
        """Its values."""


@dataclasses.dataclass(frozen=True, slots=True)
class Signature:
    """What a model takes: its features in order, the days and the channels of its history."""

    features: tuple[str, ...]
    days: int
    channels: tuple[str, ...]

    def shape(self, tensor: str) -> tuple[int, ...]:
        """Return the shape of one row of a tensor."""
        if tensor == contract.FEATURES:
            return (len(self.features),)
        return (self.days, len(self.channels))

    def expected(self, tensor: str) -> str:
        """Describe a tensor's shape in the words of a message."""
        if tensor == contract.FEATURES:
            return f"[n, {len(self.features)}] (n rows, {len(self.features)} features)"
        return (
            f"[n, {self.days}, {len(self.channels)}] "
            f"(n rows, {self.days} days with the oldest first, "
            f"{len(self.channels)} channels: {', '.join(self.channels)})"
        )

    def place(self, tensor: str, index: Sequence[int]) -> str:
        """Name one element of a tensor: its row, and its feature or its day and channel."""
        if tensor == contract.FEATURES:
            row, column = index
            return f"row {row}, feature {self.features[column]!r} (column {column})"
        row, day, column = index
        return (
            f"row {row}, day {day} of 0..{self.days - 1}, "
            f"channel {self.channels[column]!r} (column {column})"
        )


def inputs(
    tensors: Iterable[Tensor], signature: Signature, *, max_rows: int
) -> tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]:
    """Return `features` [n, F] and `history` [n, T, C] of a request, each in its own datatype.

    Raises `InvalidRequest` for whatever a forecast cannot be made from.
    """
    by_name = _by_name(tensors)
    rows = {name: _rows(by_name[name], signature, max_rows) for name in contract.INPUTS}
    if len(set(rows.values())) > 1:
        counts = " and ".join(f"{name!r} has {count}" for name, count in rows.items())
        raise InvalidRequest(
            Reason.SHAPE,
            f"tensors disagree on the number of rows n: {counts}; "
            "send one row of each tensor for every forecast",
        )
    features, history = (_array(by_name[name], signature) for name in contract.INPUTS)
    return features, history


def outputs(requested: Iterable[str] | None) -> tuple[str, ...]:
    """Return the names of the outputs to answer with, in the order asked for; all if none is."""
    names = tuple(requested or ())
    if not names:
        return contract.OUTPUTS
    known = ", ".join(contract.OUTPUTS)
    for name in names:
        if name not in contract.OUTPUTS:
            raise InvalidRequest(
                Reason.UNKNOWN_OUTPUT,
                f"requested output {name!r} is unknown{_meant(name, contract.OUTPUTS)}; "
                f"ask for {known}, or leave `outputs` out to get all of them",
            )
    if len(set(names)) < len(names):
        raise InvalidRequest(
            Reason.UNKNOWN_OUTPUT,
            f"requested outputs {', '.join(names)} name one twice; ask for each once ({known})",
        )
    return names


def _by_name(tensors: Iterable[Tensor]) -> dict[str, Tensor]:
    by_name: dict[str, Tensor] = {}
    expected = " and ".join(repr(name) for name in contract.INPUTS)
    for tensor in tensors:
        if tensor.name in by_name:
            raise InvalidRequest(
                Reason.DUPLICATE_TENSOR,
                f"tensor {tensor.name!r} came twice; send each of {expected} once",
            )
        if tensor.name not in contract.INPUTS:
            raise InvalidRequest(
                Reason.UNKNOWN_TENSOR,
                f"tensor {tensor.name!r} is unknown{_meant(tensor.name, contract.INPUTS)}; "
                f"send {expected} and no other",
            )
        by_name[tensor.name] = tensor
    missing = [name for name in contract.INPUTS if name not in by_name]
    if missing:
        came = ", ".join(repr(name) for name in by_name) or "no tensor at all"
        raise InvalidRequest(
            Reason.MISSING_TENSOR,
            f"tensor {missing[0]!r} is missing: expected {expected}, got {came}; "
            f"add {missing[0]!r} to `inputs`",
        )
    return by_name


def _meant(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _rows(tensor: Tensor, signature: Signature, max_rows: int) -> int:
    shape = list(tensor.shape)
    name = tensor.name
    if str(tensor.datatype) not in DATATYPES:
        raise InvalidRequest(
            Reason.DATATYPE,
            f"tensor {name!r}: expected datatype FP32 or FP64, got {tensor.datatype}; "
            "send its values as floating point numbers",
        )
    if tuple(shape[1:]) != signature.shape(name) or shape[0] < 0:
        raise InvalidRequest(
            Reason.SHAPE,
            f"tensor {name!r}: expected shape {signature.expected(name)}, got {shape}; "
            "GET /v2/models/<model> lists names, order and shapes",
        )
    rows: int = shape[0]
    if rows == 0:
        raise InvalidRequest(
            Reason.EMPTY_BATCH,
            f"tensor {name!r}: the batch is empty (shape {shape}); send at least one row",
        )
    if rows > max_rows:
        raise InvalidRequest(
            Reason.TOO_MANY_ROWS,
            f"tensor {name!r}: expected at most {max_rows} rows, got {rows}; "
            "split the batch, or raise the model's parameter `max_rows`",
        )
    return rows


def _array(tensor: Tensor, signature: Signature) -> NDArray[np.floating[Any]]:
    shape = tuple(tensor.shape)
    if isinstance(tensor.data, np.ndarray) and tensor.data.shape == shape:
        exact = tensor.data.astype(np.float64, copy=False)
    else:
        exact = np.array(_flat(tensor, shape, signature), dtype=np.float64)
    array: NDArray[np.floating[Any]] = exact
    if DATATYPES[str(tensor.datatype)] != exact.dtype:
        with np.errstate(over="ignore"):  # an overflow is found, and named, below
            array = exact.astype(np.float32)
    if not np.isfinite(array).all():
        _refuse_not_finite(tensor, signature, array.reshape(shape), exact.reshape(shape))
    return array.reshape(shape)


def _flat(tensor: Tensor, shape: tuple[int, ...], signature: Signature) -> list[float]:
    """Return a tensor's values in row-major order: JSON may nest them as its shape says."""
    values = getattr(tensor.data, "root", tensor.data)
    if not isinstance(values, list):
        raise InvalidRequest(
            Reason.DATA,
            f"tensor {tensor.name!r}: expected `data` to be a list of numbers, "
            f"got {type(values).__name__}; send the values in row-major order",
        )
    if list in set(map(type, values)):
        values = _unnested(tensor, values, shape)
    size = math.prod(shape)
    if len(values) != size:
        raise InvalidRequest(
            Reason.SHAPE,
            f"tensor {tensor.name!r}: shape {list(shape)} holds {size} values, "
            f"got {len(values)} in `data`; make shape and data agree",
        )
    if not set(map(type, values)) <= _NUMBERS:
        _refuse_not_numbers(tensor, signature, shape, values)
    return values


def _unnested(tensor: Tensor, values: list[Any], shape: tuple[int, ...]) -> list[Any]:
    """Flatten nested rows, which have to be as long as the shape says."""
    for depth in range(1, len(shape)):
        for row in values:
            if not isinstance(row, list) or len(row) != shape[depth]:
                came = f"a list of {len(row)}" if isinstance(row, list) else type(row).__name__
                raise InvalidRequest(
                    Reason.SHAPE,
                    f"tensor {tensor.name!r}: `data` is nested, but not as shape {list(shape)}: "
                    f"expected lists of {shape[depth]} at depth {depth}, got {came}; "
                    "nest it as the shape says, or send one flat list in row-major order",
                )
        values = [value for row in values for value in row]
    return values


def _refuse_not_numbers(
    tensor: Tensor, signature: Signature, shape: tuple[int, ...], values: list[Any]
) -> NoReturn:
    at = next(at for at, value in enumerate(values) if type(value) not in _NUMBERS)
    index = [int(part) for part in np.unravel_index(at, shape)]
    place = signature.place(tensor.name, index)
    if values[at] is None:
        raise InvalidRequest(
            Reason.NOT_FINITE,
            f"tensor {tensor.name!r}: null (what JSON makes of NaN) at {place}; "
            "fill or drop what is missing before asking for a forecast",
        )
    raise InvalidRequest(
        Reason.DATA,
        f"tensor {tensor.name!r}: expected a number at {place}, "
        f"got {type(values[at]).__name__} {str(values[at])[:40]!r}; send a JSON number",
    )


def _refuse_not_finite(
    tensor: Tensor,
    signature: Signature,
    array: NDArray[np.floating[Any]],
    exact: NDArray[np.float64],
) -> NoReturn:
    wrong = np.argwhere(~np.isfinite(array)).tolist()
    named = [
        f"{exact[tuple(index)]} at {signature.place(tensor.name, index)}"
        for index in wrong[:_MOST_NAMED]
    ]
    more = f" and {len(wrong) - len(named)} more" if len(wrong) > len(named) else ""
    mend = "fill or drop what is missing before asking for a forecast"
    if np.isfinite(exact[tuple(wrong[0])]):
        mend = f"the value is beyond {tensor.datatype}: mend its unit or send FP64"
    raise InvalidRequest(
        Reason.NOT_FINITE,
        f"tensor {tensor.name!r}: expected finite numbers, got {'; '.join(named)}{more}; {mend}",
    )
