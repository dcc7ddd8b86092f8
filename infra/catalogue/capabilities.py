"""What of the catalogue belongs together: a capability that can be applied by itself."""

import dataclasses

from infra.catalogue import bandits, experiments, models, pipelines, topics


@dataclasses.dataclass(frozen=True, slots=True)
class Capability:
    """A part of the environment under a name of its own."""

    name: str
    summary: str
    objects: tuple[str, ...]
    """Kind and name of each object, `Model/baseline-predictor`, what is needed first first."""


def _models(*names: str) -> tuple[str, ...]:
    return tuple(f"Model/{name}" for name in dict.fromkeys(names))


def _topics(*names: str) -> tuple[str, ...]:
    known = {topic.name for topic in topics.TOPICS}
    return tuple(f"KafkaTopic/{name}" for name in names if name in known)


_ARMS = tuple(each.name for each in experiments.FINANCIAL_MAB.spec.candidates)
_STEPS = tuple(step.name for step in pipelines.PREDICTION.spec.steps)
_ROUTED = tuple(step.name for step in pipelines.CONTEXTUAL_ROUTER.spec.steps)

CAPABILITIES = (
    Capability(
        "multi-armed-bandit-experiment",
        "The experiment over four arms, and the policy that moves its weights.",
        (
            *_topics("decisions", "rewards", "allocations"),
            *_models(*_ARMS, models.REWARD.name),
            f"Experiment/{experiments.FINANCIAL_MAB.metadata.name}",
            f"BanditPolicy/{bandits.FINANCIAL_MAB.metadata.name}",
        ),
    ),
    Capability(
        "contextual-router",
        "A branch by the market's regime.",
        (
            *_topics("routing"),
            *_models(*_ROUTED),
            f"Pipeline/{pipelines.CONTEXTUAL_ROUTER.metadata.name}",
        ),
    ),
    Capability(
        "feature-store-integration",
        "Features from the store, filled by the stream.",
        (
            *_topics("market-data", "news", "feature-monitoring", "dead-letters"),
            "ServiceAccount/feature-stream",
            "NetworkPolicy/feature-stream",
            "ConfigMap/feature-stream",
            "Service/feature-stream",
            "Deployment/feature-stream",
            *_models(models.ENRICHMENT.name),
        ),
    ),
    Capability(
        "explainable-predictions",
        "The prediction pipeline with its explanations, and explanations on demand.",
        (
            *_models(*_STEPS, models.EXPLANATIONS.name),
            f"Pipeline/{pipelines.PREDICTION.metadata.name}",
        ),
    ),
)
