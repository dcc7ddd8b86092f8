"""What there is to publish of a call."""

from collections.abc import Callable
from typing import NamedTuple

from infra.local.dataflow.tensors import Message, Request


class Record(NamedTuple):
    """One message at one topic: tensors on their way in or out, or an error's text."""

    topic: str
    request: Request
    pipeline: str
    version: str
    """Empty for what a caller asks: Seldon's gateway does not know it yet."""
    message: Message | None
    is_request: bool = False
    model_name: str = ""
    model_version: str = ""
    error: str = ""
    failed: str = ""
    """The step that an error is of."""


Journal = Callable[[list[Record]], None]
"""Takes records over; must not wait and must not raise."""
