"""Credentials of Kafka and Valkey, from files that the environment names; nothing where none is.

| variable | meaning |
|---|---|
| `BELLWETHER_KAFKA_AUTHORITY_FILE` | certificates of who signs the brokers' (PEM) |
| `BELLWETHER_KAFKA_CERTIFICATE_FILE`, `BELLWETHER_KAFKA_KEY_FILE` | the client's own: mutual TLS |
| `BELLWETHER_KAFKA_SASL_USERNAME`, `BELLWETHER_KAFKA_SASL_PASSWORD_FILE` | or SCRAM-SHA-512 over TLS |
| `BELLWETHER_VALKEY_PASSWORD_FILE` | Valkey's password |
| `BELLWETHER_VALKEY_TLS` | `true`: Valkey is spoken to over TLS |

Secrets are read from files each time a connection is made, so that a rotated one is used at the next.
"""

import os
import pathlib
import ssl
from typing import Any


class CredentialsError(Exception):
    """Credentials are named that cannot be used; the message says which variable and why."""


def kafka() -> dict[str, Any]:
    """Give librdkafka's options; none where Kafka is spoken to in plain.

    Raises:
        CredentialsError: a file is missing, or one of two variables that need each other.

    """
    username = os.environ.get("BELLWETHER_KAFKA_SASL_USERNAME")
    authority = _file("BELLWETHER_KAFKA_AUTHORITY_FILE")
    trusted = {} if authority is None else {"ssl.ca.location": str(authority)}
    if username is not None:
        password = _file("BELLWETHER_KAFKA_SASL_PASSWORD_FILE")
        if password is None:
            raise CredentialsError(
                "BELLWETHER_KAFKA_SASL_USERNAME is set without BELLWETHER_KAFKA_SASL_PASSWORD_FILE"
            )
        return {
            **trusted,
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": username,
            "sasl.password": password.read_text().strip(),
        }
    if authority is None:
        return {}
    certificate = _file("BELLWETHER_KAFKA_CERTIFICATE_FILE")
    key = _file("BELLWETHER_KAFKA_KEY_FILE")
    if (certificate is None) != (key is None):
        raise CredentialsError(
            "BELLWETHER_KAFKA_CERTIFICATE_FILE and BELLWETHER_KAFKA_KEY_FILE need each other"
        )
    own = {"ssl.certificate.location": str(certificate), "ssl.key.location": str(key)}
    return {"security.protocol": "SSL", **trusted, **(own if certificate is not None else {})}


def valkey_password() -> str | None:
    """Give Valkey's password, if it has one.

    Raises:
        CredentialsError: its file is missing.

    """
    path = _file("BELLWETHER_VALKEY_PASSWORD_FILE")
    return None if path is None else path.read_text().strip()


def valkey_tls() -> ssl.SSLContext | None:
    """Give what TLS to Valkey needs, if it is spoken to so."""
    return ssl.create_default_context() if _flag("BELLWETHER_VALKEY_TLS") else None


def valkey() -> dict[str, Any]:
    """Give redis-py's arguments beside host and port.

    Raises:
        CredentialsError: as `valkey_password`.

    """
    password = valkey_password()
    found: dict[str, Any] = {} if password is None else {"password": password}
    return {**found, "ssl": True} if _flag("BELLWETHER_VALKEY_TLS") else found


def _flag(variable: str) -> bool:
    value = os.environ.get(variable, "false")
    if value not in {"true", "false"}:
        raise CredentialsError(f"{variable} is {value!r}: it is `true` or `false`")
    return value == "true"


def _file(variable: str) -> pathlib.Path | None:
    value = os.environ.get(variable)
    if value is None:
        return None
    path = pathlib.Path(value)
    if not path.is_file():
        raise CredentialsError(f"{variable} names {path}, which is no file")
    return path
