"""Whose weights an experiment has: the policy's, or somebody else's, who is noticed."""

import logging
import time

from runtimes.bandit import declaration
from runtimes.contract import bandits

from . import metrics, writing
from .cluster import Cluster, Experiment, NotFoundError, Weights
from .parts import AwayError, UnusableError
from .state import spec_digest
from .status import Standing, Status, iso

logger = logging.getLogger("bellwether.bandit")

_RETRY_SECONDS = 1.0


class Ownership:
    """One policy's hold on its experiment."""

    def __init__(
        self, cluster: Cluster, policy: str, status: Status, spec: declaration.BanditPolicySpec
    ) -> None:
        self._cluster = cluster
        self._policy = policy
        self._status = status
        self.spec = spec
        self.weights: Weights | None = None
        """What acts, as far as is known."""
        self.unapplied: str | None = None
        """Why the last epoch's weights do not act although they should."""
        self.respected: Weights | None = None
        """Our weights, which somebody else has changed and which are not put right."""
        self._held: Standing | None = None
        """What keeps an epoch from ending."""
        self._retry = 0.0

    @property
    def acts(self) -> bool:
        """Whether weights are written at all."""
        return self.spec.mode == "active" and self.respected is None

    def declare(self, spec: declaration.BanditPolicySpec) -> None:
        """Go by another spec; what was respected until now, is no longer."""
        if spec != self.spec:
            self.respected = None
        self.spec = spec

    def experiment(self) -> Experiment:
        """Read the experiment."""
        experiment = self._cluster.experiment(self.spec.experiment)
        if not experiment.weights:
            raise UnusableError("NoArms", f"experiment {experiment.name} has no candidates")
        return experiment

    def found(self) -> Experiment | None:
        """Read the experiment; None, and a standing, if that cannot be done."""
        try:
            experiment = self.experiment()
        except (AwayError, NotFoundError, UnusableError) as error:
            self._hold(_held_by(error))
            return None
        if self._held is not None:
            logger.warning("%s: goes on", self._policy)
        self._held = None
        return experiment

    def _hold(self, standing: Standing) -> None:
        if self._held != standing:
            logger.warning("%s: %s: %s", self._policy, standing.reason, standing.message)
        self._held = standing

    def standing(self) -> Standing:
        """Say how the policy fares."""
        if self._held is not None:
            return self._held
        if self.respected is not None:
            said = "somebody else's weights are respected: learns, writes none"
            return Standing(True, "ForeignWeights", said)
        if self.unapplied is not None:
            return Standing(False, "WeightsNotApplied", f"{self.unapplied}; tried again")
        mode = self.spec.mode
        does = {
            "active": "learns and moves the weights",
            "shadow": "learns and decides, writes no weights",
            "frozen": "learns, leaves the weights alone",
        }
        return Standing(True, mode.capitalize(), does[mode])

    def resume(self, experiment: Experiment, last: bandits.Allocation) -> None:
        """See to it that the last epoch's weights act, unless somebody else wrote others."""
        self.weights = experiment.weights
        if experiment.weights.keys() != last.weights.keys():
            return
        if not last.applied:
            if last.details.get("respects") and spec_digest(self.spec) == last.spec_digest:
                self.respected = last.weights
        elif not writing.same(experiment.weights, last.weights):
            if writing.same(experiment.weights, last.previous):
                logger.info("%s: epoch %d was not applied yet", self._policy, last.epoch)
                self.apply(experiment, last.weights)
            else:
                self._foreign(experiment, last.weights)

    def differs(self, experiment: Experiment, last: bandits.Allocation) -> bool:
        """Say whether the experiment is not what the last epoch made of it."""
        if self.unapplied is not None or self.respected is not None:
            return False
        if experiment.weights.keys() != last.weights.keys():
            return True
        return last.applied and not writing.same(experiment.weights, last.weights)

    def notice(self, experiment: Experiment, last: bandits.Allocation) -> None:
        """See weights that somebody else wrote, or that are ours again."""
        if self.respected is not None:
            if writing.same(experiment.weights, self.respected):
                self.respected = None
        elif self.differs(experiment, last) and experiment.weights.keys() == last.weights.keys():
            self._foreign(experiment, last.weights)

    def apply(self, experiment: Experiment, weights: Weights) -> float:
        """Write weights; give the time when the PATCH was sent. `unapplied` says what failed."""
        written = writing.write(self._cluster, self._policy, experiment, weights)
        theirs, sent = written.experiment, written.sent
        if written.foreign and theirs is not None:
            self._foreign(theirs, weights)
            if self.respected is None:
                written = writing.write(self._cluster, self._policy, theirs, weights)
        self.unapplied = written.problem
        self._retry = time.time() + _RETRY_SECONDS
        if written.experiment is not None:
            self.weights = written.experiment.weights
        return sent

    def apply_again(self, last: bandits.Allocation, now: float) -> None:
        """Try once more to write weights that could not be written, once in a while."""
        if self.unapplied is None or self.respected is not None or now < self._retry:
            return
        self._retry = now + _RETRY_SECONDS
        try:
            experiment = self._cluster.experiment(last.experiment)
        except (AwayError, NotFoundError) as error:
            self.unapplied = str(error)
            return
        if experiment.weights.keys() == last.weights.keys():
            self.apply(experiment, last.weights)

    def _foreign(self, experiment: Experiment, ours: Weights) -> None:
        metrics.FOREIGN.labels(self._policy).inc()
        respects = self.spec.foreign_changes == "respect"
        self._status.foreign = {
            "time": iso(time.time()),
            "weights": experiment.weights,
            "action": "respected" if respects else "restored",
        }
        logger.warning(
            "%s: somebody else wrote the weights %s: %s",
            self._policy,
            experiment.weights,
            "they are respected" if respects else "they will be put right",
        )
        if respects:
            self.respected = ours


def _held_by(error: AwayError | NotFoundError | UnusableError) -> Standing:
    if isinstance(error, NotFoundError):
        return Standing(False, "ExperimentMissing", str(error))
    reason = "MeshAway" if isinstance(error, AwayError) else error.reason
    return Standing(False, reason, f"{error}; weights stay")
