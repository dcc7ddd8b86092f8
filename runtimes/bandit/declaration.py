"""`BanditPolicy`: who owns an experiment's weights, and by what rule they move.

snake_case inside, camelCase in manifests; unknown keys are refused.
"""

import datetime as dt
import re
from typing import Annotated, Any, Literal

import pydantic
from pydantic.alias_generators import to_camel

GROUP = "bandits.bellwether.dev"
VERSION = "v1alpha1"
API_VERSION: Literal["bandits.bellwether.dev/v1alpha1"] = "bandits.bellwether.dev/v1alpha1"
KIND = "BanditPolicy"
PLURAL = "banditpolicies"

_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:[0-9]+(?:ms|s|m|h|d))+")
_PART = re.compile(r"([0-9]+)(ms|s|m|h|d)")


def _duration(given: Any) -> Any:
    if isinstance(given, dt.timedelta):
        return given
    if not isinstance(given, str) or not _DURATION.fullmatch(given):
        raise ValueError('a duration is written as in "5m", "1h30m" or "500ms"')
    return dt.timedelta(
        seconds=sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(given))
    )


def _written(duration: dt.timedelta) -> str:
    milliseconds = round(duration.total_seconds() * 1e3)
    parts = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, milliseconds = divmod(milliseconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


Duration = Annotated[
    dt.timedelta,
    pydantic.BeforeValidator(_duration),
    pydantic.PlainSerializer(_written, return_type=str),
    pydantic.WithJsonSchema({"type": "string", "pattern": f"^{_DURATION.pattern}$"}),
]
"""Written as Kubernetes writes durations: `5m`, `1h30m`, `500ms`."""

PositiveDuration = Annotated[Duration, pydantic.Field(gt=dt.timedelta(0))]
Share = Annotated[float, pydantic.Field(ge=0, le=1)]


class Part(pydantic.BaseModel):
    """A part of the manifest: frozen, camelCase outside, unknown fields and NaN refused."""

    model_config = pydantic.ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        allow_inf_nan=False,
    )
