"""A rule: what must hold, why, what to do where it does not, and the function that looks."""

import collections.abc
import dataclasses

from policies import objects, stacks

One = collections.abc.Callable[[objects.Resource, stacks.Stack], objects.Faults]
"""Looks at one resource."""

Found = collections.abc.Iterator[tuple[objects.Resource, objects.Fault]]

Whole = collections.abc.Callable[[collections.abc.Sequence[objects.Resource], stacks.Stack], Found]
"""Looks at everything that a stack registers."""


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """One rule, which looks at resources one by one or at the whole stack."""

    name: str
    summary: str
    """What must hold."""
    reason: str
    remedy: str
    one: One | None = None
    whole: Whole | None = None

    def __post_init__(self) -> None:
        if (self.one is None) == (self.whole is None):
            raise ValueError(f"rule {self.name!r} looks at one resource or at the whole stack")
