"""The operator: kopf watches policies and experiments, a thread follows each policy.

Only events are handled: no finalizer, annotation or Kubernetes event is written,
so that a policy can be deleted while no controller runs.
"""

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import kopf

from runtimes.bandit import declaration

from .cluster import Cluster, Experiment, NotFoundError, RefusedError
from .election import Election, LeaseElection, Unopposed
from .loop import Loop
from .parts import AwayError
from .settings import Settings

logger = logging.getLogger("bellwether.bandit")

_STOP_SECONDS = 8.0


class _ForEver:
    """Pauses between attempts to reach the API server, without an end; begun anew each time."""

    def __iter__(self) -> Iterator[float]:
        yield from (0.1, 0.3, 1.0)
        while True:
            yield 2.0


class Operator:
    """All policies of a namespace. `handlers` are what kopf calls."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loops: dict[str, Loop] = {}
        self._specs: dict[str, Any] = {}
        self._closed = False
        self._cluster = Cluster(settings.api, settings.namespace, settings.service_account)
        self._election = self._elected()
        self.registry = kopf.OperatorRegistry()
        self._register()

    def run(self, stop: threading.Event) -> None:
        """Watch until `stop`; blocks."""
        self._await_kinds(stop)
        kopf.run(
            registry=self.registry,
            standalone=True,
            namespaces=[self._settings.namespace],
            stop_flag=stop,
        )

    def unready(self) -> str | None:
        """Say what is not as it should be, or None."""
        if self._closed:
            return "it is about to end"
        try:
            self._cluster.kinds_served()
        except (AwayError, NotFoundError, RefusedError) as error:
            return str(error)
        away = [each.policy for each in self._loops.values() if each.away]
        return f"something is away for {', '.join(sorted(away))}: see the log" if away else None

    def close(self) -> None:
        """End all policies' threads; it is not ready from now on."""
        self._closed = True
        loops = list(self._loops.values())
        for each in loops:
            each.stop()
        deadline = time.monotonic() + _STOP_SECONDS
        for each in loops:
            each.join(max(0.0, deadline - time.monotonic()))
        self._election.close()

    def _elected(self) -> Election:
        given = self._settings
        if given.lease is None:
            return Unopposed()
        cluster = Cluster(given.api, given.namespace, given.service_account)
        election = LeaseElection(cluster, given.lease, given.identity, given.lease_seconds)
        election.start()
        return election

    def _await_kinds(self, stop: threading.Event) -> None:
        """Wait until both kinds are served: kopf looks once, and never watches what it misses then."""
        told = ""
        for pause in _ForEver():
            try:
                self._cluster.kinds_served()
            except (AwayError, NotFoundError, RefusedError) as error:
                if str(error) != told:
                    logger.warning("waits for the API server's kinds: %s", error)
                told = str(error)
            else:
                return
            if stop.wait(pause):
                return

    def _register(self) -> None:
        group, version = declaration.GROUP, declaration.VERSION

        @kopf.on.startup(registry=self.registry)
        def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
            settings.posting.enabled = False
            settings.scanning.disabled = True
            settings.networking.error_backoffs = _ForEver()
            settings.watching.server_timeout = 300
            settings.watching.reconnect_backoff = 0.2
            settings.process.ultimate_exiting_timeout = _STOP_SECONDS

        @kopf.on.login(registry=self.registry)
        def login(**_: Any) -> kopf.ConnectionInfo:
            account = self._settings.service_account
            token, authority = account / "token", account / "ca.crt"
            return kopf.ConnectionInfo(
                server=self._settings.api,
                ca_path=str(authority) if authority.exists() else None,
                token=token.read_text().strip() if token.exists() else None,
            )

        @kopf.on.event(group, version, declaration.PLURAL, registry=self.registry)
        def policy(event: Mapping[str, Any], **_: Any) -> None:
            self.policy_event(event.get("type"), event["object"])

        @kopf.on.event("mlops.seldon.io", "v1alpha1", "experiments", registry=self.registry)
        def experiment(event: Mapping[str, Any], **_: Any) -> None:
            self.experiment_event(event["object"])

    def policy_event(self, kind: str | None, body: Mapping[str, Any]) -> None:
        """Follow a policy that is new, go by a changed one, leave one that is gone."""
        name = body["metadata"]["name"]
        if kind == "DELETED":
            gone = self._loops.pop(name, None)
            self._specs.pop(name, None)
            if gone is not None:
                logger.info("%s is gone: its experiment keeps the weights that it has", name)
                gone.retire()
            return
        declared = (body["metadata"].get("uid"), body.get("spec"))
        if self._specs.get(name) == declared:
            return  # its status or its labels
        self._specs[name] = declared
        running = self._loops.get(name)
        if running is not None:
            running.declare(dict(body))
            return
        self._loops[name] = Loop(self._settings, name, dict(body), self._election)
        self._loops[name].start()

    def experiment_event(self, body: Mapping[str, Any]) -> None:
        """Tell policies of changed weights."""
        for each in list(self._loops.values()):
            each.weights_changed(Experiment.of(body))
