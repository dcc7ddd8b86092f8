"""What `parameters.extra` of a decision may say: the business rules, from configuration."""

import pydantic

from runtimes.contract import step

from . import rules

_USUAL = rules.Limits()
_LARGEST_TARGET = 2.0
_LARGEST_POSITION = 10.0


class Settings(step.Settings):
    """A decision's settings. Shares are of 1: 0.1 is 10 %."""

    target_volatility: float = pydantic.Field(
        default=_USUAL.target_volatility,
        description="Annualised volatility that a position is sized for.",
    )
    largest_position: float = pydantic.Field(
        default=_USUAL.largest_position,
        description="Most that a position may be, as a share of wealth.",
    )
    minimum_confidence: float = pydantic.Field(
        default=_USUAL.minimum_confidence,
        description="Confidence below which there is no position.",
    )
    fallback_share: float = pydantic.Field(
        default=_USUAL.fallback_share,
        description="Most that a position on the fallback's word may be, of largest_position.",
    )
    maximum_anomaly: float = pydantic.Field(
        default=_USUAL.maximum_anomaly,
        description="Anomaly score above which there is no position.",
    )
    maximum_drift: float = pydantic.Field(
        default=_USUAL.maximum_drift, description="Drift score above which there is no position."
    )
    blocked_symbols: str = pydantic.Field(
        default="",
        description="Symbols that get no position, separated by commas, in either case.",
    )

    @pydantic.field_validator("target_volatility")
    @classmethod
    def _is_a_volatility(cls, value: float) -> float:
        if not 0 < value <= _LARGEST_TARGET:
            raise ValueError(
                f"has to lie above 0 and be at most {_LARGEST_TARGET:g}, as a share of 1: "
                "write 0.1 for 10 % a year"
            )
        return value

    @pydantic.field_validator("largest_position")
    @classmethod
    def _is_a_position(cls, value: float) -> float:
        if not 0 < value <= _LARGEST_POSITION:
            raise ValueError(
                f"has to lie above 0 and be at most {_LARGEST_POSITION:g}, as a share of wealth: "
                "write 1 for all of it; to take no position, block the symbols"
            )
        return value

    @pydantic.field_validator(
        "minimum_confidence", "fallback_share", "maximum_anomaly", "maximum_drift"
    )
    @classmethod
    def _is_a_share(cls, value: float) -> float:
        if not 0 <= value <= 1:
            raise ValueError("has to lie between 0 and 1")
        return value

    @pydantic.field_validator("blocked_symbols")
    @classmethod
    def _are_symbols(cls, value: str) -> str:
        if value.strip() and not all(part.strip() for part in value.split(",")):
            raise ValueError("has an empty name between two commas: write them as SPX,WTI")
        return value

    def limits(self) -> rules.Limits:
        """Give them as the rules take them."""
        names = self.blocked_symbols.split(",")
        return rules.Limits(
            **self.model_dump(exclude={"blocked_symbols"}),
            blocked=frozenset(name.strip().upper() for name in names if name.strip()),
        )
