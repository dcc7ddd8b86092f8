"""Where Kafka and Valkey are, as settings say it: `host:port`."""

import re
from typing import Annotated

import pydantic

_ADDRESS = re.compile(r"(?P<host>[^:\s]+):(?P<port>\d{1,5})")
_LAST_PORT = 65535


def _checked(value: str) -> str:
    match = _ADDRESS.fullmatch(value)
    if match is None or not 0 < int(match["port"]) <= _LAST_PORT:
        raise ValueError("expected host:port, such as 127.0.0.1:6379")
    return value


Address = Annotated[str, pydantic.AfterValidator(_checked)]
"""`host:port`."""


def split(address: str) -> tuple[str, int]:
    """Give host and port."""
    host, _, port = address.rpartition(":")
    return host, int(port)
