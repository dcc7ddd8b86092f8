"""Readiness probes: they ask a process whether it serves."""

import http.client
import socket
import typing
import urllib.error
import urllib.request

import pydantic

_TIMEOUT_SECONDS = 2.0


class HttpProbe(pydantic.BaseModel):
    """Ready when `url` answers 200."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    url: str = pydantic.Field(pattern=r"^http://127\.0\.0\.1:\d+/")

    def failure(self) -> str | None:
        """Say why the process is not ready, or None if it is."""
        try:
            with urllib.request.urlopen(self.url, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310  the pattern allows http on loopback alone
                return None if answer.status == 200 else f"{self.url} answers {answer.status}"  # noqa: PLR2004  HTTP's OK
        except urllib.error.HTTPError as error:
            return f"{self.url} answers {error.code}"
        except (OSError, http.client.HTTPException) as error:
            return f"{self.url}: {getattr(error, 'reason', error)}"


class TcpProbe(pydantic.BaseModel):
    """Ready when `port` accepts a connection and, if `send` is given, answers with `expect`."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    port: int = pydantic.Field(ge=1, le=65535)
    send: str = ""
    expect: str = ""

    def failure(self) -> str | None:
        """Say why the process is not ready, or None if it is."""
        where = f"127.0.0.1:{self.port}"
        try:
            with socket.create_connection(("127.0.0.1", self.port), _TIMEOUT_SECONDS) as connection:
                if not self.send:
                    return None
                connection.sendall(self.send.encode())
                answer = connection.recv(256).decode(errors="replace")
        except OSError as error:
            return f"{where}: {error}"
        return None if answer.startswith(self.expect) else f"{where} answers {answer.strip()!r}"


Probe = typing.Union[HttpProbe, TcpProbe]  # noqa: UP007  pydantic shows it by this name in errors
