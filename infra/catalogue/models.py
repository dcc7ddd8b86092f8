"""The models that are served. To add one: a folder under `models/` and a line here."""

import dataclasses
from typing import Literal

Connection = Literal["kafka", "valkey", "registry"]
"""`kafka` and `valkey` are `host:port`, `registry` is the feature store's registry."""


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
    parameters: tuple[tuple[str, str], ...] = ()
    """What its runtime is told: `parameters.extra`, by name."""
    connections: tuple[Connection, ...] = ("kafka",)
    """What it talks to; a target adds each as a parameter of that name.

    A predictor may be an arm of an experiment, and then says so on `decisions`.
    """


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

ENRICHMENT = ServedModel(
    "enrichment",
    "enrichment",
    "from a symbol to features, from the feature store",
    requirements=("bellwether-features",),
    connections=("kafka", "valkey", "registry"),
)
GUARD = ServedModel(
    "guard",
    "guard",
    "data quality, anomaly and drift: forecast, or fall back",
    requirements=("bellwether-guard",),
    parameters=(("quality_threshold", "0.8"), ("drift_threshold", "0.5")),
    connections=("valkey",),
)
REGIME_ROUTER = ServedModel(
    "regime-router",
    "router",
    "one branch by the market's regime",
    requirements=("bellwether-router",),
    parameters=(
        ("policy", "thresholds"),
        ("volatility_threshold", "0.3"),
        ("trend_threshold", "0.02"),
        ("window_days", "20"),
        ("hysteresis", "0.0"),
    ),
    connections=("kafka", "valkey"),
)
FALLBACK = ServedModel(
    "fallback-predictor",
    "fallback",
    "what is usual for the symbol, when its data cannot be trusted",
    requirements=("bellwether-guard",),
    connections=(),
)
FORECAST = ServedModel(
    "forecast",
    "forecast",
    "whichever branch answered",
    requirements=("bellwether-router",),
    connections=(),
)
EXPLAINER = ServedModel(
    "explainer",
    "explainer",
    "which features made the forecast what it is",
    requirements=("bellwether-explainer",),
    memory="256Mi",
    connections=(),
)
EXPLANATIONS = ServedModel(
    "explanations",
    "explanations",
    "explanations on demand: SHAP, LIME, importances, counterfactuals",
    requirements=("bellwether-explainer",),
    memory="512Mi",
    connections=(),
)
DECISION = ServedModel(
    "decision",
    "decision",
    "calibrated confidence, position, business rules",
    requirements=("bellwether-decision",),
    parameters=(
        ("target_volatility", "0.1"),
        ("largest_position", "1.0"),
        ("minimum_confidence", "0.5"),
        ("blocked_symbols", ""),
    ),
    connections=(),
)

REWARD = ServedModel(
    "reward",
    "reward",
    "what forecasts were worth, for the bandit",
    requirements=("bellwether-bandit",),
    connections=("kafka",),
)

STEPS = (
    ENRICHMENT,
    GUARD,
    REGIME_ROUTER,
    FALLBACK,
    FORECAST,
    EXPLAINER,
    EXPLANATIONS,
    DECISION,
    REWARD,
)
"""The pipelines' other steps, and the model that takes rewards.

What they are given is built in `models/steps/<artifact>`.
"""
