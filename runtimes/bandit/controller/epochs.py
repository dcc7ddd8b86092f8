"""One policy's epochs, while this controller leads it.

At a multiple of `updateFrequency` on the wall clock an epoch ends: what its records taught is
learnt, weights follow, the epoch is written to the log, and then the weights to the experiment.
An epoch without a record that would leave everything as it is, is not ended: it becomes longer.
"""

import dataclasses
import logging
import time
from collections.abc import Mapping
from typing import Any

from runtimes.bandit import declaration
from runtimes.contract import bandits

from . import metrics, recovery, writing
from .checkpoint import Store
from .cluster import Cluster, Experiment, NotFoundError, Weights
from .deciding import Decided, decide
from .guarding import Guard
from .parts import AwayError, UnusableError
from .settings import Settings
from .state import TOPICS, State, spec_digest
from .status import Standing, Status, iso
from .topics import Log, Reader

logger = logging.getLogger("bellwether.bandit")

_POLL_SECONDS = 0.05
_PREPARE_SECONDS = 1.0
_RETRY_SECONDS = 1.0
_RESTORE_SECONDS = 5.0
"""How soon after an epoch's end foreign weights end the next one early, at most."""

_EARLIER_OFFSETS = 100
"""How far before a checkpoint's epoch the log is read, for the status."""

_CHECKPOINT_SHARE = 0.1
"""How much of the time may be spent on writing checkpoints."""

Vetoes = Mapping[str, str]


@dataclasses.dataclass
class Prepared:
    """What is asked for shortly before an epoch's end: how the experiment and its arms are."""

    experiment: Experiment
    vetoes: Vetoes


