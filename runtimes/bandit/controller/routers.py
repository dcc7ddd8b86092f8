"""Epochs of a policy that chooses request by request: its regressions go to the router.

The arms are the router's branches. There are no weights to write: after each epoch the state goes
to Valkey (`contract.linear_choice`), where the router follows it; `weights` are what the branches
would get on average, for a person and for the log.
The declaration's mode is in the state: `shadow` and `active` act from the next read on, without an
epoch's end; `frozen` leaves what the router has as it is.
Vetoes, the largest step and the sample-ratio check belong to splits of traffic: none acts here.
"""

import time

from runtimes import contract
from runtimes.bandit import allocation, declaration, routing
from runtimes.bandit.policies import linear
from runtimes.contract import bandits

from .cluster import Experiment, NotFoundError, Weights
from .epochs import Leader, Prepared
from .ownership import Ownership
from .parts import UnusableError
from .status import Standing


class RouterOwnership(Ownership):
    """One policy's hold on its router: nobody else writes there."""

    _alone = False

    def experiment(self) -> Experiment:
        """Give the router as if it were an experiment."""
        name = self.spec.experiment
        if not self._alone:
            try:
                self._cluster.experiment(name)
            except NotFoundError:
                self._alone = True
            else:
                raise UnusableError(
                    "NotARouter",
                    f"{name} is an experiment that Envoy splits without looking at a context: "
                    f"{self.spec.algorithm.name} needs a router whose policy is contextual",
                )
        share, rest = divmod(allocation.TOTAL, len(contract.BRANCHES))
        even = {arm: share + (at < rest) for at, arm in enumerate(contract.BRANCHES)}
        return Experiment(name, dict(self.weights or even), "")

    def standing(self) -> Standing:
        """Say how the policy fares."""
        said = super().standing()
        does = {
            "Active": "learns, and the router chooses by it",
            "Shadow": "learns; the router tells what it would choose, and explores around its rule",
            "Frozen": "learns; the router goes on with what it has",
        }
        return Standing(said.ready, said.reason, does.get(said.reason, said.message))

    def resume(self, experiment: Experiment, last: bandits.Allocation) -> None:
        """Go on with the last epoch's shares."""
        del experiment
        self.weights = last.weights

    def differs(self, experiment: Experiment, last: bandits.Allocation) -> bool:
        """Say no: there is nobody else."""
        del experiment, last
        return False

    def apply(self, experiment: Experiment, weights: Weights) -> float:
        """Take the shares down; the state is what acts."""
        del experiment
        self.weights = weights
        return time.time()


class RouterLeader(Leader):
    """Leads the policy of a router."""

    contextual = True

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
        self._store.withdraw_choice(self._settings.identity, self._own.spec.experiment)

    def _asked(self) -> Prepared | None:
        experiment = self._own.found()
        return None if experiment is None else Prepared(experiment, {})

    def _finish(self, ended: float, prepared: Prepared) -> None:
        super()._finish(ended, prepared)
        self._publish()

    def _publish(self) -> None:
        state, spec = self._state, self._own.spec
        if state is None or spec.mode == "frozen":
            return
        if not isinstance(state.policy, linear.Contextual):
            return  # another algorithm's until the epoch's end
        record = routing.record(
            state.spec.model_copy(update={"exploration_rate": spec.exploration_rate}),
            state.policy,
            name=self._policy,
            epoch=max(0, state.epoch),
            time=time.time(),
            mode=spec.mode,
        )
        self._store.write_choice(self._settings.identity, record)
