"""What the drift watcher's configuration file may say."""

import pathlib

import pydantic

from runtimes.contract import addresses


class Settings(pydantic.BaseModel):
    """`CONFIG.json` of `python -m runtimes.guard.drift`."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    kafka: addresses.Address = pydantic.Field(description="host:port of the broker")
    valkey: addresses.Address = pydantic.Field(description="host:port of Valkey")
    artifact: pathlib.Path = pydantic.Field(description="the folder of the guard's artifact")
    port: int = pydantic.Field(
        ge=1, le=65535, description="on 127.0.0.1: GET /metrics and GET /ready"
    )
    requests: str = pydantic.Field(
        default="feature-monitoring", description="the topic of enriched requests"
    )
    alerts: str = pydantic.Field(default="drift", description="the topic of alerts")
    group: str = pydantic.Field(default="bellwether-drift", description="the consumer group")
    threshold: float = pydantic.Field(
        default=0.5, gt=0.0, le=1.0, description="a score above it is told"
    )
    ends_below: float = pydantic.Field(
        default=0.4, ge=0.0, le=1.0, description="a score below it ends the episode"
    )
    repeat_seconds: float = pydantic.Field(
        default=3600.0, gt=0.0, description="an episode that lasts is told again after so long"
    )
    evaluate_seconds: float = pydantic.Field(
        default=0.25, gt=0.0, le=10.0, description="between two evaluations"
    )
    heartbeat_seconds: float = pydantic.Field(
        default=1.0, gt=0.0, le=60.0, description="scores are written at least so often"
    )

    @pydantic.model_validator(mode="after")
    def _in_order(self) -> "Settings":
        if self.ends_below > self.threshold:
            raise ValueError(
                f"ends_below {self.ends_below} is above the threshold {self.threshold}: "
                "an episode would end as it begins; set it to the threshold or less"
            )
        return self
