"""The bandit policies: who owns an experiment's weights, and by what rule they move."""

from infra.catalogue import experiments, models
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

REGIME_ROUTER = declaration.BanditPolicy(
    metadata=declaration.Metadata(name="regime-router"),
    spec=declaration.BanditPolicySpec(
        experiment=models.REGIME_ROUTER.name,
        algorithm=declaration.LinUcb(features=("log_volatility", "scaled_trend", "absolute_trend")),
        reward_metric="business_value",
        reward_kind="continuous",
        exploration_rate=0.1,
        mode="shadow",
    ),
)
"""The router's contextual bandit. It is not declared while the router's policy is `thresholds`:
to try it, set that to `contextual` in `models.py` and add this to `POLICIES`; it begins in the
shade, and `bellwether bandit activate` lets it act. `runtimes/router/README.md` has the figures."""

POLICIES = (FINANCIAL_MAB,)
"""What is declared: pure data, without Pulumi."""
