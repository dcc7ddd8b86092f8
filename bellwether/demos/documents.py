"""Explanations as the model `explanations` writes them: what of them the demo reads."""

import enum

import pydantic

from bellwether import demos


class Method(enum.StrEnum):
    """What a demo's `--method` may be."""

    SHAP = "shap"
    LIME = "lime"
    COUNTERFACTUAL = "counterfactual"


class _Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True)


class Identity(_Part):
    """Which model was explained."""

    name: str
    artifact: str


class Contribution(_Part):
    """One feature's part of an output."""

    feature: str
    value: float
    unit: str
    contribution: float
    effect_percent: float


class Shap(_Part):
    """Contributions that add up: `base_value + sum == output`, in logarithms of volatility."""

    model: Identity
    method: str
    milliseconds: float
    base_value: float
    output: float
    attributions: tuple[Contribution, ...]
    rest: float
    completeness_error: float
    confidence: float

    @property
    def gap(self) -> float:
        """By how much the contributions miss the output, computed here."""
        total = self.base_value + sum(each.contribution for each in self.attributions) + self.rest
        return abs(total - self.output)

    def weights(self) -> dict[str, float]:
        """Give each feature's contribution."""
        return {each.feature: each.contribution for each in self.attributions}


class Weight(_Part):
    """One feature's slope in a line near the day."""

    feature: str
    value: float
    unit: str
    weight: float


class Lime(_Part):
    """A line that is true near the day, and how true (`r_squared`)."""

    model: Identity
    milliseconds: float
    output: float
    output_of_line: float
    r_squared: float
    attributions: tuple[Weight, ...]

    def weights(self) -> dict[str, float]:
        """Give each feature's weight."""
        return {each.feature: each.weight for each in self.attributions}


class Change(_Part):
    """What a counterfactual changes."""

    name: str = pydantic.Field(validation_alias=pydantic.AliasChoices("feature", "what"))
    before: float = pydantic.Field(validation_alias="from")
    after: float = pydantic.Field(validation_alias="to")
    unit: str


class Outputs(_Part):
    """A forecast."""

    volatility: float
    direction: float


class Counterfactual(_Part):
    """One wish, and the smallest change of today that fulfils it, if there is one."""

    wish: str
    found: bool
    reason: str = ""
    distance: float | None = None
    before: Outputs | None = None
    after: Outputs | None = None
    chosen: tuple[Change, ...] = ()
    changes: tuple[Change, ...] = ()
    features: tuple[float, ...] = ()
    history_last_day: tuple[float, ...] = ()


class Counterfactuals(_Part):
    """All wishes of a day."""

    model: Identity
    milliseconds: float
    counterfactuals: tuple[Counterfactual, ...]


Document = Shap | Lime | Counterfactuals

_MODELS: dict[Method, type[Document]] = {
    Method.SHAP: Shap,
    Method.LIME: Lime,
    Method.COUNTERFACTUAL: Counterfactuals,
}


def read(method: Method, text: str) -> Document:
    """Read an explanation; raise DemoError, with where it differs, for one that is none."""
    try:
        return _MODELS[method].model_validate_json(text)
    except pydantic.ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:3]
        )
        raise demos.DemoError(f"this is no explanation by {method}: {wrong}") from error


def top(weights: dict[str, float], count: int) -> list[str]:
    """Give the features with the largest weights by size."""
    return sorted(weights, key=lambda name: -abs(weights[name]))[:count]
