"""What the monitor is told: one JSON file."""

import pathlib
from typing import Annotated

import pydantic

from runtimes.contract import addresses, configuration

Positive = Annotated[float, pydantic.Field(gt=0)]


class Settings(pydantic.BaseModel):
    """`CONFIG.json` of `python -m runtimes.monitor`."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    kafka: addresses.Address = pydantic.Field(description="host:port of the broker")
    folder: pathlib.Path = pydantic.Field(description="where the files are kept")
    bars: pathlib.Path = pydantic.Field(
        description="bars.npz of the enrichment's artifact: closes from before the first record"
    )
    port: int = pydantic.Field(ge=1, le=65535, description="GET /ready, /metrics and the API")
    host: str = pydantic.Field(default="127.0.0.1", description="what to listen on")
    namespace: str = pydantic.Field(default="bellwether", description="of the Seldon objects")
    pipeline: str = pydantic.Field(
        default="financial-prediction-pipeline", description="whose predictions are watched"
    )
    group: str = pydantic.Field(default="bellwether-monitor", description="the consumer group")
    flush_seconds: Positive = pydantic.Field(
        default=2.0, description="after so long, what was read is in a file"
    )
    retention_days: Positive = pydantic.Field(
        default=400.0, description="files whose records are all older are taken away"
    )
    window_days: int = pydantic.Field(
        default=252, ge=5, le=10_000, description="days of the market in the longest window"
    )


def read(path: pathlib.Path) -> Settings:
    """Read the file; raise `configuration.ConfigurationError` that names all that is wrong in it."""
    return configuration.read(path, Settings)
