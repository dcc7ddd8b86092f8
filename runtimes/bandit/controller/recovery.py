"""A policy's state from its log and the topics, with the checkpoint in Valkey or without it.

The log names which records each epoch learnt of; so an epoch that was written is redone from the
topics to the bit, and one that was not has not been.
"""

import dataclasses
import logging
from collections.abc import Callable, Iterable, Iterator

from runtimes.bandit import declaration
from runtimes.contract import bandits

from .parts import UnusableError
from .state import TOPICS, State
from .topics import Reader

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Entry:
    """An epoch in the log, and its offset there."""

    record: bandits.Allocation
    offset: int

    @property
    def begins(self) -> bool:
        """Whether a policy begins (anew) here."""
        return bool(self.record.details.get("begins"))

    @property
    def spec(self) -> declaration.BanditPolicySpec:
        """What the epoch went by in the end."""
        spec = self.record.details["spec"]
        if not isinstance(spec, dict):
            raise UnusableError("LogUnusable", f"epoch {self.record.epoch} has no spec")
        return declaration.parse_spec(spec)

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms in the end, in their order."""
        return tuple(self.record.weights)

    def bounds(self, topic: str) -> tuple[int, int]:
        """Which records of a topic the epoch learnt of."""
        found: tuple[int, int] = getattr(self.record.offsets, topic)
        return found


def entries(reader: Reader, policy: str, start: int = 0) -> Iterator[Entry]:
    """Read a policy's log from an offset on; what corrects an epoch is left out."""
    for message in reader.whole(bandits.ALLOCATIONS, start):
        try:
            record = bandits.Allocation.decode(message.value)
        except bandits.InvalidRecord as error:
            logger.warning("allocations, offset %d is left out: %s", message.offset, error)
            continue
        if record.policy == policy and not record.details.get("corrects"):
            yield Entry(record, message.offset)


def begun(entry: Entry, max_decisions: int) -> State:
    """Make the state with which a policy begins."""
    positions = {topic: entry.bounds(topic)[1] for topic in TOPICS}
    state = State(entry.spec, entry.arms, positions, max_decisions)
    state.epoch = entry.record.epoch
    return state


def redo(reader: Reader, state: State, entry: Entry) -> bool:
    """Do an epoch again; say whether the state is the one that the log has."""
    for topic in TOPICS:
        for batch in reader.between(topic, entry.bounds(topic)):
            state.take(topic, batch)
    state.end()
    state.adopt(entry.spec, entry.arms)
    state.join.compact()
    return state.digest() == entry.record.state_digest


def recovered(
    reader: Reader,
    found: Iterable[Entry],
    state: State | None,
    max_decisions: int,
    different: Callable[[Entry], None],
) -> State | None:
    """Go through epochs of a log, after a checkpoint's state or from the beginning."""
    for entry in found:
        if entry.begins:
            state = begun(entry, max_decisions)
        elif state is None:
            raise UnusableError(
                "LogUnusable", f"the log does not begin: its first epoch is {entry.record.epoch}"
            )
        elif not redo(reader, state, entry):
            different(entry)
    return state
