"""Epochs of a policy that chooses request by request: its regressions go to the router.

The arms are the router's branches. There are no weights to write: after each epoch the state goes
to Valkey (`contract.linear_choice`), where the router follows it; `weights` are what the branches
would get on average, for a person and for the log.
The declaration's mode is in the state: `shadow` and `active` act from the next read on, without an
epoch's end; `frozen` leaves what the router has as it is.
Vetoes and the largest step belong to splits of traffic: neither acts here.
"""

import time
from typing import Any

from runtimes import contract
from runtimes.bandit import allocation, declaration, routing
from runtimes.bandit.policies import linear
from runtimes.contract import bandits

from .cluster import Experiment, NotFoundError, Weights
from .epochs import Leader, Prepared
from .parts import UnusableError


class RouterLeader(Leader):
    """Leads the policy of a router."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self._alone = False

    def begin(self) -> None:
        """Take the policy over, and see to it that the router has its state."""
        super().begin()
        self._publish()

    def declare(self, spec: declaration.BanditPolicySpec) -> None:
        """Go by another spec: the router at once, what is learnt from the epoch's end on."""
        super().declare(spec)
        self._publish()

    def retire(self) -> None:
        """Take the state back: the rule chooses."""
        self._store.withdraw_choice(self._settings.identity, self._spec.experiment)

    def _experiment(self) -> Experiment:
        """Give the router as if it were an experiment."""
        name = self._spec.experiment
        if not self._alone:
            try:
                self._cluster.experiment(name)
            except NotFoundError:
                self._alone = True
            else:
                raise UnusableError(
                    "NotARouter",
                    f"{name} is an experiment that Envoy splits without looking at a context: "
                    f"{self._spec.algorithm.name} needs a router whose policy is contextual",
                )
        share, rest = divmod(allocation.TOTAL, len(contract.BRANCHES))
        even = {arm: share + (at < rest) for at, arm in enumerate(contract.BRANCHES)}
        return Experiment(name, dict(self.weights or even), "")

    def _resume(self, experiment: Experiment, last: bandits.Allocation) -> None:
        del experiment
        self.weights = last.weights

    def _asked(self) -> Prepared | None:
        experiment = self._found()
        return None if experiment is None else Prepared(experiment, {})

    def _notice(self, experiment: Experiment, last: bandits.Allocation) -> None:
        """Nobody else writes these weights."""

    def _apply(self, experiment: Experiment, weights: Weights) -> float:
        del experiment
        self.weights = weights
        return time.time()

    def _finish(self, ended: float, prepared: Prepared) -> None:
        super()._finish(ended, prepared)
        self._publish()

    def _publish(self) -> None:
        state, mode = self._state, self._spec.mode
        if state is None or mode == "frozen" or not isinstance(state.policy, linear.Contextual):
            return
        record = routing.record(
            state.spec.model_copy(update={"exploration_rate": self._spec.exploration_rate}),
            state.policy,
            name=self._policy,
            epoch=max(0, state.epoch),
            time=time.time(),
            mode=mode,
        )
        self._store.write_choice(self._settings.identity, record)
