"""What the controller is told: one JSON file."""

import pathlib
import socket
from typing import Annotated

import pydantic

from runtimes.contract import configuration

Port = Annotated[int, pydantic.Field(ge=1, le=65535)]

SERVICE_ACCOUNT = pathlib.Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds the API server's certificate, its token and its namespace."""


class Settings(pydantic.BaseModel):
    """Addresses as `host:port` or as URLs; times in seconds."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    kafka: str
    valkey: str
    api: str = "https://kubernetes.default.svc"
    """The API server: the mesh's, or Kubernetes' own."""
    namespace: str = "bellwether"
    service_account: pathlib.Path = SERVICE_ACCOUNT
    """Folder of `token` and `ca.crt`; what is missing there is not used."""
    port: Port = 9050
    """Readiness and metrics, on 127.0.0.1 unless `host` says otherwise."""
    host: str = "127.0.0.1"
    envoy: str | None = None
    """Envoy's admin interface, whose counters the guardrails read."""
    prometheus: str | None = None
    """Or the Prometheus that has scraped them."""
    gateway: str | None = None
    """Where an arm without traffic is asked whether it has healed."""
    max_decisions: int = pydantic.Field(10_000_000, ge=1000)
    """How many decisions are remembered while they wait for rewards, 18 bytes each."""
    lease: str | None = None
    """Name of the Lease at the API server by which one of several controllers leads.

    Without it, each policy has a lease of its own in Valkey alone.
    """
    lease_seconds: float = pydantic.Field(10.0, gt=0.5)
    """How long a controller that has died keeps others from its policies."""
    holder: str = ""
    """Who this controller is: the same after a restart, another one elsewhere."""

    @property
    def identity(self) -> str:
        """Who holds a lease."""
        return self.holder or f"{socket.gethostname()}:{self.port}"


def read(path: pathlib.Path) -> Settings:
    """Read the file; raise `configuration.ConfigurationError` that names all that is wrong in it."""
    return configuration.read(path, Settings)
