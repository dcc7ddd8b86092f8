"""A replay of history that runs beside the demo, and can be held for a while."""

import collections.abc
import concurrent.futures
import datetime as dt
import threading
import types
import typing

Said = collections.abc.Callable[[dt.date], None]


class _Over(Exception):  # noqa: N818  the demo's end, not a failure
    """The demo is over: nothing more is to be sent."""


class Replaying:
    """Runs `send` in a thread of its own.

    `send` is given a function that it has to call after each day; there it is held, and ended.
    `on_hold` is called with the last day that was sent, in that thread, when a hold begins.
    """

    def __init__(
        self, send: collections.abc.Callable[[Said], object], on_hold: Said = lambda _: None
    ) -> None:
        self._send = send
        self._on_hold = on_hold
        self._goes, self._over = threading.Event(), threading.Event()
        self._pool = concurrent.futures.ThreadPoolExecutor(1, "replay")
        self._job: concurrent.futures.Future[object] | None = None
        self.days = 0

    def __enter__(self) -> typing.Self:
        self._goes.set()
        self._job = self._pool.submit(self._run)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self._over.set()
        self._goes.set()
        self._pool.shutdown()

    def hold(self) -> None:
        """Let no further day be sent until `go_on`; one that is on its way is sent yet."""
        self._goes.clear()

    def go_on(self) -> None:
        """Let days be sent again; what was missed is the replay's to catch up with."""
        self._goes.set()

    @property
    def ended(self) -> bool:
        """Whether everything was sent."""
        return self._job is not None and self._job.done() and self._job.exception() is None

    def check(self) -> None:
        """Raise what made the replay fail, if something did."""
        if self._job is not None and self._job.done():
            self._job.result()

    def _run(self) -> object:
        try:
            return self._send(self._said)
        except _Over:
            return None

    def _said(self, day: dt.date) -> None:
        self.days += 1
        if not self._goes.is_set():
            self._on_hold(day)
            self._goes.wait()
        if self._over.is_set():
            raise _Over
