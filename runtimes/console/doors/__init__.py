"""Where the console reads: the same doors as everyone's, one module each."""

import dataclasses


class Away(Exception):  # noqa: N818  named after the part's state, as a page says it
    """A part does not answer: which, and what it said."""

    def __init__(self, part: str, message: str) -> None:
        super().__init__(message)
        self.part = part


class Refused(Exception):  # noqa: N818  as above
    """A part answers, and does not do what was asked; the message is its own."""


class Missing(Exception):  # noqa: N818  as above
    """There is nothing of that name; the message says what there is."""


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """How one part stands."""

    name: str
    address: str
    problem: str | None
    """What it said the last time, if it was not well."""
