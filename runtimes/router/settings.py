"""What `parameters.extra` of a router may say, refused with the remedy where it makes no sense."""

import re
from typing import Literal, Self

import pydantic

from runtimes.contract import addresses, bandits, regimes, step

_FEWEST_DAYS = 2
_TOO_MUCH = {"volatility_threshold": 10.0, "trend_threshold": 1.0}
"""A threshold of so much is one in percent, and would never be reached."""

_BOOTSTRAP = re.compile(r"[^\s,:]+:\d+(,[^\s,:]+:\d+)*")


class Settings(step.Settings):
    """A router's settings."""

    volatility_threshold: float = pydantic.Field(
        default=regimes.VOLATILITY_THRESHOLD,
        description="Annualised volatility above which a market is volatile: 0.3 is 30 % a year.",
    )
    trend_threshold: float = pydantic.Field(
        default=regimes.TREND_THRESHOLD,
        description="Return over the window beyond which a market rises or falls: 0.02 is 2 %.",
    )
    history_days: int | None = pydantic.Field(
        default=None,
        ge=1,
        description="Days in the models' history, from the artifact: the longest window.",
    )
    window_days: int = pydantic.Field(
        default=regimes.DAYS, description="Newest days of which volatility and trend are taken."
    )
    hysteresis: float = pydantic.Field(
        default=0.0,
        description="Share of a threshold that a measure has to move back to leave a regime.",
    )
    kafka: str | None = pydantic.Field(
        default=None, description="Where choices are recorded, host:port; nowhere without it."
    )
    policy: Literal["thresholds", "contextual"] = pydantic.Field(
        default="thresholds",
        description="What chooses: the thresholds' rule, or a contextual bandit's policy.",
    )
    valkey: addresses.Address | None = pydantic.Field(
        default=None, description="Where a contextual policy's state is, host:port."
    )
    experiment: bandits.Name | None = pydantic.Field(
        default=None,
        description="What a contextual BanditPolicy names as its experiment; the router's own "
        "name if it is left out.",
    )

    @pydantic.field_validator("volatility_threshold", "trend_threshold")
    @classmethod
    def _is_a_share(cls, value: float, info: pydantic.ValidationInfo) -> float:
        limit = _TOO_MUCH[str(info.field_name)]
        if not 0 < value < limit:
            raise ValueError(
                f"has to lie above 0 and below {limit:g}, as a share of 1: write 0.3 for 30 %"
            )
        return value

    @pydantic.field_validator("window_days")
    @classmethod
    def _fits_the_history(cls, value: int, info: pydantic.ValidationInfo) -> int:
        if value < _FEWEST_DAYS:
            raise ValueError(f"has to be at least {_FEWEST_DAYS} days; {regimes.DAYS} are usual")
        days = info.data.get("history_days")
        if days is not None and value > days:
            raise ValueError(
                f"is longer than the {days} days of the models' history: set at most {days}; "
                f"{regimes.DAYS} are usual"
            )
        return value

    @pydantic.field_validator("hysteresis")
    @classmethod
    def _is_below_one(cls, value: float) -> float:
        if not 0 <= value < 1:
            raise ValueError(
                "has to be at least 0 (off) and below 1: with 0.1 a symbol leaves its regime "
                "once the measure is a tenth below the threshold"
            )
        return value

    @pydantic.field_validator("kafka")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is not None and not _BOOTSTRAP.fullmatch(value):
            raise ValueError("has to be host:port; leave it out for no records")
        return value

    @pydantic.model_validator(mode="after")
    def _has_what_the_policy_needs(self) -> Self:
        if self.policy == "contextual":
            missing = [name for name in ("valkey", "kafka") if getattr(self, name) is None]
            if missing:
                raise ValueError(
                    f"policy contextual needs {' and '.join(missing)}: its state is read from "
                    "Valkey, and it learns from the decisions in Kafka; set host:port, or take "
                    "policy thresholds"
                )
        return self
