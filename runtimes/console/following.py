"""What a session's outputs depend on: live values, and work that was asked for.

Both are done beside Shiny's reactive graph, which all sessions share and which waits for each step.
Values have names, because Shiny reads the call stack's source for a value without one (50 ms).
"""

import asyncio
import dataclasses
import logging
import urllib.parse
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from typing import Any, Generic, TypeVar

from shiny import Session, reactive

from .doors import Away, Missing, Refused
from .live import Live, Seen, ended

logger = logging.getLogger("bellwether.console")

T = TypeVar("T")


def followed(session: Session, live: Live[T], name: str) -> reactive.Value[Seen[T] | None]:
    """Give a reactive value that changes with a live one as long as the session lasts."""
    value: reactive.Value[Seen[T] | None] = reactive.value(live.current, name=name)

    async def follow() -> None:
        changes: AsyncGenerator[Seen[T], None] = live.follow()
        async with aclosing(changes):
            async for seen in changes:
                await _set(value, seen)

    task = _begun(follow())

    async def end() -> None:
        await ended(task)

    session.on_ended(end)
    return value


def distinct(read: Callable[[], T | None], name: str) -> reactive.Value[T | None]:
    """Give a reactive value that changes only if what is read is another; None at first."""
    value: reactive.Value[T | None] = reactive.value(None, name=name)

    @reactive.effect(priority=1)
    def _() -> None:
        found = read()
        with reactive.isolate():
            before = value()
        if found != before:
            value.set(found)

    return value


def asked(session: Session, name: str) -> str | None:
    """Give what the page's address says of a name; None if nothing. A reactive read."""
    query = str(session.clientdata.url_search()).lstrip("?")
    found = urllib.parse.parse_qs(query, keep_blank_values=True)
    return found[name][0].strip() if name in found else None


@dataclasses.dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """What came of some work: a result, or why there is none."""

    result: T | None
    problem: Exception | None


class Work(Generic[T]):
    """Work that somebody asks for; what is asked for later takes its place."""

    def __init__(self, session: Session, name: str) -> None:
        self._task: asyncio.Task[None] | None = None
        self._state: reactive.Value[Done[T] | None] = reactive.value(None, name=name)

        async def end() -> None:
            if self._task is not None:
                await ended(self._task)

        session.on_ended(end)

    def begin(self, work: Coroutine[Any, Any, T]) -> None:
        """Begin; what goes on already is given up."""
        if self._task is not None:
            self._task.cancel()
        self._state.set(None)
        self._task = _begun(self._do(work))

    def done(self) -> Done[T] | None:
        """Say what came of it; None while it goes on. A reactive read."""
        return self._state()

    async def _do(self, work: Coroutine[Any, Any, T]) -> None:
        try:
            found = Done(await work, None)
        except (Away, Missing, Refused) as error:
            found = Done(None, error)
        await _set(self._state, found)


_setting: set[asyncio.Task[None]] = set()
"""What sets values now: the event loop alone would forget it."""


async def _set(value: reactive.Value[T], to: T) -> None:
    """Set a value, and have the graph follow.

    Who ends meanwhile does not end the graph's work: it is that of all sessions.
    """

    async def act() -> None:
        async with reactive.lock():
            value.set(to)
            await reactive.flush()

    task = asyncio.create_task(act())
    _setting.add(task)
    task.add_done_callback(_setting.discard)
    await asyncio.shield(task)


def _begun(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    task = asyncio.create_task(work)
    task.add_done_callback(_told)
    return task


def _told(task: asyncio.Task[None]) -> None:
    """Say in the log what was a defect: nobody waits for the task."""
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("%s failed", task.get_coro(), exc_info=error)
