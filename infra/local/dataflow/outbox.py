"""Records on their way to the process that publishes them, after the answers they belong to.

Encoding a call's records takes as long as several steps do, so it is done by `relay`,
a process of its own. Here they are only put into a frame, in a twentieth of that time,
and written to a socket every `HOLD_SECONDS`.
A thread in place of the process was tried (eight steps, eight callers): it took a tenth more
processor time, and a quarter more latency at the median, because both want the interpreter.

The relay is started again whenever it ends; frames wait for it meanwhile.
What it had been given and had not reported is counted as lost.
"""

import asyncio
import collections
import collections.abc
import contextlib
import logging
import os
import socket
import subprocess
import sys
import typing

from infra.local import launch
from infra.local.dataflow import handover, relay
from infra.local.dataflow.journal import Record
from runtimes.contract import publishing

logger = logging.getLogger(__name__)

QUEUE_RECORDS = 20_000
QUEUE_BYTES = 32 * 2**20

HOLD_SECONDS = 0.02
"""How long a frame waits for others, so that both processes are woken less often."""

CLOSE_SECONDS = 3.0
"""How long the end may take; more than a relay's `FLUSH_SECONDS`."""

PAUSE_SECONDS = 0.1
"""Before a relay is started again; doubled with each that did not run for `STEADY_SECONDS`."""

LONGEST_PAUSE_SECONDS = 5.0
STEADY_SECONDS = 10.0
_REAP_SECONDS = 1.0

RELAY_ENDED = "relay_ended"
"""Why a record is lost that a relay had when it ended.
It may have published some of them after its last report."""


class Outbox:
    """A bounded queue in front of a relay, which it keeps running."""

    def __init__(self, kafka: str) -> None:
        self._command = [sys.executable, "-m", relay.__name__, kafka]
        self._waiting: collections.deque[tuple[int, bytes]] = collections.deque()
        self._records = 0
        self._bytes = 0
        self._scheduled = False
        self._closing = False
        self._link: _Link | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._full = publishing.LOST.labels(relay.CLIENT, "outbox_full")
        self._broken = publishing.LOST.labels(relay.CLIENT, relay.NOT_ENCODABLE)
        self._ended = publishing.LOST.labels(relay.CLIENT, RELAY_ENDED)

    def start(self) -> None:
        """Start the relay, and keep it running. What is taken before waits for it."""
        self._keeper = asyncio.get_running_loop().create_task(self._keep())

    def take(self, records: list[Record]) -> None:
        """Take a call's records over, or count them as lost."""
        try:
            frame = handover.pack(records)
        except Exception:  # a model can answer what no pickle holds; that is its record's loss
            if len(records) > 1:
                for record in records:
                    self.take([record])
                return
            self._broken.inc()
            logger.exception("a record for %s cannot be handed over", records[0].topic)
            return
        count = len(records)
        if self._records + count > QUEUE_RECORDS or self._bytes + len(frame) > QUEUE_BYTES:
            self._full.inc(count)
            return
        self._waiting.append((count, frame))
        self._records += count
        self._bytes += len(frame)
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_later(HOLD_SECONDS, self._hold_ended)

    async def close(self, seconds: float = CLOSE_SECONDS) -> int:
        """Have everything published, but not for long; say how much was not."""
        self._closing = True
        self._hand_over()
        link = self._link
        if link is not None:
            link.transport.write_eof()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(link.gone), seconds)
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait((self._keeper,))
        if link is None:
            return self._records
        link.transport.abort()
        await link.reap(0 if not link.gone.done() else _REAP_SECONDS)
        return self._records + link.unsettled

    def _hold_ended(self) -> None:
        self._scheduled = False
        self._hand_over()

    def _hand_over(self) -> None:
        """Write as much as the relay keeps up with; at the end, everything."""
        link = self._link
        if link is None:
            return
        while self._waiting and (self._closing or not link.full):
            records, frame = self._waiting.popleft()
            self._records -= records
            self._bytes -= len(frame)
            link.write(records, frame)

    async def _keep(self) -> None:
        """Start one relay after the other, for ever."""
        loop = asyncio.get_running_loop()
        pause = 0.0
        while True:
            began = loop.time()
            try:
                link = self._link = await self._connected()
            except OSError:
                logger.exception("pipelines' records are not published: no relay can be started")
            else:
                self._hand_over()
                await asyncio.shield(link.gone)
                if self._closing:
                    return
                self._link = None
                await link.reap(_REAP_SECONDS)
                self._ended.inc(link.unsettled)
                logger.warning(
                    "the relay of pipelines' records ended (%s), %d records are lost",
                    link.process.returncode,
                    link.unsettled,
                )
            steady = loop.time() - began >= STEADY_SECONDS
            pause = PAUSE_SECONDS if steady else max(PAUSE_SECONDS, 2 * pause)
            pause = min(pause, LONGEST_PAUSE_SECONDS)
            await asyncio.sleep(pause)

    async def _connected(self) -> "_Link":
        """Start a relay. Raises `OSError`."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process = subprocess.Popen(  # noqa: ASYNC220 - returns in a millisecond
                    self._command, stdin=theirs.fileno(), env=_environment()
                )
            _, link = await asyncio.get_running_loop().create_unix_connection(
                lambda: _Link(process, self._hand_over), sock=ours
            )
        except BaseException:
            ours.close()
            raise
        return link


class _Link(asyncio.Protocol):
    """A relay, and the socket to it."""

    transport: asyncio.Transport

    def __init__(
        self, process: subprocess.Popen[bytes], resumed: collections.abc.Callable[[], None]
    ) -> None:
        self.process = process
        self.full = False
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._resumed = resumed
        self._given = 0
        self._last = relay.Report(0, 0, {})
        self._line = b""

    @property
    def unsettled(self) -> int:
        """How many records it was given, and has not reported as published or lost."""
        return self._given - self._last.settled

    def write(self, records: int, frame: bytes) -> None:
        """Give it a frame."""
        self._given += records
        self.transport.write(frame)

    async def reap(self, seconds: float) -> None:
        """Wait for the process's end, and bring it about after a while."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(self.process.wait, seconds)
            return
        self.process.kill()
        await asyncio.to_thread(self.process.wait)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = typing.cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Count what it reports as if it were this process's own doing."""
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            report, last = relay.Report.read(line), self._last
            publishing.PUBLISHED.labels(relay.CLIENT).inc(report.published - last.published)
            for reason, count in report.lost.items():
                lost = count - last.lost.get(reason, 0)
                publishing.LOST.labels(relay.CLIENT, reason).inc(lost)
            self._last = report

    def pause_writing(self) -> None:
        """Take that it does not keep up."""
        self.full = True

    def resume_writing(self) -> None:
        """Take that it has caught up."""
        self.full = False
        self._resumed()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take that it is gone."""
        del exc
        if not self.gone.done():
            self.gone.set_result(None)


def _environment() -> dict[str, str]:
    """Give the relay a marker of its own: `down` finds it, and nobody takes it for its parent."""
    marked = os.environ.get(launch.MARKER)
    if marked is None:
        return dict(os.environ)
    home, name, digest = marked.rsplit("|", 2)
    return {**os.environ, launch.MARKER: launch.marker(home, f"{name}-relay", digest)}
