"""What travels between steps: tensors and the messages that carry them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

Headers = tuple[tuple[str, str], ...]


class Content:
    """A tensor without its name, so that a renamed tensor is the same content.

    `data` is a flat list in row-major order, or what a model gave.
    What is made of it more than once is kept: `native` is the model server's own object for the
    data, `value` what a step of ours made or took it as, `encoded` the bytes that are published.
    """

    __slots__ = ("data", "datatype", "encoded", "native", "parameters", "shape", "value")

    def __init__(  # noqa: PLR0913 - a tensor has these sides
        self,
        datatype: str,
        shape: list[int],
        data: Any,
        parameters: Mapping[str, Any] | None = None,
        native: Any = None,
        value: Any = None,
    ) -> None:
        self.datatype = datatype
        self.shape = shape
        self.data = data
        self.parameters = parameters
        self.native = native
        self.value = value
        self.encoded: bytes | None = None


class Tensor(NamedTuple):
    """A name and what it stands for."""

    name: str
    content: Content


class Message(NamedTuple):
    """Tensors on their way, as one Kafka record of Seldon's would carry them.

    `at` is when it came to be, in the event loop's seconds.
    `headers` are what models added on the way: `x-seldon-route` first of all.
    """

    tensors: tuple[Tensor, ...]
    at: float
    parameters: Mapping[str, Any] | None = None
    headers: Headers = ()


class Request(NamedTuple):
    """What a caller asks. `headers` are the caller's own `x-*`, lower-case."""

    id: str
    tensors: tuple[Tensor, ...]
    parameters: Mapping[str, Any] | None = None
    headers: Headers = ()


class Given(NamedTuple):
    """What a model answers."""

    tensors: tuple[Tensor, ...]
    parameters: Mapping[str, Any] | None = None
    headers: Headers = ()
    """Those of its headers that begin with `x-`."""
    model_name: str = ""
    model_version: str = ""
    answered_by: str = ""
    """The model version that was asked, by the model server's name for it."""


class StepRequest(NamedTuple):
    """What a model is asked. `headers` are the caller's own, to be copied before a change."""

    id: str
    tensors: tuple[Tensor, ...]
    parameters: Mapping[str, Any] | None
    headers: Headers
