"""When several sources make one message: inner, outer and any, with their window.

Seldon's dataflow engine joins its streams in a chain, two at a time,
and a joined record is as late as the later of the two.
So what matters to an inner join is not how far the first and the last are apart,
but how far each is from the latest of those named before it.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from infra.local.dataflow.tensors import Headers, Message, Tensor
from infra.local.mesh import dataflow

MILLISECOND = 0.001

Why = Literal["absent", "empty"]
"""Why a source gives nothing: it does not come, or it came without a tensor that is asked for."""


class Source(NamedTuple):
    """One of the topics that a join reads, and what it takes of it.

    `tensors` of `None` takes all. `names` renames.
    """

    text: str
    topic: int
    tensors: frozenset[str] | None
    names: Mapping[str, str]

    def select(self, message: Message) -> Message | None:
        """Take what is asked for, by its new names; `None` if nothing of it is there."""
        tensors = message.tensors
        if self.tensors is not None:
            wanted = self.tensors
            tensors = tuple([each for each in tensors if each.name in wanted])
        if not tensors:
            return None
        if self.names:
            names = self.names
            tensors = tuple(
                [Tensor(names.get(each.name, each.name), each.content) for each in tensors]
            )
        if tensors is message.tensors:
            return message
        return Message(tensors, message.at, message.parameters, message.headers)


class Join(NamedTuple):
    """Sources and how they are put together. `window` is in seconds."""

    kind: dataflow.Join
    window: float
    sources: tuple[Source, ...]
    gate: bool = False
    """A gate has a step's inputs and its triggers as sources, and lets the inputs through."""


class State:
    """A join of one call: pending, `outcome` there, or `lost` for good."""

    __slots__ = ("arrived", "join", "late", "lost", "outcome", "pending", "why")

    def __init__(self, join: Join) -> None:
        self.join = join
        self.arrived: list[Message | None] = [None] * len(join.sources)
        self.pending = len(join.sources)
        self.outcome: Message | None = None
        self.lost = False
        self.late = False
        """Lost because the window ended."""
        self.why: dict[int, tuple[Why, tuple[str, ...]]] | None = None
        """Sources that give nothing: the reason, and the tensors that were there instead."""

    @property
    def settled(self) -> bool:
        """Whether nothing changes it any more."""
        return self.lost or self.outcome is not None

    def arrive(self, index: int, message: Message) -> None:
        """Take what a source gave."""
        join = self.join
        self.pending -= 1
        if join.kind == "any" or len(self.arrived) == 1:
            self.arrived[index] = message
            self.outcome = message
            return
        if join.kind == "inner":
            deadline = self.deadline()
            if deadline is not None and message.at > deadline:
                self.lost = self.late = True
                return
        self.arrived[index] = message
        if self.pending == 0:
            self.outcome = self._combined()

    def lose(self, index: int, why: Why, instead: tuple[str, ...] = ()) -> None:
        """Take that a source gives nothing."""
        self.pending -= 1
        if self.why is None:
            self.why = {}
        self.why[index] = (why, instead)
        if self.join.kind == "inner":
            self.lost = True
        elif self.pending == 0:
            if any(self.arrived):
                self.outcome = self._combined()
            else:
                self.lost = True

    def deadline(self) -> float | None:
        """Say when the window of a pending join ends; `None` if nothing has come yet."""
        kind, window = self.join.kind, self.join.window
        there = [each.at for each in self.arrived if each is not None]
        if kind == "any" or not there:
            return None
        if kind == "outer":
            return min(there) + window
        first_gap = self.arrived.index(None)
        ends = [each.at + window for each in self.arrived[first_gap:] if each is not None]
        if first_gap:
            ends.append(max([each.at for each in self.arrived[:first_gap] if each]) + window)
        return min(ends)

    def expire(self) -> None:
        """End the window: what is outer takes what is there, what is inner is lost."""
        if self.join.kind == "outer":
            self.outcome = self._combined()
        else:
            self.lost = self.late = True

    def _combined(self) -> Message:
        there = [each for each in self.arrived if each is not None]
        if self.join.gate:
            inputs, triggers = there
            return Message(
                inputs.tensors, max(inputs.at, triggers.at), inputs.parameters, inputs.headers
            )
        if len(there) == 1:
            return there[0]
        return Message(
            tuple([tensor for each in there for tensor in each.tensors]),
            max([each.at for each in there]),
            there[0].parameters,
            merged([each.headers for each in there]),
        )


def merged(headers: list[Headers]) -> Headers:
    """Put headers together, each once, in the order in which they come."""
    return tuple(dict.fromkeys([pair for each in headers for pair in each]))
