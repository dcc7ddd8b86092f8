"""One policy: reads its topics, ends its epochs, moves its experiment's weights.

An epoch is written to the log before its weights are: whoever comes back finds it there.
Only the controller that opened the log last can write to it, and so only that one can PATCH.
"""

import logging
import threading
import time
from collections.abc import Mapping
from typing import Any

from runtimes.bandit import declaration, notation

from . import metrics
from .checkpoint import Store
from .cluster import Cluster, ConflictError, Experiment, NotFoundError, RefusedError
from .election import Election
from .epochs import Leader
from .guarding import Guard
from .ownership import Ownership
from .parts import AwayError, FencedError, UnusableError
from .routers import RouterLeader, RouterOwnership
from .settings import Settings
from .status import Standing, Status

logger = logging.getLogger("bellwether.bandit")

_PAUSE_SECONDS = 1.0
_LONG_PAUSE_SECONDS = 5.0


class Loop(threading.Thread):
    """Follows one policy until it is stopped, whatever is away meanwhile."""

    def __init__(
        self, settings: Settings, name: str, body: Mapping[str, Any], election: Election
    ) -> None:
        super().__init__(name=f"policy-{name}", daemon=True)
        self.policy = name
        self.away = False
        """Whether a part is away, so that the policy cannot act."""
        self._settings, self._election = settings, election
        self._body: Mapping[str, Any] = body
        self._stopping = threading.Event()
        self._gone = False
        self._woken = threading.Event()
        self._status = Status()
        self._written: Any = None
        self._cluster = Cluster(settings.api, settings.namespace, settings.service_account)

    def declare(self, body: Mapping[str, Any]) -> None:
        """Take a changed policy over."""
        self._body = body
        self._woken.set()

    def weights_changed(self, experiment: Experiment) -> None:
        """Take notice of an experiment that is new or different."""
        spec = self._body.get("spec") or {}
        if spec.get("experiment") == experiment.name:
            self._woken.set()

    def stop(self) -> None:
        """End soon, with everything written."""
        self._stopping.set()
        self._woken.set()

    def retire(self) -> None:
        """End soon, because the policy is gone."""
        self._gone = True
        self.stop()

    def run(self) -> None:
        """Lead the policy; when something is away, say so and try again."""
        metrics.begin(self.policy)
        while not self._stopping.is_set():
            pause = _PAUSE_SECONDS
            try:
                self._lead()
            except FencedError as error:
                # The status is that of the one who leads.
                standing = Standing(False, "Superseded", f"another controller leads: {error}")
                self._tell(standing, write=False)
            except AwayError as error:
                self.away = True
                self._tell(
                    Standing(False, f"{error.part.capitalize()}Away", f"{error}; weights stay")
                )
            except UnusableError as error:
                self._tell(Standing(False, error.reason, f"{error}; weights stay"))
            except NotFoundError as error:
                self._tell(Standing(False, "ExperimentMissing", str(error)))
            except RefusedError as error:
                self._tell(Standing(False, "Refused", str(error)))
                pause = _LONG_PAUSE_SECONDS
            except Exception as error:
                logger.exception("%s: an unexpected failure", self.policy)
                self._tell(Standing(False, "InternalError", f"{type(error).__name__}: {error}"))
                pause = _LONG_PAUSE_SECONDS
            metrics.LEADING.labels(self.policy).set(0)
            self._woken.clear()
            self._woken.wait(pause)
        self._cluster.close()
        if self._gone:
            metrics.forget(self.policy)

    def _lead(self) -> None:
        spec, generation = self._declared()
        if not self._election.leads:
            self._stand_by(self._election.holder or "another controller")
            return
        store = Store(self._settings.valkey, self._settings.namespace, self.policy)
        guard = Guard(self._settings.envoy, self._settings.prometheus, self._settings.gateway)
        leader = None
        try:
            holder = store.take_lease(self._settings.identity, self._settings.lease_seconds)
            if holder != self._settings.identity:
                self._stand_by(holder)
                return
            owns, leads = (
                (RouterOwnership, RouterLeader) if spec.contextual else (Ownership, Leader)
            )
            own = owns(self._cluster, self.policy, self._status, spec)
            leader = leads(self._settings, self.policy, own, store, guard, self._status)
            leader.begin()
            metrics.LEADING.labels(self.policy).set(1)
            self.away = False
            self._follow(leader, store, generation)
        finally:
            if leader is not None:
                leader.close()
            guard.close()
            store.close()

    def _follow(self, leader: Leader, store: Store, generation: int | None) -> None:
        """Tick until told to stop, or until something is away."""
        lease, renewed = self._settings.lease_seconds, time.monotonic()
        self._show(leader, generation)
        while not self._stopping.is_set():
            if not self._election.leads:
                raise FencedError(f"{self._election.holder or 'nobody'} has the lease")
            if time.monotonic() - renewed > lease / 4:
                holder = store.take_lease(self._settings.identity, lease)
                if holder != self._settings.identity:
                    raise FencedError(f"{holder} has the lease")
                renewed = time.monotonic()
            woken = self._woken.is_set()
            if woken:
                self._woken.clear()
                spec, generation = self._declared()
                if spec.contextual != leader.contextual:
                    break  # another kind of leader is due
                leader.declare(spec)
            if leader.tick(woken=woken) or woken:
                self._show(leader, generation)
        leader.save()
        if self._gone:
            leader.retire()
        store.release_lease(self._settings.identity)

    def _stand_by(self, holder: str) -> None:
        self.away = False
        self._tell(Standing(False, "Standby", f"{holder} leads"), write=False)

    def _declared(self) -> tuple[declaration.BanditPolicySpec, int | None]:
        body = self._body
        try:
            policy = declaration.parse(
                {key: body[key] for key in ("apiVersion", "kind", "metadata", "spec")}
            )
        except notation.ManifestError as error:
            raise UnusableError("SpecInvalid", str(error)) from error
        return policy.spec, policy.metadata.generation

    def _show(self, leader: Leader, generation: int | None) -> None:
        self._status.stand(leader.standing(), time.time())
        metrics.PROBLEM.labels(self.policy).set(not leader.standing().ready)
        metrics.in_mode(self.policy, leader.mode)
        body = self._status.body(generation, leader.state, leader.weights, time.time())
        self._write(body)

    def _tell(self, standing: Standing, *, write: bool = True) -> None:
        """Say what keeps the policy from acting, once."""
        metrics.PROBLEM.labels(self.policy).set(1)
        if self._status.stand(standing, time.time()):
            logger.warning("%s: %s: %s", self.policy, standing.reason, standing.message)
        if write:
            generation = (self._body.get("metadata") or {}).get("generation")
            self._write(self._status.body(generation, None, None, time.time()))

    def _write(self, body: Mapping[str, Any]) -> None:
        if body == self._written:
            return
        try:
            self._cluster.write_status(self.policy, body)
            self._written = body
        except (AwayError, ConflictError, NotFoundError, RefusedError) as error:
            logger.warning("%s: its status is not written: %s", self.policy, error)