class Leader:
    """Leads a policy; every method may raise what `parts` has."""

    def __init__(  # noqa: PLR0913  the parts that a policy works with
        self,
        settings: Settings,
        policy: str,
        cluster: Cluster,
        store: Store,
        guard: Guard,
        status: Status,
        spec: declaration.BanditPolicySpec,
    ) -> None:
        self._settings = settings
        self._policy = policy
        self._cluster = cluster
        self._store = store
        self._guard = guard
        self._status = status
        self._spec = spec
        self._reader = Reader(settings.kafka, f"bandit-{policy}")
        self._log: Log | None = None
        self._state: State | None = None
        self._last: bandits.Allocation | None = None
        """The last epoch in the log."""
        self._log_offset = 0
        self.weights: Weights | None = None
        """What acts, as far as is known."""
        self._unapplied: str | None = None
        """Why the last epoch's weights do not act although they should."""
        self._respected: Weights | None = None
        """Our weights, which somebody else has changed and which are not put right."""
        self._held: Standing | None = None
        """What keeps the epoch from ending."""
        self._prepared: Prepared | None = None
        self._end = 0.0
        self._retry = 0.0
        self._ended = 0.0
        self._next_save = 0.0

    @property
    def state(self) -> State | None:
        """What is known."""
        return self._state

    def close(self) -> None:
        """Give the connections back."""
        self._reader.close()

    def declare(self, spec: declaration.BanditPolicySpec) -> None:
        """Go by another spec from the next epoch's end on."""
        if spec != self._spec:
            self._respected = None
        self._spec = spec

    def begin(self) -> None:
        """Take the policy over: recover its state, and see to it that its last weights act."""
        experiment = self._experiment()
        self._log = Log(self._settings.kafka, self._policy)
        for topic in TOPICS:
            self._reader.bounds(topic)
        self._recover()
        if self._state is None:
            self._start(experiment, 0)
        state, last = self._known()
        self.weights = experiment.weights
        self._resume(experiment, last)
        self._reader.assign({topic: state.positions[topic] for topic in TOPICS})
        self._schedule(time.time())
        self._show()

    def _resume(self, experiment: Experiment, last: bandits.Allocation) -> None:
        """See to it that the last epoch's weights act, unless somebody else wrote others."""
        if experiment.weights.keys() != last.weights.keys():
            return
        if not last.applied:
            held = last.mode == "active" and not last.details.get("begins")
            if held and spec_digest(self._spec) == last.spec_digest:
                self._respected = last.weights
        elif not writing.same(experiment.weights, last.weights):
            if writing.same(experiment.weights, last.previous):
                logger.info("%s: epoch %d was not applied yet", self._policy, last.epoch)
                self._apply(experiment, last.weights)
            else:
                self._foreign(experiment)

    def tick(self, *, woken: bool) -> bool:
        """Read for a moment, and end the epoch if it is time; say whether it was."""
        state, _ = self._known()
        now = time.time()
        if woken:
            self._look(now)
        if self._prepared is None and now >= self._end - self._ahead():
            self._prepared = self._asked()
        if self._unapplied is not None and now >= self._retry:
            self._apply_again(now)
        left = self._end - time.time()
        if left > 0:
            for topic, batch in self._reader.poll(min(_POLL_SECONDS, left)).items():
                state.take(topic, batch)
            return False
        self._prepared = self._prepared or self._asked()
        if self._prepared is None:
            self._end = now + _RETRY_SECONDS  # the epoch goes on until what is away is back
            return True
        self._finish(self._end, self._prepared)
        self._schedule(time.time())
        return True

    def save(self) -> None:
        """Write a checkpoint of the last epoch's end; not of what was read since."""
        state = self._state
        if state is not None and not state.fresh:
            self._store.save(state, self._log_offset)

    def standing(self) -> Standing:
        """Say how the policy fares."""
        if self._held is not None:
            return self._held
        if self._unapplied is not None:
            return Standing(False, "WeightsNotApplied", f"{self._unapplied}; tried again")
        if self._respected is not None:
            return Standing(
                True, "ForeignWeights", "somebody else's weights are respected: learns, writes none"
            )
        mode = self._spec.mode
        said = {
            "active": "learns and moves the weights",
            "shadow": "learns and decides, writes no weights",
            "frozen": "learns, leaves the weights alone",
        }
        return Standing(True, mode.capitalize(), said[mode])

    def _known(self) -> tuple[State, bandits.Allocation]:
        if self._state is None or self._last is None:
            raise UnusableError("NotBegun", "the policy was not taken over yet")
        return self._state, self._last

    def _experiment(self) -> Experiment:
        experiment = self._cluster.experiment(self._spec.experiment)
        if not experiment.weights:
            raise UnusableError("NoArms", f"experiment {experiment.name} has no candidates")
        return experiment

    def _recover(self) -> None:
        """Give the state of the log's last epoch, if there is one."""
        most = self._settings.max_decisions
        began = time.monotonic()
        saved = self._store.load(most)
        state, offset = saved if saved is not None else (None, 0)
        found = list(
            recovery.entries(self._reader, self._policy, max(0, offset - _EARLIER_OFFSETS))
        )
        if state is not None and (not found or found[-1].record.epoch < state.epoch):
            logger.warning("%s: the checkpoint is of another log: it is not used", self._policy)
            state = None
            found = list(recovery.entries(self._reader, self._policy))
        for entry in found[-10:]:
            self._status.epoch(entry.record)
        try:
            known = found if state is None else [e for e in found if e.record.epoch > state.epoch]
            self._state = recovery.recovered(self._reader, known, state, most, self._different)
        except UnusableError as error:
            if error.reason != "RecordsMissing":
                raise
            logger.warning("%s: %s: learns anew from what is there", self._policy, error)
            self._start(self._experiment(), found[-1].record.epoch + 1)
            return
        if found:
            self._last, self._log_offset = found[-1].record, found[-1].offset
            logger.info(
                "%s: epoch %d, recovered in %.1f s from %s",
                self._policy,
                self._last.epoch,
                time.monotonic() - began,
                "the topics" if state is None else "a checkpoint",
            )

    def _different(self, entry: recovery.Entry) -> None:
        metrics.DIFFERENT.labels(self._policy).inc()
        logger.error(
            "%s: epoch %d, done again, does not give the state that the log has: "
            "has the controller's code changed? it goes on from what it is now",
            self._policy,
            entry.record.epoch,
        )

    def _start(self, experiment: Experiment, epoch: int) -> None:
        """Begin the policy's log (anew) with the oldest records that there are."""
        positions = {topic: self._reader.bounds(topic)[0] for topic in TOPICS}
        state = State(
            self._spec, tuple(experiment.weights), positions, self._settings.max_decisions
        )
        state.epoch = epoch
        decided = Decided(experiment.weights, {}, {}, ("the policy begins",))
        self._state = state
        record = self._record(
            time.time(), decided, experiment.weights, positions, applied=False, begins=True
        )
        self._append([record])

    def _ahead(self) -> float:
        return min(_PREPARE_SECONDS, self._spec.update_frequency.total_seconds() / 5)

    def _schedule(self, now: float) -> None:
        every = self._spec.update_frequency.total_seconds()
        self._end = (now // every + 1) * every
        self._prepared = None

    def _asked(self) -> Prepared | None:
        """Ask how the experiment and its arms are; None if that cannot be said."""
        experiment = self._found()
        if experiment is None:
            return None
        before = {each.arm: each.reason for each in self._last.vetoes} if self._last else {}
        allowed = self._spec.guardrails
        return Prepared(experiment, self._guard.judge(tuple(experiment.weights), allowed, before))

    def _found(self) -> Experiment | None:
        """Read the experiment; without it the epoch does not end."""
        try:
            experiment = self._experiment()
        except AwayError as error:
            self._hold(Standing(False, "MeshAway", f"{error}; weights stay"))
            return None
        except NotFoundError as error:
            self._hold(Standing(False, "ExperimentMissing", str(error)))
            return None
        except UnusableError as error:
            self._hold(Standing(False, error.reason, f"{error}; weights stay"))
            return None
        if self._held is not None:
            logger.warning("%s: goes on", self._policy)
        self._held = None
        return experiment

    def _hold(self, standing: Standing) -> None:
        if self._held != standing:
            logger.warning("%s: %s: %s", self._policy, standing.reason, standing.message)
        self._held = standing

    def _look(self, now: float) -> None:
        """See whether somebody else has changed the experiment; end the epoch early if so."""
        _, last = self._known()
        experiment = self._found()
        if experiment is None:
            return
        arms_changed = experiment.weights.keys() != last.weights.keys()
        moved = last.applied and not writing.same(experiment.weights, last.weights)
        shorter = self._spec.update_frequency.total_seconds()
        if self._prepared is not None:
            self._prepared = dataclasses.replace(self._prepared, experiment=experiment)
        if (arms_changed or moved) and self._unapplied is None and self._respected is None:
            self._end = min(self._end, max(now, self._ended + min(_RESTORE_SECONDS, shorter)))
        every = (now // shorter + 1) * shorter
        self._end = min(self._end, every)

    def _finish(self, ended: float, prepared: Prepared) -> None:
        """End the epoch: learn, decide, write to the log, write the weights."""
        state, last = self._known()
        experiment = prepared.experiment
        arms = _ordered(state.arms, experiment.weights)
        corrections = self._correction(last) if self._unapplied is not None else []
        self._notice(experiment, last)
        changed = arms != state.arms or self._spec != state.spec
        if not state.fresh and not changed and not corrections:
            decided = decide(state, experiment.weights, prepared.vetoes)
            if not self._acts or writing.same(decided.weights, experiment.weights):
                return
        start = {topic: int(getattr(last.offsets, topic)[1]) for topic in TOPICS}
        learnt = state.end()
        reasons = state.adopt(self._spec, arms)
        decided = decide(state, experiment.weights, prepared.vetoes)
        if not self._acts and self._spec.mode != "shadow":
            decided = dataclasses.replace(decided, weights=_in(arms, experiment.weights))
        decided = dataclasses.replace(decided, reasons=(*reasons, *decided.reasons))
        record = self._record(
            ended,
            decided,
            experiment.weights,
            start,
            applied=self._acts,
            counts={
                "decisions": dict(zip(state.arms, map(int, learnt.decisions), strict=True)),
                "rewards": dict(zip(state.arms, map(int, learnt.counts), strict=True)),
            }
            if len(learnt.counts) == len(state.arms)
            else {},
        )
        self._append([*corrections, record])
        self._unapplied = None
        self.weights = experiment.weights
        sent = time.time()
        if self._acts and not writing.same(decided.weights, experiment.weights):
            sent = self._apply(experiment, decided.weights)
            metrics.TO_PATCH.labels(self._policy).observe(max(0.0, sent - ended))
            metrics.TO_APPLIED.labels(self._policy).observe(max(0.0, time.time() - ended))
        self._ended = time.time()
        self._status.epoch(record)
        self._show()
        logger.info(
            "%s: epoch %d: %s%s",
            self._policy,
            record.epoch,
            ", ".join(f"{arm} {weight}" for arm, weight in record.weights.items()),
            "".join(f"; {reason}" for reason in decided.reasons),
        )
        state.join.compact()
        self._checkpoint()

    @property
    def _acts(self) -> bool:
        return self._spec.mode == "active" and self._respected is None

    def _notice(self, experiment: Experiment, last: bandits.Allocation) -> None:
        """See weights that somebody else wrote."""
        if self._respected is not None:
            if writing.same(experiment.weights, self._respected):
                self._respected = None
            return
        same_arms = experiment.weights.keys() == last.weights.keys()
        if not same_arms or not last.applied or self._unapplied is not None:
            return
        if not writing.same(experiment.weights, last.weights):
            self._foreign(experiment)

    def _foreign(self, experiment: Experiment) -> None:
        metrics.FOREIGN.labels(self._policy).inc()
        respects = self._spec.foreign_changes == "respect"
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
            self._respected = self._last.weights if self._last else {}

    def _correction(self, last: bandits.Allocation) -> list[bandits.Allocation]:
        """Say in the log that an epoch's weights never acted."""
        details: dict[str, Any] = {
            **last.details,
            "corrects": last.epoch,
            "reasons": [f"never applied: {self._unapplied or 'somebody else wrote the weights'}"],
        }
        return [last.model_copy(update={"applied": False, "details": details})]

    def _record(  # noqa: PLR0913  an epoch has these sides
        self,
        ended: float,
        decided: Decided,
        previous: Weights,
        start: Mapping[str, int],
        *,
        applied: bool,
        begins: bool = False,
        counts: Mapping[str, Any] | None = None,
    ) -> bandits.Allocation:
        state = self._state
        if state is None:
            raise UnusableError("NotBegun", "the policy was not taken over yet")
        details: dict[str, Any] = {
            "spec": self._spec.model_dump(mode="json", by_alias=True),
            "shares": dict(decided.shares),
            "reasons": list(decided.reasons),
        }
        if begins:
            details["begins"] = True
        return bandits.Allocation(
            experiment=self._spec.experiment,
            policy=self._policy,
            epoch=state.epoch,
            time=ended,
            weights=decided.weights,
            previous=previous,
            applied=applied,
            mode=self._spec.mode,
            vetoes=tuple(bandits.Veto(arm=arm, reason=why) for arm, why in decided.vetoes.items()),
            counts={
                **(counts or {}),
                "decision_outcomes": dict(state.join.decision_counts),
                "reward_outcomes": dict(state.join.reward_counts),
            },
            offsets=bandits.Consumed(
                decisions=(start[bandits.DECISIONS], state.positions[bandits.DECISIONS]),
                rewards=(start[bandits.REWARDS], state.positions[bandits.REWARDS]),
            ),
            spec_digest=spec_digest(self._spec),
            state_digest=state.digest(),
            details=details,
        )

    def _append(self, records: list[bandits.Allocation]) -> None:
        if self._log is None:
            raise UnusableError("NotBegun", "the log is not open")
        self._log_offset = self._log.append(records)
        self._last = records[-1]

    def _apply(self, experiment: Experiment, weights: Weights) -> float:
        written = writing.write(self._cluster, self._policy, experiment, weights)
        theirs = written.experiment
        if written.foreign and theirs is not None:
            self._foreign(theirs)
            if self._respected is not None:
                _, last = self._known()
                self._append(self._correction(last))
                self.weights = theirs.weights
                return written.sent
            again = writing.write(self._cluster, self._policy, theirs, weights)
            written = dataclasses.replace(again, sent=written.sent)
        self._unapplied = written.problem
        self._retry = time.time() + _RETRY_SECONDS
        if written.experiment is not None:
            self.weights = written.experiment.weights
        return written.sent

    def _apply_again(self, now: float) -> None:
        _, last = self._known()
        self._retry = now + _RETRY_SECONDS
        try:
            experiment = self._cluster.experiment(last.experiment)
        except (AwayError, NotFoundError) as error:
            self._unapplied = str(error)
            return
        if experiment.weights.keys() == last.weights.keys():
            self._apply(experiment, last.weights)

    def _checkpoint(self) -> None:
        now = time.monotonic()
        if now < self._next_save:
            return
        self.save()
        took = time.monotonic() - now
        self._next_save = time.monotonic() + took / _CHECKPOINT_SHARE

    def _show(self) -> None:
        """Set the gauges."""
        state, last = self._known()
        name = self._policy
        for outcome, count in state.join.decision_counts.items():
            metrics.DECISIONS.labels(name, outcome).set(count)
        for outcome, count in state.join.reward_counts.items():
            metrics.REWARDS.labels(name, outcome).set(count)
        weights = self.weights or {}
        total = sum(weights.values()) or 1
        vetoed = {each.arm for each in last.vetoes}
        for place, arm in enumerate(state.arms):
            metrics.WEIGHT.labels(name, arm).set(weights.get(arm, 0) / total)
            metrics.ARM_REWARDS.labels(name, arm).set(int(state.rewards_by_arm[place]))
            metrics.VETOED.labels(name, arm).set(arm in vetoed)
        metrics.EPOCH.labels(name).set(state.epoch)
        metrics.EPOCH_TIME.labels(name).set(last.time)
        metrics.OPEN.labels(name).set(len(state.join.open))
        metrics.WAITING.labels(name).set(state.join.unanswered())


def _ordered(known: tuple[str, ...], weights: Weights) -> tuple[str, ...]:
    """Keep the order that arms have, whatever the order of the candidates."""
    return (
        *(arm for arm in known if arm in weights),
        *(arm for arm in weights if arm not in known),
    )


def _in(arms: tuple[str, ...], weights: Weights) -> Weights:
    return {arm: weights[arm] for arm in arms}
