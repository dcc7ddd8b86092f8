"""A contextual bandit behind the router's interface: it learns elsewhere, and chooses here.

Its state comes from Valkey (`following`), and says whether the policy is active:
then its choice is taken. In the shade the rule's branch is taken but for the share that explores,
and what the policy would have chosen is told. Without a state the rule chooses alone.
"""

import math
import random
from collections.abc import Mapping
from typing import Literal, Protocol

from runtimes.contract import bandits, linear_choice, regimes

from . import policy

Lead = Literal["policy", "fallback", "shadow", "rule"]
LEADS: tuple[Lead, ...] = ("policy", "fallback", "shadow", "rule")

LOG_VOLATILITY = "log_volatility"
SCALED_TREND = "scaled_trend"
ABSOLUTE_TREND = "absolute_trend"

FEATURES = (
    bandits.CONTEXT_VOLATILITY,
    bandits.CONTEXT_TREND,
    LOG_VOLATILITY,
    SCALED_TREND,
    ABSOLUTE_TREND,
    *regimes.NAMES,
)
"""The context's numbers, in the order in which they are logged; see `features`."""

USUAL_VOLATILITY = 0.15
"""Annualised; what `log_volatility` is 0 at."""
USUAL_TREND = 0.05
"""Return over the window; what `scaled_trend` is 1 at."""
_LEAST_VOLATILITY = 1e-4
_MOST = 3.0


def features(volatility: float, trend: float, regime: str) -> dict[str, float]:
    """Give a market's context, by the names of `FEATURES`.

    `volatility` (annualised) and `trend` (return over the window) as the rule measures them;
    `log_volatility` is ln(volatility / 15 %), `scaled_trend` trend / 5 %, `absolute_trend` its
    size, all three cut at ±3: no request moves a regression further than three of its units;
    and 1 for the rule's regime, 0 for the others.
    """
    scaled = min(max(trend / USUAL_TREND, -_MOST), _MOST)
    size = math.log(max(volatility, _LEAST_VOLATILITY) / USUAL_VOLATILITY)
    return {
        bandits.CONTEXT_VOLATILITY: volatility,
        bandits.CONTEXT_TREND: trend,
        LOG_VOLATILITY: min(max(size, -_MOST), _MOST),
        SCALED_TREND: scaled,
        ABSOLUTE_TREND: abs(scaled),
        **{name: float(name == regime) for name in regimes.NAMES},
    }


class Source(Protocol):
    """Where the policy's state comes from."""

    @property
    def chooser(self) -> linear_choice.Chooser | None:
        """The state, if there is one."""

    @property
    def missing(self) -> str:
        """Why there is none."""


class ContextualPolicy:
    """Chooses by what was learnt of the market's context; by a rule where nothing was."""

    def __init__(self, rule: policy.Policy, source: Source, experiment: str) -> None:
        self._rule = rule
        self._source = source
        self._experiment = experiment
        self._random = random.Random()  # noqa: S311  exploration is no secret

    def choose(self, context: policy.Context) -> policy.Choice:
        """See `policy.Policy`."""
        ruled = self._rule.choose(context)
        seen = features(context.volatility, context.trend, ruled.regime)
        chooser = self._source.chooser
        if chooser is None:
            return _told(ruled, self._source.missing, seen)
        # A request without an id is no decision: nothing is learnt of it.
        draw = (
            self._random.random()
            if context.id is None
            else linear_choice.draw(self._experiment, context.id)
        )
        try:
            choice = chooser.choose(seen, ruled.branch, draw)
        except linear_choice.UnknownContextError as error:
            return _told(ruled, str(error.args[0]), seen)
        if chooser.record.mode == "shadow":
            return _in_the_shade(ruled, chooser, choice, seen, draw)
        return _taken(ruled, chooser.record, choice, seen)


def _told(ruled: policy.Choice, why: str, seen: Mapping[str, float]) -> policy.Choice:
    """Let the rule choose alone, and say why."""
    propensities = {branch: float(branch == ruled.branch) for branch in policy.BRANCH.values()}
    return policy.Choice(
        branch=ruled.branch,
        regime=ruled.regime,
        reason=f"{ruled.reason} (by the rule: {why})",
        decided=policy.Decided(seen, ruled.branch, "rule", propensities),
    )


def _taken(
    ruled: policy.Choice,
    record: linear_choice.Record,
    choice: linear_choice.Choice,
    seen: Mapping[str, float],
) -> policy.Choice:
    lead: Lead = "fallback" if choice.unknown else "policy"
    why = (
        f"too few rewards in this market for {', '.join(choice.unknown)}; the rule leads"
        if choice.unknown
        else "by what branches earned in such markets"
    )
    return policy.Choice(
        branch=choice.arm,
        regime=ruled.regime,
        reason=(
            f"{record.policy}, epoch {record.epoch}: {choice.arm} with probability "
            f"{choice.propensity:.3g}, {why}; the rule takes {ruled.branch}: {ruled.reason}"
        ),
        propensity=choice.propensity,
        decided=policy.Decided(
            seen, ruled.branch, lead, choice.propensities, record.policy, record.epoch
        ),
    )


def _in_the_shade(
    ruled: policy.Choice,
    chooser: linear_choice.Chooser,
    choice: linear_choice.Choice,
    seen: Mapping[str, float],
    draw: float,
) -> policy.Choice:
    record, explored = chooser.record, chooser.explore(ruled.branch, draw)
    reason = ruled.reason
    if explored.arm != ruled.branch:
        reason = (
            f"{record.policy} explores with probability {explored.propensity:.3g}; "
            f"the rule takes {ruled.branch}: {ruled.reason}"
        )
    return policy.Choice(
        branch=explored.arm,
        regime=ruled.regime,
        reason=reason,
        propensity=explored.propensity,
        decided=policy.Decided(
            context=seen,
            rule=ruled.branch,
            lead="shadow",
            propensities=explored.propensities,
            policy=record.policy,
            epoch=record.epoch,
            shadow=choice.propensities,
            shadow_branch=choice.arm,
        ),
    )
