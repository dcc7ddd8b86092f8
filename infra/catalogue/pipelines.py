"""The pipelines: models as the steps of one request."""

from infra import seldon
from infra.catalogue import models

BRANCHES = {
    "robust": "robust-predictor",
    "aggressive": "aggressive-predictor",
    "conservative": "conservative-predictor",
    "baseline": "baseline-predictor",
}
"""What the router emits -> the model that answers then."""

_OUTER_WINDOW_MS = 500
"""How long the decision waits for what does not come, counted from its first input.

Longer than the other steps take under load: what comes later is left out.
The mesh waits for nothing that cannot come any more; Seldon waits for the window's end.
"""


def _branches(features: str, router: str) -> tuple[seldon.PipelineStep, ...]:
    return tuple(
        seldon.PipelineStep(
            name=model,
            inputs=(f"{features}.features", f"{features}.history"),
            triggers=(f"{router}.outputs.{branch}",),
        )
        for branch, model in BRANCHES.items()
    )


def _prediction() -> seldon.Pipeline:
    enrichment, guard = models.ENRICHMENT.name, models.GUARD.name
    router, fallback = models.REGIME_ROUTER.name, models.FALLBACK.name
    forecast, explainer = models.FORECAST.name, models.EXPLAINER.name
    decision = models.DECISION.name
    enriched = f"{enrichment}.outputs"
    return seldon.Pipeline(
        metadata=seldon.ObjectMeta(name="financial-prediction-pipeline"),
        spec=seldon.PipelineSpec(
            steps=(
                seldon.PipelineStep(name=enrichment),
                seldon.PipelineStep(name=guard, inputs=(enriched,)),
                seldon.PipelineStep(
                    name=router,
                    inputs=(f"{enriched}.symbol", f"{enriched}.history"),
                    triggers=(f"{guard}.outputs.accepted",),
                ),
                *_branches(enriched, router),
                seldon.PipelineStep(
                    name=fallback,
                    inputs=(f"{enriched}.symbol",),
                    triggers=(f"{guard}.outputs.fallback",),
                ),
                seldon.PipelineStep(
                    name=forecast,
                    inputs=tuple(f"{each}.outputs" for each in (*BRANCHES.values(), fallback)),
                    inputs_join_type="any",
                ),
                seldon.PipelineStep(
                    name=explainer,
                    inputs=(
                        f"{enriched}.features",
                        f"{enriched}.history",
                        f"{forecast}.outputs.model",
                        f"{forecast}.outputs.volatility",
                    ),
                ),
                # Outer: an explainer that is away, or a router that was not asked, is no reason
                # to answer nothing. What has to be there, the decision itself insists on.
                seldon.PipelineStep(
                    name=decision,
                    inputs=(
                        f"{enriched}.symbol",
                        f"{enriched}.date",
                        f"{enriched}.quality_score",
                        f"{enriched}.quality",
                        f"{guard}.outputs.anomaly_score",
                        f"{guard}.outputs.drift_score",
                        f"{guard}.outputs.fallback",
                        f"{router}.outputs.regime",
                        f"{forecast}.outputs",
                        f"{explainer}.outputs.explanation",
                    ),
                    inputs_join_type="outer",
                    join_window_ms=_OUTER_WINDOW_MS,
                ),
            ),
            output=seldon.PipelineOutput(steps=(decision,)),
        ),
    )


def _router() -> seldon.Pipeline:
    name, router = "contextual-financial-router", models.REGIME_ROUTER.name
    return seldon.Pipeline(
        metadata=seldon.ObjectMeta(name=name),
        spec=seldon.PipelineSpec(
            steps=(
                seldon.PipelineStep(name=router, inputs=(f"{name}.inputs.history",)),
                *_branches(f"{name}.inputs", router),
            ),
            output=seldon.PipelineOutput(
                steps=tuple(BRANCHES.values()),
                steps_join="any",
            ),
        ),
    )


PREDICTION = _prediction()
"""From a symbol to a decision that a risk officer can read."""

CONTEXTUAL_ROUTER = _router()
"""The router and its four branches alone: a predictor's tensors in, a forecast out."""

PIPELINES = (PREDICTION, CONTEXTUAL_ROUTER)
