"""Values that are read again and again while somebody looks at them, once for all who look.

Nothing is read in the way of a page: a page shows what was read last, and is told of changes.
"""

import asyncio
import contextlib
import dataclasses
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Generic, TypeVar

from .doors import Away, Missing, Refused

logger = logging.getLogger("bellwether.console")

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class Seen(Generic[T]):
    """What was read last, and why it could not be read anew."""

    value: T | None
    """None: it could not be read yet."""
    problem: Exception | None
    since: float
    """Unix time since when it is so."""


class Live(Generic[T]):
    """One value, read every so many seconds while it is followed."""

    def __init__(self, read: Callable[[], Awaitable[T]], seconds: float) -> None:
        self._read = read
        self._seconds = seconds
        self._followers = 0
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self.current: Seen[T] | None = None
        """None: it was not read yet."""

    async def follow(self) -> AsyncGenerator[Seen[T], None]:
        """Give what is known, if anything, and then each change."""
        self._followers += 1
        if self._task is None:
            self._task = asyncio.create_task(self._again_and_again())
        told: Seen[T] | None = None
        try:
            while True:
                changed = self._changed
                if self.current is not None and self.current is not told:
                    told = self.current
                    yield told
                else:
                    await changed.wait()
        finally:
            self._followers -= 1
            if not self._followers and self._task is not None:
                self._task.cancel()
                self._task = None

    async def look(self) -> Seen[T]:
        """Read it now, and tell those who follow if it is another."""
        before = self.current
        problem: Exception | None = None
        value = before.value if before is not None else None
        try:
            value = await self._read()
        except (Away, Missing, Refused) as error:
            problem = error
        found = Seen(value, problem, time.time())
        if before is None or _differ(before, found):
            self.current = found
            self._changed.set()
            self._changed = asyncio.Event()
        return self.current or found

    async def _again_and_again(self) -> None:
        while True:
            try:
                await self.look()
            except Exception:
                # A defect of one reading is told in the log, and takes no other page with it.
                logger.exception("%s failed", getattr(self._read, "__qualname__", self._read))
            await asyncio.sleep(self._seconds)


def _differ(before: Seen[T], after: Seen[T]) -> bool:
    return before.value != after.value or repr(before.problem) != repr(after.problem)


async def ended(task: asyncio.Task[None]) -> None:
    """End a task, and wait for it."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
