"""What chooses a branch: the interface behind which a rule stands today, and may learn tomorrow."""

import dataclasses
from collections.abc import Mapping
from typing import Protocol

from runtimes.contract import linear_choice, regimes

BRANCH = linear_choice.BRANCH
"""The branch that is made for each regime."""


@dataclasses.dataclass(frozen=True, slots=True)
class Context:
    """What is known when a branch is chosen."""

    symbol: str | None
    volatility: float
    """Annualised root mean square of the log returns in the window."""
    trend: float
    """Simple return over the window."""
    previous: str | None
    """The regime that the symbol was in at its last request, if there was one."""
    history: regimes.Array
    """[1, T, C], for a policy that looks at more than the two measures."""
    id: str | None = None
    """The request's id, if it has one."""


@dataclasses.dataclass(frozen=True, slots=True)
class Decided:
    """What a policy that learns has to say of a choice."""

    context: Mapping[str, float]
    """What it looks at, by name."""
    rule: str
    """The branch that the rule takes."""
    lead: str
    """Who led, of `contextual.LEADS`."""
    propensities: Mapping[str, float]
    """By branch, of the choice that was taken."""
    policy: str | None = None
    """The policy's name and epoch: of which state the choice is."""
    epoch: int | None = None
    shadow: Mapping[str, float] | None = None
    """By branch, what the policy would have chosen with, while it is in the shade."""
    shadow_branch: str | None = None
    """What the same draw would have chosen."""

    def document(self) -> dict[str, object]:
        """Give it as JSON's types; `dataclasses.asdict` takes longer than the choice does."""
        return {
            "context": self.context,
            "rule": self.rule,
            "lead": self.lead,
            "propensities": self.propensities,
            "policy": self.policy,
            "epoch": self.epoch,
            "shadow": self.shadow,
            "shadow_branch": self.shadow_branch,
        }


@dataclasses.dataclass(frozen=True, slots=True)
class Choice:
    """A branch, and why."""

    branch: str
    """One of `contract.BRANCHES`."""
    regime: str
    """One of `regimes.NAMES`."""
    reason: str
    """In words and numbers, for a person."""
    propensity: float = 1.0
    """Probability with which this branch was chosen in this context: 1 for a rule.

    What an off-policy evaluation divides by.
    """
    decided: Decided | None = None
    """Of a policy that learns from what its choices were worth."""


class Policy(Protocol):
    """Chooses one branch for each request."""

    def choose(self, context: Context) -> Choice:
        """Choose without waiting for anything: it is called in the server's event loop."""
        ...
