"""The pages: what each shows, and what it does."""

import dataclasses
from collections.abc import Callable

from htmltools import TagChild
from shiny import Inputs, Outputs, Session

from runtimes.console import parts

Serve = Callable[[parts.Console, Inputs, Outputs, Session], None]


@dataclasses.dataclass(frozen=True, slots=True)
class Page:
    """One page."""

    path: str
    title: str
    content: Callable[[parts.Console], TagChild]
    """What is there at once; outputs are filled as soon as the page is connected."""
    serve: Serve
