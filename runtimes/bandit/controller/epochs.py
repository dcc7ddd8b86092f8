"""One policy's epochs, while this controller leads it.

At a multiple of `updateFrequency` on the wall clock an epoch ends: what its records taught is
learnt, weights follow, the epoch is written to the log, and then the weights to the experiment.
An epoch without a record that would leave everything as it is, is not ended: it becomes longer.
"""

import dataclasses
import logging
import time
from collections.abc import Mapping

from runtimes.bandit import declaration
from runtimes.contract import bandits

from . import metrics, recording, recovery, splitting, writing
from .checkpoint import Store
from .cluster import Experiment, Weights
from .deciding import Decided, decide
from .guarding import Guard
from .ownership import Ownership
from .parts import UnusableError
from .settings import Settings
from .state import TOPICS, State
from .status import HISTORY, Standing, Status
from .topics import BATCH, Log, Reader

logger = logging.getLogger("bellwether.bandit")

_POLL_SECONDS = 0.05
_CLOSE_SECONDS = 0.1
_CLOSE_BATCH = 500
_PREPARE_SECONDS = 1.0
_RETRY_SECONDS = 1.0
_RESTORE_SECONDS = 5.0
"""How soon after an epoch's end foreign weights end the next one early, at most."""

_EARLIER_OFFSETS = 100
"""How far before a checkpoint's epoch the log is read, for the status."""

_CHECKPOINT_SHARE = 0.1
"""How much of the time may be spent on writing checkpoints."""


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What is asked for shortly before an epoch's end: how the experiment and its arms are."""

    experiment: Experiment
    vetoes: Mapping[str, str]


