"""A policy's whole history again, from the topics alone: every state and every weight compared."""

import dataclasses
from collections.abc import Iterator

from .deciding import decide
from .parts import UnusableError
from .recovery import Entry, begun, entries, redo
from .state import State
from .topics import Reader

_MOST_DECISIONS = 10_000_000


@dataclasses.dataclass(frozen=True)
class Replayed:
    """An epoch that was done again, and what came out differently: `state`, `weights`."""

    entry: Entry
    state: State
    different: tuple[str, ...]


def replay(
    bootstrap: str, policy: str, max_decisions: int = _MOST_DECISIONS
) -> Iterator[tuple[Replayed, int]]:
    """Do all epochs of a policy again, each with how many there are; what begins anew, begins anew.

    Raises:
        UnusableError: there is no log, or records that it names are gone.
        AwayError: Kafka does not answer.

    """
    reader = Reader(bootstrap, f"replay-{policy}")
    try:
        found = list(entries(reader, policy))
        if not found:
            raise UnusableError("LogUnusable", f"policy {policy!r} has no epoch in the log")
        state: State | None = None
        vetoed: set[str] = set()
        for entry in found:
            different: tuple[str, ...] = ()
            if entry.begins or state is None:
                if not entry.begins:
                    raise UnusableError("LogUnusable", f"policy {policy!r}: its log has no begin")
                state = begun(entry, max_decisions)
            else:
                same = redo(reader, state, entry)
                different = (*(() if same else ("state",)), *_weights(state, entry, vetoed))
            vetoed = {each.arm for each in entry.record.vetoes}
            yield Replayed(entry, state, different), len(found)
    finally:
        reader.close()


def _weights(state: State, entry: Entry, vetoed_before: set[str]) -> tuple[str, ...]:
    """Say whether the weights that follow from the state are those that were decided."""
    record = entry.record
    if not record.applied and record.mode != "shadow":
        return ()  # nothing was decided: frozen, or somebody else's weights were respected
    vetoes = {each.arm: each.reason for each in record.vetoes}
    decided = decide(state, record.previous, vetoes, vetoed_before)
    return () if decided.weights == record.weights else ("weights",)
