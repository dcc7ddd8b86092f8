"""The bandit policies: who owns an experiment's weights, and by what rule they move."""

from infra.catalogue import experiments
from runtimes.bandit import declaration

FINANCIAL_MAB = declaration.BanditPolicy(
    metadata=declaration.Metadata(name="financial-mab"),
    spec=declaration.BanditPolicySpec(
        experiment=experiments.FINANCIAL_MAB.metadata.name,
        algorithm=declaration.Thompson(power=3),
        forgetting=declaration.ChangePoints(joint_hazard=0.01, arm_hazard=0.008),
        reward_metric="business_value",
        reward_kind="continuous",
        exploration_rate=0.1,
        guardrails=declaration.Guardrails(max_error_rate=0.05, max_p99_ms=250, minimum_rewards=100),
    ),
)
"""Split by Thompson sampling that expects changes. The figures behind it: docs/adr/0011."""

POLICIES = (FINANCIAL_MAB,)
"""What is declared: pure data, without Pulumi."""
