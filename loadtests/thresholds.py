"""Limits that fail a load test: read from `thresholds/<stack>.yaml`, typed, unknown keys refused."""

import dataclasses
import pathlib
from typing import Annotated, Self

import pydantic
import yaml

from loadtests import endpoints, itinerary

FOLDER = pathlib.Path(__file__).with_name("thresholds")

_Share = Annotated[float, pydantic.Field(ge=0, le=1)]
_Milliseconds = Annotated[float, pydantic.Field(gt=0)]


class Limits(pydantic.BaseModel):
    """The limits of one journey."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    error_rate: _Share = pydantic.Field(description="The most failed requests, as a share.")
    p50_ms: _Milliseconds
    p95_ms: _Milliseconds
    p99_ms: _Milliseconds
    offered_share: _Share = pydantic.Field(
        description="The least requests/s, as a share of those that were due."
    )
    split_p: _Share | None = pydantic.Field(
        default=None,
        description="The least p-value of the split over the arms against the declared weights.",
    )
    peak_p99_ms: _Milliseconds | None = pydantic.Field(
        default=None,
        description="The 99th percentile during a spike; the others hold before and after it.",
    )
    growth: Annotated[float, pydantic.Field(gt=1)] | None = pydantic.Field(
        default=None,
        description="How many times its first third's median a soak's last third's may be.",
    )

    @pydantic.model_validator(mode="after")
    def _percentiles_rise(self) -> Self:
        if not self.p50_ms <= self.p95_ms <= self.p99_ms:
            raise ValueError("p50_ms, p95_ms and p99_ms have to rise in this order")
        return self


Stack = dict[itinerary.Journey, Limits]


class _File(pydantic.RootModel[Stack]):
    pass


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """One limit, what was measured, and whether it holds; None where it could not be tested."""

    journey: str
    measure: str
    limit: str
    measured: str
    holds: bool | None


def read(stack: str, folder: pathlib.Path = FOLDER) -> Stack:
    """Return a stack's limits; raises `LoadTestError` naming what is wrong in its file."""
    path = folder / f"{stack}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(each.stem for each in folder.glob("*.yaml"))) or "none"
        raise endpoints.LoadTestError(
            f"there are no thresholds for the stack {stack!r}, only for {known}; write {path}"
        )
    try:
        limits = _File.model_validate(yaml.safe_load(path.read_text())).root
    except yaml.YAMLError as error:
        raise endpoints.LoadTestError(f"{path} is no YAML: {error}") from error
    except pydantic.ValidationError as error:
        wrong = "\n".join(
            f"  {'.'.join(map(str, detail['loc']))}: {detail['msg']}, got {detail['input']!r}"
            for detail in error.errors()
        )
        raise endpoints.LoadTestError(f"{path} is wrong:\n{wrong}") from error
    missing = [part for part in itinerary.Journey.MIXED.parts if part not in limits]
    if missing:
        raise endpoints.LoadTestError(f"{path} lacks the journey {missing[0].value!r}")
    if itinerary.Journey.MIXED in limits:
        raise endpoints.LoadTestError(f"{path}: a mixed journey has the limits of its parts")
    return limits
