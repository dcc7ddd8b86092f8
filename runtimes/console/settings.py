"""What the console is told: one JSON file."""

import pathlib
from typing import Annotated

import pydantic

from runtimes.contract import addresses, configuration

Url = Annotated[str, pydantic.StringConstraints(pattern=r"^https?://[^/\s]+$")]
"""Scheme, host and port, without a path."""

SERVICE_ACCOUNT = pathlib.Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds the API server's certificate and its token."""


class Settings(pydantic.BaseModel):
    """`CONFIG.json` of `python -m runtimes.console`."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    gateway: Url = pydantic.Field(description="where predictions are asked for")
    api: Url = pydantic.Field(description="the API server: the mesh's, or Kubernetes' own")
    kafka: addresses.Address = pydantic.Field(description="host:port of the broker")
    valkey: addresses.Address = pydantic.Field(description="host:port of Valkey")
    prometheus: Url = pydantic.Field(description="the server of metrics")
    monitor: Url | None = pydantic.Field(default=None, description="the monitor's HTTP API")
    namespace: str = pydantic.Field(default="bellwether", description="of the Seldon objects")
    service_account: pathlib.Path = pydantic.Field(
        default=SERVICE_ACCOUNT,
        description="folder of `token` and `ca.crt`; what is missing there is not used",
    )
    pipeline: str = pydantic.Field(
        default="financial-prediction-pipeline", description="whose predictions are shown"
    )
    explainer: str = pydantic.Field(
        default="explanations", description="the model that explains on demand"
    )
    host: str = pydantic.Field(default="127.0.0.1", description="what to listen on")
    port: int = pydantic.Field(ge=1, le=65535, description="where the console is")


def read(path: pathlib.Path) -> Settings:
    """Read the file; raise `configuration.ConfigurationError` that names all that is wrong in it."""
    return configuration.read(path, Settings)
