"""How sure a forecast is: reads what was learnt from forecasts that were tried on later days.

Confidence is the probability that the volatility of the next five days comes out within
`factor` of the forecast, above or below: with 1.5, between two thirds of it and half as much again.
It is a logistic regression (Cox 1958) on the logarithm of the interval's width, with an offset for
the regime and one for the model:
`p = 1 / (1 + exp(-(intercept + log_width * ln(ln(upper / lower)) + regime + model)))`.
`log_width` is never above 0: a wider interval is never surer.
"""

import math
import pathlib
from typing import Annotated

import pydantic

DOCUMENT = "calibration.json"
SCHEMA = 1

Number = Annotated[float, pydantic.Field(allow_inf_nan=False)]
Share = Annotated[float, pydantic.Field(ge=0, le=1)]
Positive = Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]


class CalibrationError(Exception):
    """A calibration is missing, damaged, or of a schema that this code does not read."""


class _Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Range(_Part):
    """The smallest and the largest value that was seen."""

    lowest: Positive
    highest: Positive

    @pydantic.model_validator(mode="after")
    def _ascends(self) -> "Range":
        if self.lowest > self.highest:
            raise ValueError(f"lowest {self.lowest} is above highest {self.highest}")
        return self

    def clip(self, value: float) -> float:
        """Give the nearest value that was seen."""
        return min(max(value, self.lowest), self.highest)


class Model(_Part):
    """One model that the calibration was learnt of."""

    offset: Number
    artifacts: tuple[str, ...]
    """How an answer may name the artifact: by its folder's digest, or its manifest's."""


class Calibration(_Part):
    """What `calibration.json` says."""

    version: int = pydantic.Field(alias="schema")
    factor: float = pydantic.Field(gt=1, allow_inf_nan=False)
    horizon_days: int
    intercept: Number
    log_width: float = pydantic.Field(le=0, allow_inf_nan=False)
    regimes: dict[str, Number]
    models: dict[str, Model] = pydantic.Field(min_length=1)
    symbols: tuple[str, ...]
    unseen_symbol: Share
    """What the confidence for a symbol that is none of `symbols` is multiplied with."""
    width: Range
    """Of `ln(upper / lower)`."""
    volatility: Range
    fallback: Share
    """Confidence of the fallback, the symbol's usual volatility, whatever the day."""

    @property
    def least_offset(self) -> float:
        """The offset of the model that was least sure."""
        return min(model.offset for model in self.models.values())

    def probability(self, width: float, regime: str, offset: float) -> float:
        """Give the confidence for an interval's `width`, `ln(upper / lower)`."""
        odds = self.intercept + self.regimes[regime] + offset
        odds += self.log_width * math.log(self.width.clip(width))
        return 1 / (1 + math.exp(-odds))


def load(folder: pathlib.Path) -> Calibration:
    """Read the calibration in `folder`; raise CalibrationError with the reason and the remedy."""
    path = folder / DOCUMENT
    try:
        found = Calibration.model_validate_json(path.read_bytes())
    except OSError as error:
        raise CalibrationError(
            f"{path}: cannot be read ({error.strerror}); `bellwether train` writes it"
        ) from error
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        raise CalibrationError(
            f"{path}: {'.'.join(map(str, first['loc'])) or 'the document'}: {first['msg']}; "
            "remove the folder and run `bellwether train`"
        ) from error
    if found.version != SCHEMA:
        raise CalibrationError(
            f"{path}: has schema {found.version}, this decision reads {SCHEMA}: "
            "train again with this version"
        )
    return found
