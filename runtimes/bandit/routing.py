"""A contextual policy of the router: what the router needs of it, and what its rule would take."""

from collections.abc import Mapping

from runtimes.bandit import declaration
from runtimes.bandit.policies import linear
from runtimes.contract import linear_choice

FEWEST_REWARDS = 20.0
"""Rewards that an arm needs in a context before it is compared there, at least."""


def record(  # noqa: PLR0913  each is a side of the record
    spec: declaration.BanditPolicySpec,
    policy: linear.Contextual,
    *,
    name: str,
    epoch: int,
    time: float,
    mode: str,
) -> linear_choice.Record:
    """Write what was learnt as the router reads it; `mode` is active or shadow.

    In a context each arm needs `guardrails.minimumRewards` / K rewards, and `FEWEST_REWARDS`.
    """
    algorithm, learnt = spec.algorithm, policy.regressions()
    match algorithm:
        case declaration.LinUcb(alpha=width) | declaration.LinearThompson(scale=width):
            pass
        case _:
            raise TypeError(f"{algorithm.name} takes no context")
    return linear_choice.Record.model_validate(
        {
            "experiment": spec.experiment,
            "policy": name,
            "epoch": epoch,
            "time": time,
            "mode": mode,
            "algorithm": algorithm.name,
            "width": width,
            "exploration": spec.exploration_rate,
            "minimum": max(FEWEST_REWARDS, spec.guardrails.minimum_rewards / len(policy.arms)),
            "ridge": algorithm.ridge,
            "noise": learnt.noise,
            "arms": policy.arms,
            "features": algorithm.features,
            "intercept": algorithm.intercept,
            "coefficients": tuple(map(tuple, learnt.coefficients.tolist())),
            "inverses": tuple(tuple(map(tuple, arm)) for arm in learnt.inverses.tolist()),
        }
    )


def ruled(context: Mapping[str, float]) -> str | None:
    """Give the branch that the rule took in a logged context; None if it is no router's."""
    for regime, branch in linear_choice.BRANCH.items():
        if context.get(regime) == 1:
            return branch
    return None
