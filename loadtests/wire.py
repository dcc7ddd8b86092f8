"""A client that is fast enough to measure a gateway of 0.2 ms.

HTTP/1.1 over keep-alive sockets, with requests that are composed once and answers that are read
by `content-length`. A general client spends more time on a request than Envoy does.
"""

import collections.abc
import dataclasses
import select
import socket
import time
from typing import Self

from loadtests import endpoints

PATIENCE = 10.0
"""Seconds after which an answer that has not come counts as failed."""

_CHUNK = 1 << 18
_END = b"\r\n\r\n"
_OK = 200


class WireError(endpoints.LoadTestError):
    """A connection broke, or what came over it is no HTTP/1.1 answer with a length."""


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, with the seconds (of `time.perf_counter`) when it was asked for and came."""

    status: int
    head: bytes
    body: bytes
    sent: float
    received: float

    @property
    def ok(self) -> bool:
        """Whether the status is 200."""
        return self.status == _OK

    @property
    def seconds(self) -> float:
        """Time from the request to the whole answer."""
        return self.received - self.sent

    @property
    def arm(self) -> endpoints.Arm | None:
        """The model that answered, as its `x-seldon-route` says."""
        route = _header(self.head, b"x-seldon-route")
        return endpoints.arm(route.decode("latin-1")) if route else None


def compose(
    method: str,
    address: endpoints.Address,
    path: str,
    headers: collections.abc.Mapping[str, str],
    body: bytes,
) -> bytes:
    """Write a request once, to be sent many times."""
    lines = {
        "host": str(address),
        "content-type": "application/json",
        "content-length": str(len(body)),
        **headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body


class Connection:
    """One keep-alive connection with at most one request in flight."""

    def __init__(self, address: endpoints.Address) -> None:
        self.address = address
        self._sent = 0.0
        self._buffer = b""
        self._missing: int | None = None
        self._socket = self._connect()

    def call(self, request: bytes) -> Answer:
        """Send a request and wait for its answer."""
        self.send(request)
        while True:
            answer = self.receive()
            if answer:
                return answer

    def send(self, request: bytes) -> None:
        """Send a request, whose answer `receive` will give."""
        self._buffer, self._missing = b"", None
        self._sent = time.perf_counter()
        try:
            self._socket.sendall(request)
        except OSError as error:
            raise WireError(f"{self.address}: the connection broke ({error})") from error

    def receive(self) -> Answer | None:
        """Take what has come; the answer, once it is whole."""
        try:
            chunk = self._socket.recv(_CHUNK)
        except OSError as error:
            raise WireError(f"{self.address}: no answer ({error})") from error
        if not chunk:
            raise WireError(f"{self.address}: the connection was closed before the answer")
        self._buffer += chunk
        if self._missing is None:
            end = self._buffer.find(_END)
            if end < 0:
                return None
            self._missing = end + len(_END) + _content_length(self._buffer[:end])
        if len(self._buffer) < self._missing:
            return None
        received = time.perf_counter()
        head, _, body = self._buffer.partition(_END)
        return Answer(int(head[9:12]), head, body, self._sent, received)

    def reconnect(self) -> None:
        """Replace a broken connection."""
        self.close()
        self._socket = self._connect()

    def fileno(self) -> int:
        """Return the socket's descriptor, for a poll."""
        return self._socket.fileno()

    def overdue(self, now: float) -> bool:
        """Whether the answer in flight takes longer than `PATIENCE`."""
        return now - self._sent > PATIENCE

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _connect(self) -> socket.socket:
        try:
            connected = socket.create_connection((self.address.host, self.address.port), PATIENCE)
        except OSError as error:
            raise endpoints.LoadTestError(
                f"nothing answers at {self.address} ({error}): is the environment up? "
                "`bellwether status` tells, `bellwether up` brings it up"
            ) from error
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connected


@dataclasses.dataclass(slots=True, eq=False)
class Caller:
    """A connection and what is done with its answers.

    `answered` and `failed` return the next request, or None to stay idle until `send`.
    """

    connection: Connection
    answered: collections.abc.Callable[[Answer], bytes | None]
    failed: collections.abc.Callable[[WireError], bytes | None]
    in_flight: bool = False

    def send(self, request: bytes | None) -> None:
        """Send the next request; None leaves the caller idle."""
        self.in_flight = request is not None
        if request is not None:
            self.connection.send(request)


def drive(
    callers: collections.abc.Sequence[Caller], done: collections.abc.Callable[[], bool]
) -> None:
    """Exchange requests and answers over all connections, in one thread, until `done`.

    Answers that are still to come are waited for and handed over, their successors not sent.
    """
    poll = select.epoll()
    by_file = {caller.connection.fileno(): caller for caller in callers}
    for file in by_file:
        poll.register(file, select.EPOLLIN)
    finished = False
    with poll:
        while True:
            finished = finished or done()
            if finished and not any(caller.in_flight for caller in callers):
                return
            for file, _ in poll.poll(0.1):
                caller = by_file[file]
                try:
                    answer = caller.connection.receive()
                    if answer:
                        following = caller.answered(answer)
                        caller.send(None if finished else following)
                except WireError as error:
                    _replace(poll, by_file, caller, error, finished=finished)
            now = time.perf_counter()
            for caller in callers:
                if caller.in_flight and caller.connection.overdue(now):
                    late = WireError(f"{caller.connection.address}: no answer in {PATIENCE:g} s")
                    _replace(poll, by_file, caller, late, finished=finished)


def _replace(
    poll: select.epoll,
    by_file: dict[int, Caller],
    caller: Caller,
    error: WireError,
    *,
    finished: bool,
) -> None:
    """Count a failure, and go on over a new connection."""
    file = caller.connection.fileno()
    poll.unregister(file)
    del by_file[file]
    caller.connection.reconnect()
    by_file[caller.connection.fileno()] = caller
    poll.register(caller.connection.fileno(), select.EPOLLIN)
    following = caller.failed(error)
    caller.send(None if finished else following)


def _content_length(head: bytes) -> int:
    length = _header(head, b"content-length")
    if length is None:
        raise WireError(f"an answer without content-length: {head[:200]!r}")
    return int(length)


def _header(head: bytes, name: bytes) -> bytes | None:
    """Return a header's value; names are compared in lower case, as HTTP says."""
    lowered = head.lower()
    start = lowered.find(b"\r\n" + name + b":")
    if start < 0:
        return None
    start += len(name) + 3
    end = head.find(b"\r\n", start)
    return head[start : end if end >= 0 else len(head)].strip()