class Leader:
    """Leads a policy; every method may raise what `parts` has."""

    contextual = False
    """Whether it leads policies that choose request by request."""

    def __init__(  # noqa: PLR0913  the parts that a policy works with
        self,
        settings: Settings,
        policy: str,
        ownership: Ownership,
        store: Store,
        guard: Guard,
        status: Status,
    ) -> None:
        self._settings = settings
        self._policy = policy
        self._own = ownership
        self._store = store
        self._guard = guard
        self._status = status
        self._reader = Reader(settings.kafka, f"bandit-{policy}")
        self._log: Log | None = None
        self._state: State | None = None
        self._last: bandits.Allocation | None = None
        """The last epoch in the log."""
        self._log_offset = 0
        self._prepared: Prepared | None = None
        self._end = 0.0
        self._ended = 0.0
        self._next_save = 0.0

    @property
    def state(self) -> State | None:
        """What is known."""
        return self._state

    @property
    def weights(self) -> Weights | None:
        """What acts, as far as is known."""
        return self._own.weights

    @property
    def mode(self) -> str:
        """What the declaration lets it do."""
        return self._own.spec.mode

    def standing(self) -> Standing:
        """Say how the policy fares."""
        return self._own.standing()

    def retire(self) -> None:
        """Leave a policy that is gone: its experiment keeps the weights that it has."""

    def close(self) -> None:
        """Give the connections back."""
        self._reader.close()

    def declare(self, spec: declaration.BanditPolicySpec) -> None:
        """Go by another spec from the next epoch's end on."""
        self._own.declare(spec)

    def begin(self) -> None:
        """Take the policy over: recover its state, and see to it that its last weights act."""
        experiment = self._own.experiment()
        # Whoever opens the log keeps all others from writing: before it is read.
        self._log = Log(self._settings.kafka, self._policy)
        for topic in TOPICS:
            self._reader.bounds(topic)
        self._recover(experiment)
        state, last = self._known()
        self._own.resume(experiment, last)
        self._reader.assign({topic: state.positions[topic] for topic in TOPICS})
        self._schedule(time.time())
        self._show()

    def tick(self, *, woken: bool) -> bool:
        """Read for a moment, and end the epoch if it is time; say whether it was."""
        state, last = self._known()
        now = time.time()
        if woken:
            self._look(now)
        if self._prepared is None and now >= self._end - self._ahead():
            self._prepared = self._asked()
        self._own.apply_again(last, now)
        left = self._end - time.time()
        if left > 0:
            # Little at once shortly before the end: what was read has to be taken first.
            most = BATCH if left > _CLOSE_SECONDS else _CLOSE_BATCH
            for topic, batch in self._reader.poll(min(_POLL_SECONDS, left), most).items():
                state.take(topic, batch)
            for topic in TOPICS:
                behind = self._reader.lag(topic, state.positions[topic])
                metrics.LAG.labels(self._policy, topic).set(behind)
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

    def _known(self) -> tuple[State, bandits.Allocation]:
        if self._state is None or self._last is None:
            raise UnusableError("NotBegun", "the policy was not taken over yet")
        return self._state, self._last

    def _recover(self, experiment: Experiment) -> None:
        """Give the state of the log's last epoch; without a log, begin one."""
        most, began = self._settings.max_decisions, time.monotonic()
        state, offset = self._store.load(most) or (None, 0)
        first = max(0, offset - _EARLIER_OFFSETS)
        found = list(recovery.entries(self._reader, self._policy, first))
        if state is not None and (not found or found[-1].record.epoch < state.epoch):
            logger.warning("%s: the checkpoint is of another log: it is not used", self._policy)
            state = None
            found = list(recovery.entries(self._reader, self._policy))
        for entry in found[-HISTORY:]:
            self._status.epoch(entry.record)
        known = found if state is None else [e for e in found if e.record.epoch > state.epoch]
        try:
            self._state = recovery.recovered(self._reader, known, state, most, self._different)
        except UnusableError as error:
            if error.reason != "RecordsMissing":
                raise
            logger.warning("%s: %s: learns anew from what is there", self._policy, error)
            self._start(experiment, found[-1].record.epoch + 1)
            return
        if not found:
            self._start(experiment, 0)
            return
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
        arms = tuple(experiment.weights)
        state = State(self._own.spec, arms, positions, self._settings.max_decisions)
        state.epoch = epoch
        self._state = state
        decided = Decided(experiment.weights, {}, {}, ("the policy begins",))
        self._append(
            recording.record(
                self._policy,
                state,
                time.time(),
                decided,
                experiment.weights,
                positions,
                applied=False,
                begins=True,
            )
        )

    def _ahead(self) -> float:
        return min(_PREPARE_SECONDS, self._own.spec.update_frequency.total_seconds() / 2)

    def _schedule(self, now: float) -> None:
        every = self._own.spec.update_frequency.total_seconds()
        self._end = (now // every + 1) * every
        self._prepared = None

    def _asked(self) -> Prepared | None:
        """Ask how the experiment and its arms are; None if that cannot be said."""
        experiment = self._own.found()
        if experiment is None:
            return None
        before = {each.arm: each.reason for each in self._last.vetoes} if self._last else {}
        allowed = self._own.spec.guardrails
        return Prepared(experiment, self._guard.judge(tuple(experiment.weights), allowed, before))

    def _look(self, now: float) -> None:
        """See whether somebody else has changed the experiment; end the epoch early if so."""
        _, last = self._known()
        experiment = self._own.found()
        if experiment is None:
            return
        every = self._own.spec.update_frequency.total_seconds()
        if self._prepared is not None:
            self._prepared = dataclasses.replace(self._prepared, experiment=experiment)
        if self._own.differs(experiment, last):
            self._end = min(self._end, max(now, self._ended + min(_RESTORE_SECONDS, every)))
        self._end = min(self._end, (now // every + 1) * every)

    def _finish(self, ended: float, prepared: Prepared) -> None:
        """End the epoch: learn, decide, write to the log, write the weights."""
        state, last = self._known()
        experiment, spec = prepared.experiment, self._own.spec
        before, arms = state.arms, _ordered(state.arms, experiment.weights)
        corrections = []
        if self._own.unapplied is not None:
            corrections.append(recording.correction(last, self._own.unapplied))
        self._own.notice(experiment, last)
        if not (state.fresh or corrections or arms != before or spec != state.spec):
            decided = decide(state, experiment.weights, prepared.vetoes, _vetoed(last))
            acts = self._own.acts and decided.moves
            if not acts or writing.same(decided.weights, experiment.weights):
                return
        start = {topic: int(getattr(last.offsets, topic)[1]) for topic in TOPICS}
        learnt = state.end()
        decisions: list[int] = learnt.decisions.tolist()
        reasons = []
        if not self.contextual:  # what is chosen request by request is not split by weights
            reasons = splitting.unlike_weights(
                last, experiment.weights, state.arms, decisions, ended
            )
        reasons += state.adopt(spec, arms)
        decided = decide(state, experiment.weights, prepared.vetoes, _vetoed(last))
        acts = self._own.acts and decided.moves
        if not self._own.acts and spec.mode != "shadow":
            kept = {arm: experiment.weights[arm] for arm in arms}
            decided = dataclasses.replace(decided, weights=kept)
        record = recording.record(
            self._policy,
            state,
            ended,
            dataclasses.replace(decided, reasons=(*reasons, *decided.reasons)),
            experiment.weights,
            start,
            applied=acts,
            respects=self._own.respected is not None,
            counts=recording.counts(before, learnt),
        )
        self._append(*corrections, record)
        self._own.unapplied = None
        self._own.weights = experiment.weights
        if acts and not writing.same(decided.weights, experiment.weights):
            sent = self._own.apply(experiment, decided.weights)
            metrics.TO_PATCH.labels(self._policy).observe(max(0.0, sent - ended))
            metrics.TO_APPLIED.labels(self._policy).observe(max(0.0, time.time() - ended))
        self._ended = time.time()
        self._tell(record)
        state.join.compact()
        self._checkpoint()

    def _append(self, *records: bandits.Allocation) -> None:
        if self._log is None:
            raise UnusableError("NotBegun", "the log is not open")
        self._log_offset = self._log.append(records)
        self._last = records[-1]

    def _checkpoint(self) -> None:
        now = time.monotonic()
        if now < self._next_save:
            return
        self.save()
        took = time.monotonic() - now
        self._next_save = time.monotonic() + took / _CHECKPOINT_SHARE

    def _tell(self, record: bandits.Allocation) -> None:
        self._status.epoch(record)
        self._show()
        reasons = record.details["reasons"]
        logger.info(
            "%s: epoch %d: %s%s",
            self._policy,
            record.epoch,
            ", ".join(f"{arm} {weight}" for arm, weight in record.weights.items()),
            "".join(f"; {reason}" for reason in reasons) if isinstance(reasons, list) else "",
        )

    def _show(self) -> None:
        state, last = self._known()
        vetoed = _vetoed(last)
        metrics.show(self._policy, state, self._own.weights or {}, vetoed, last.time)


def _vetoed(record: bandits.Allocation) -> set[str]:
    return {each.arm for each in record.vetoes}


def _ordered(known: tuple[str, ...], weights: Weights) -> tuple[str, ...]:
    """Keep the order that arms have, whatever the order of the candidates."""
    return (
        *(arm for arm in known if arm in weights),
        *(arm for arm in weights if arm not in known),
    )
