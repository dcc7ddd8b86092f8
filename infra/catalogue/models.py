"""The models that are served. To add one: a folder under `models/` and a line here."""

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class ServedModel:
    """One model: what it is called where it is served, and what is trained for it."""

    name: str
    """The Seldon model."""
    artifact: str
    """The folder under `models/` that trains it."""
    purpose: str
    memory: str = "64Mi"
    requirements: tuple[str, ...] = ("bellwether-predictor",)
    """Capabilities that a server must have: the runtime that it needs."""


MODELS = (
    ServedModel("baseline-predictor", "baseline", "arm of the bandit; the market's calm regime"),
    ServedModel("enhanced-predictor", "enhanced", "arm of the bandit"),
    ServedModel("transformer-predictor", "transformer", "arm of the bandit"),
    ServedModel("ensemble-predictor", "ensemble", "arm of the bandit", memory="128Mi"),
    ServedModel("robust-predictor", "robust", "the volatile regime"),
    ServedModel("aggressive-predictor", "aggressive", "the regime of rising markets"),
    ServedModel("conservative-predictor", "conservative", "the regime of falling markets"),
    ServedModel("explainable-predictor", "explainable", "an LSTM, for its explanations"),
)
