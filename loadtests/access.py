"""How a gateway is reached: plain or with TLS, under another host's name, with a token.

The token is in the environment (`TOKEN`), so that no command line, plan or report has it.
"""

import dataclasses
import ipaddress
import os
import ssl
import urllib.parse
from collections.abc import Mapping
from typing import Any

import grpc
import httpx

from loadtests import endpoints

TOKEN = "BELLWETHER_LOAD_TOKEN"  # noqa: S105  the variable's name
"""The environment variable whose content is sent as `authorization: Bearer …`."""

PATIENCE = 10.0
"""Seconds after which an answer that has not come counts as failed."""

_PORTS = {"http": 80, "https": 443}
_UNLIMITED = (("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1))


@dataclasses.dataclass(frozen=True, slots=True)
class Access:
    """A gateway's base URL, and what callers have to say to it."""

    url: str
    host: str | None = None
    """The name to ask for instead of the URL's: as `host` or `:authority`, and from TLS."""
    ca_file: str | None = None
    """Certificates (PEM) to trust instead of the system's."""

    def check(self) -> None:
        """Raise `LoadTestError` for what cannot work, or would give the token away."""
        parts = urllib.parse.urlsplit(self.url)
        try:
            known = parts.scheme in _PORTS and parts.hostname and parts.port != 0
        except ValueError:
            known = False
        if not known or parts.username or parts.path.strip("/") or parts.query:
            raise endpoints.LoadTestError(
                f"{self.url!r} is not a gateway's address; expected http://host:port or "
                "https://host:port"
            )
        if self.ca_file is not None:
            if not self.secure:
                raise endpoints.LoadTestError(
                    f"{self.url} has no TLS, so there is nothing to check by {self.ca_file}"
                )
            self._trusted()
        if token() and not self.secure and not _on_this_machine(parts.hostname or ""):
            raise endpoints.LoadTestError(
                f"{TOKEN} is set, and {self.url} has no TLS: everybody on the way would read the "
                f"token; give an https:// address, or unset {TOKEN}"
            )

    @property
    def secure(self) -> bool:
        """Whether it is TLS."""
        return urllib.parse.urlsplit(self.url).scheme == "https"

    @property
    def address(self) -> str:
        """Return `host:port`."""
        parts = urllib.parse.urlsplit(self.url)
        host = parts.hostname or ""
        return f"{f'[{host}]' if ':' in host else host}:{parts.port or _PORTS[parts.scheme]}"

    def headers(self) -> dict[str, str]:
        """Return what every REST request has."""
        named = {"host": self.host} if self.host else {}
        return named | self.authorization()

    def authorization(self) -> dict[str, str]:
        """Return the token's header; none without a token."""
        given = token()
        return {"authorization": f"Bearer {given}"} if given else {}

    def context(self) -> ssl.SSLContext:
        """Return what checks the server's certificate."""
        return ssl.create_default_context(cafile=self.ca_file)

    def post(self, path: str, headers: Mapping[str, str], body: bytes) -> httpx.Response:
        """Send one REST request; raises `httpx.TransportError`."""
        with httpx.Client(
            base_url=self.url, timeout=PATIENCE, verify=self.context() if self.secure else True
        ) as client:
            return client.post(
                path,
                headers=self.headers() | dict(headers),
                content=body,
                extensions={"sni_hostname": self.host} if self.host and self.secure else {},
            )

    def channel(self) -> Any:
        """Open a gRPC channel."""
        options = list(_UNLIMITED)
        if self.host:
            options.append(("grpc.default_authority", self.host))  # type: ignore[arg-type]
        if not self.secure:
            return grpc.insecure_channel(self.address, options=options)
        if self.host:
            options.append(("grpc.ssl_target_name_override", self.host))  # type: ignore[arg-type]
        credentials = grpc.ssl_channel_credentials(self._trusted())
        return grpc.secure_channel(self.address, credentials, options=options)

    def _trusted(self) -> bytes | None:
        if self.ca_file is None:
            return None
        try:
            with open(self.ca_file, "rb") as file:  # noqa: PTH123  a name, as it was given
                content = file.read()
            ssl.create_default_context(cadata=content.decode())
        except (OSError, ValueError) as error:  # SSLError is an OSError
            raise endpoints.LoadTestError(
                f"{self.ca_file} gives no certificates in PEM: {error}"
            ) from error
        return content


def token() -> str | None:
    """Return the token, None without one."""
    return os.environ.get(TOKEN) or None


def _on_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
