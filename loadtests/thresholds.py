"""Limits that fail a load test: read from `thresholds.yaml`, typed, unknown keys refused."""

import dataclasses
import enum
import pathlib
from typing import Annotated, Self

import pydantic
import yaml

from loadtests import endpoints

PATH = pathlib.Path(__file__).with_name("thresholds.yaml")


class Journey(enum.StrEnum):
    """What users do: ask each predictor, or the experiment, or half and half."""

    MODELS = "models"
    EXPERIMENT = "experiment"
    MIXED = "mixed"

    @property
    def parts(self) -> tuple["Journey", ...]:
        """The journeys that are measured: both of a mixed one."""
        return (Journey.MODELS, Journey.EXPERIMENT) if self is Journey.MIXED else (self,)


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
        description="The least requests/s, as a share of those offered: users times rate."
    )
    split_p: _Share | None = pydantic.Field(
        default=None,
        description="The least p-value of the split over the arms against the declared weights.",
    )

    @pydantic.model_validator(mode="after")
    def _percentiles_rise(self) -> Self:
        if not self.p50_ms <= self.p95_ms <= self.p99_ms:
            raise ValueError("p50_ms, p95_ms and p99_ms have to rise in this order")
        return self


class _File(pydantic.RootModel[dict[str, dict[Journey, Limits]]]):
    pass


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """One limit, what was measured, and whether it holds; None where it could not be tested."""

    journey: str
    measure: str
    limit: str
    measured: str
    holds: bool | None


def read(stack: str, path: pathlib.Path = PATH) -> dict[Journey, Limits]:
    """Return a stack's limits; raises `LoadTestError` naming what is wrong in the file."""
    try:
        document = yaml.safe_load(path.read_text())
        stacks = _File.model_validate(document).root
    except yaml.YAMLError as error:
        raise endpoints.LoadTestError(f"{path} is no YAML: {error}") from error
    except pydantic.ValidationError as error:
        wrong = "\n".join(
            f"  {'.'.join(map(str, detail['loc']))}: {detail['msg']}, got {detail['input']!r}"
            for detail in error.errors()
        )
        raise endpoints.LoadTestError(f"{path} is wrong:\n{wrong}") from error
    if stack not in stacks:
        raise endpoints.LoadTestError(
            f"{path} has no thresholds for the stack {stack!r}, only for {', '.join(stacks)}; "
            "add a section with its name"
        )
    missing = [part for part in Journey.MIXED.parts if part not in stacks[stack]]
    if missing:
        raise endpoints.LoadTestError(
            f"{path}: the stack {stack!r} lacks the journey {missing[0].value!r}"
        )
    return stacks[stack]
