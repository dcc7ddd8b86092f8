import itertools
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from loadtests import endpoints, wire


@contextmanager
def server(serve: Callable[[socket.socket, int], None]) -> Iterator[endpoints.Address]:
    """A server whose connections are handled by `serve(connection, number)`."""
    listener = socket.create_server(("127.0.0.1", 0))
    open_ones: list[socket.socket] = []

    def accept() -> None:
        for number in itertools.count():
            try:
                connection, _ = listener.accept()
            except OSError:  # closed at the end of the test
                return
            open_ones.append(connection)
            threading.Thread(target=serve, args=(connection, number), daemon=True).start()

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield endpoints.Address("127.0.0.1", listener.getsockname()[1])
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for connection in open_ones:
            connection.close()


def answer(body: bytes, status: int = 200, headers: str = "") -> bytes:
    head = f"HTTP/1.1 {status} Word\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def say(text: bytes) -> Callable[[socket.socket, int], None]:
    def serve(connection: socket.socket, _: int) -> None:
        while connection.recv(1 << 16):
            connection.sendall(text)

    return serve


def test_an_answer_has_its_status_body_arm_and_time() -> None:
    text = answer(b"hello", 201, "X-Seldon-Route: :enhanced-predictor_7:\r\n")
    with server(say(text)) as address, wire.Connection(address) as connection:
        for _ in range(3):
            given = connection.call(wire.compose("POST", address, "/", {}, b"{}"))
            assert (given.status, given.body, given.ok) == (201, b"hello", False)
            assert given.arm == endpoints.Arm("enhanced-predictor", "7")
            assert given.sent < given.received


def test_an_answer_that_comes_in_pieces_is_put_together() -> None:
    text = answer(b"x" * 1000)
    proceed = threading.Semaphore(0)

    def serve(connection: socket.socket, _: int) -> None:
        connection.recv(1 << 16)
        for at in range(0, len(text), 300):
            connection.sendall(text[at : at + 300])
            proceed.acquire()

    with server(serve) as address, wire.Connection(address) as connection:
        connection.send(b"GET / HTTP/1.1\r\n\r\n")
        pieces = 0
        given = None
        while given is None:
            given = connection.receive()
            pieces += 1
            proceed.release()
        assert given.body == b"x" * 1000
        assert pieces > 1


def test_a_request_is_written_with_its_length_host_and_headers() -> None:
    address = endpoints.Address("example", 81)
    text = wire.compose("POST", address, "/v2", {"seldon-model": "m"}, b"abc")
    head, _, body = text.partition(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"POST /v2 HTTP/1.1",
        b"host: example:81",
        b"content-type: application/json",
        b"content-length: 3",
        b"seldon-model: m",
    ]
    assert body == b"abc"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "without content-length"),
        (b"", "closed before the answer"),
    ],
)
def test_an_answer_that_cannot_be_read_is_an_error(text: bytes, words: str) -> None:
    def serve(connection: socket.socket, _: int) -> None:
        connection.recv(1 << 16)
        connection.sendall(text)
        connection.shutdown(socket.SHUT_RDWR)

    with (
        server(serve) as address,
        wire.Connection(address) as connection,
        pytest.raises(wire.WireError, match=words),
    ):
        connection.call(b"GET / HTTP/1.1\r\n\r\n")


def test_nobody_at_an_address_is_said_with_the_address_and_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(endpoints.LoadTestError, match=rf"127.0.0.1:{port}.*bellwether up"):
        wire.Connection(endpoints.Address("127.0.0.1", port))


def drive(address: endpoints.Address, callers: int, enough: int) -> tuple[list[bytes], list[str]]:
    answers: list[bytes] = []
    failures: list[str] = []

    def answered(given: wire.Answer) -> bytes:
        answers.append(given.body)
        return b"GET / HTTP/1.1\r\n\r\n"

    def failed(error: wire.WireError) -> bytes:
        failures.append(str(error))
        return b"GET / HTTP/1.1\r\n\r\n"

    driven = [wire.Caller(wire.Connection(address), answered, failed) for _ in range(callers)]
    for caller in driven:
        caller.send(b"GET / HTTP/1.1\r\n\r\n")
    wire.drive(driven, lambda: len(answers) + len(failures) >= enough)
    assert not any(caller.in_flight for caller in driven)
    for caller in driven:
        caller.connection.close()
    return answers, failures


def test_callers_ask_again_until_it_is_enough_and_the_last_answers_are_waited_for() -> None:
    seen: list[int] = []

    def serve(connection: socket.socket, number: int) -> None:
        while connection.recv(1 << 16):
            seen.append(number)
            connection.sendall(answer(str(number).encode()))

    with server(serve) as address:
        answers, failures = drive(address, callers=4, enough=100)
    assert not failures
    assert len(answers) == len(seen)
    assert 100 <= len(answers) <= 100 + 2 * 4  # the last turn of the loop, and what was in flight
    assert set(answers) == {b"0", b"1", b"2", b"3"}


def test_a_broken_connection_counts_once_and_is_replaced() -> None:
    def serve(connection: socket.socket, number: int) -> None:
        served = 0
        while connection.recv(1 << 16):
            served += 1
            if number == 0 and served == 3:
                connection.shutdown(socket.SHUT_RDWR)
                return
            connection.sendall(answer(b"ok"))

    with server(serve) as address:
        answers, failures = drive(address, callers=1, enough=20)
    assert len(failures) == 1
    assert "closed before the answer" in failures[0]
    assert len(answers) >= 19


def test_an_answer_that_never_comes_counts_as_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "PATIENCE", 0.3)

    def serve(connection: socket.socket, number: int) -> None:
        while connection.recv(1 << 16):
            if number:
                connection.sendall(answer(b"ok"))

    with server(serve) as address:
        answers, failures = drive(address, callers=1, enough=5)
    assert failures == [f"{address}: no answer in 0.3 s"]
    assert len(answers) >= 4
