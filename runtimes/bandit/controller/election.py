"""Which of several controllers leads: the one that holds a Lease at the API server.

The rule is that of Kubernetes' own controllers (client-go, `tools/leaderelection`):
a lease is anybody's once its record has not changed for the lease's time, by the reader's own clock,
so that clocks need not agree; and who cannot renew it steps down before others may take it.
"""

import datetime as dt
import logging
import math
import threading
import time
from typing import Any, Protocol

from .cluster import Cluster, ConflictError, NotFoundError, RefusedError
from .parts import AwayError

logger = logging.getLogger("bellwether.bandit")

_STEP_DOWN = 2 / 3
"""After which share of the lease's time without a renewal its holder leads no more."""
_RENEWALS = 5
"""How often a lease is renewed in its time."""


class Election(Protocol):
    """Says who leads."""

    @property
    def leads(self) -> bool:
        """Whether this controller does."""

    @property
    def holder(self) -> str:
        """Who does, as far as is known."""

    def close(self) -> None:
        """Lead no more, so that another one may at once."""


class Unopposed:
    """No election: whoever runs, leads."""

    leads = True
    holder = ""

    def close(self) -> None:
        """Nothing to give back."""


class LeaseElection(threading.Thread):
    """Takes a Lease, renews it, and gives it back when closed."""

    def __init__(self, cluster: Cluster, lease: str, identity: str, seconds: float) -> None:
        super().__init__(name="election", daemon=True)
        self.holder = ""
        self._cluster, self._lease, self._identity = cluster, lease, identity
        self._seconds = seconds
        self._stopping = threading.Event()
        self._leads_until = 0.0
        self._seen: dict[str, Any] = {}
        self._seen_at = 0.0
        self._problem = ""

    @property
    def leads(self) -> bool:
        """Whether the lease is held, and was renewed lately."""
        return time.monotonic() < self._leads_until

    def close(self) -> None:
        """Give the lease back, once nothing is written any more that it stands for."""
        self._stopping.set()
        if self.is_alive():
            self.join(self._seconds)

    def run(self) -> None:
        """Take or renew the lease again and again."""
        led = False
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                held, self._problem = self._held(), ""
            except (AwayError, NotFoundError, RefusedError) as error:
                held = False
                self._tell(str(error))
            else:
                self._leads_until = began + self._seconds * _STEP_DOWN if held else 0.0
            if led != self.leads:
                led = self.leads
                logger.info("%s %s", self._identity, "leads" if led else "leads no more")
            self._stopping.wait(self._seconds / _RENEWALS)
        self._give_back()

    def _held(self) -> bool:
        """Take or renew the lease; say whether it is ours."""
        try:
            found = self._cluster.lease(self._lease)
        except NotFoundError:
            return self._written(None, self._record(1))
        spec = found.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        if spec != self._seen:
            self._seen, self._seen_at = spec, time.monotonic()
        if holder == self._identity:
            kept = {key: spec[key] for key in ("acquireTime", "leaseTransitions") if key in spec}
            return self._written(found, self._record(0) | kept)
        self.holder = holder
        lasts = float(spec.get("leaseDurationSeconds") or self._seconds)
        if holder and time.monotonic() < self._seen_at + lasts:
            return False
        return self._written(found, self._record(int(spec.get("leaseTransitions") or 0) + 1))

    def _record(self, transitions: int) -> dict[str, Any]:
        now = dt.datetime.now(dt.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": math.ceil(self._seconds),
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": transitions,
        }

    def _written(self, found: dict[str, Any] | None, spec: dict[str, Any]) -> bool:
        try:
            self._cluster.write_lease(self._lease, found, spec)
        except ConflictError:
            return False  # another one was quicker
        self.holder = self._identity
        return True

    def _give_back(self) -> None:
        led, self._leads_until = self.leads, 0.0
        if not led:
            return
        try:
            found = self._cluster.lease(self._lease)
            spec = found.get("spec") or {}
            if spec.get("holderIdentity") == self._identity:
                given = {**spec, "holderIdentity": "", "leaseDurationSeconds": 1}
                self._cluster.write_lease(self._lease, found, given)
        except (AwayError, ConflictError, NotFoundError, RefusedError) as error:
            self._tell(f"not given back: {error}")

    def _tell(self, problem: str) -> None:
        if problem != self._problem:
            logger.warning("lease %s: %s", self._lease, problem)
        self._problem = problem
