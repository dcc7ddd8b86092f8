"""What a watch tells: changes of objects in their order, as Kubernetes' API server streams them.

The last changes are kept in memory.
Who watches from a version that is not among them any more (or that another process counted)
is told `410 Gone`, and lists again.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal

from infra.local.mesh.refusal import Refusal

JsonObject = dict[str, Any]

KEPT = 1000
"""How many changes a watch can catch up with."""


@dataclass(frozen=True)
class Change:
    """One change: what became of an object, and how it was then."""

    type: Literal["ADDED", "MODIFIED", "DELETED"]
    plural: str
    version: int
    object: JsonObject

    def event(self) -> JsonObject:
        """Write it as a watch does."""
        metadata = {**self.object["metadata"], "resourceVersion": str(self.version)}
        return {"type": self.type, "object": {**self.object, "metadata": metadata}}


class Changes:
    """The last changes of all objects. Not for use from several threads.

    `version` is the resource version up to which everything has happened already.
    """

    def __init__(self, version: int = 0, kept: int = KEPT) -> None:
        self._kept: deque[Change] = deque(maxlen=kept)
        self._from = version
        """The version from which on every change is among those that are kept."""
        self._newer = asyncio.Event()
        self._closed = False

    def add(
        self,
        type_: Literal["ADDED", "MODIFIED", "DELETED"],
        plural: str,
        version: int,
        shown: JsonObject,
    ) -> None:
        """Take notice of a change."""
        if len(self._kept) == self._kept.maxlen:
            self._from = self._kept[0].version
        self._kept.append(Change(type_, plural, version, shown))
        self._wake()

    def close(self) -> None:
        """End all watches."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        self._newer.set()
        self._newer = asyncio.Event()

    async def watch(
        self, plural: str, since: int, seconds: float | None = None
    ) -> AsyncIterator[JsonObject]:
        """Give the events of one kind after version `since`, for so long, or until `close`."""
        seen, deadline = since, None if seconds is None else time.monotonic() + seconds
        while not self._closed:
            newer = self._newer
            if seen < self._from:
                yield {"type": "ERROR", "object": _gone(since, self._from).body()}
                return
            for change in [each for each in self._kept if each.version > seen]:
                seen = change.version
                if change.plural == plural:
                    yield change.event()
            left = None if deadline is None else deadline - time.monotonic()
            try:
                await asyncio.wait_for(newer.wait(), left)
            except TimeoutError:
                return


def _gone(since: int, oldest: int) -> Refusal:
    return Refusal(410, "Expired", f"too old resource version: {since} ({oldest})")
