"""The bandit's controller at a real API server, with the rights that a stack gives it."""

import contextlib
import functools
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

from infra.cluster import controller_rights, recording
from loadtests import bandit_parts
from loadtests.bandit_parts import until
from tests.cluster import api_server as api_servers

ACCOUNT = "bandit"
EXPERIMENT = "mlops.seldon.io/v1alpha1"
POLICY = "bandits.bellwether.dev/v1alpha1"
EXPERIMENTS = tuple(f"split-{number}" for number in range(20))
"""What the controller has rights to; each test has one of its own."""


@functools.cache
def registered() -> dict[str, recording.Registered]:
    """What the stack `dev` registers, by title; nobody changes it."""
    return {each.name: each for each in recording.record("dev")}


def rights(title: str) -> api_servers.Manifest:
    """Give an object of the controller's rights, such as `Role/bandit`."""
    return registered()[title].inputs


def grant(
    server: api_servers.ApiServer, namespace: str, experiments: Sequence[str] = EXPERIMENTS
) -> api_servers.Client:
    """Give a namespace the controller's account and rights to experiments; speak as it."""
    role = {**rights("Role/bandit"), "rules": list(controller_rights.rules(experiments))}
    for given in (rights("ServiceAccount/bandit"), role, rights("RoleBinding/bandit")):
        server.admin.apply({**given, "metadata": {"name": ACCOUNT, "namespace": namespace}})
    return server.as_account(namespace, ACCOUNT)


class Parts(bandit_parts.Parts):
    """Kafka and Valkey of one's own, the API server, and controllers with a Lease."""

    def __init__(self, folder: pathlib.Path, server: api_servers.ApiServer, namespace: str) -> None:
        super().__init__(folder)
        self.server, self.namespace, self.api = server, namespace, server.url
        self.experiments = iter(EXPERIMENTS)
        self.http.close()
        self.http = server.admin.http
        self.account = folder / "service-account"
        self.account.mkdir()
        (self.account / "ca.crt").write_bytes(server.authority.read_bytes())
        self.client = grant(server, namespace)
        self.renew_token()
        self.controller = self.another_controller(self.port, "first")

    def renew_token(self) -> None:
        """Give the controller a new token, as the kubelet does."""
        token = self.server.account_token(self.namespace, ACCOUNT)
        (self.account / "token").write_text(token)

    def another_controller(self, port: int, holder: str, **given: Any) -> bandit_parts.Part:
        """Make a controller beside the first one."""
        if not hasattr(self, "account"):  # the mesh's, which is not used here
            return super().another_controller(port, holder, **given)
        told = {"service_account": str(self.account), "lease": controller_rights.LEASE}
        return super().another_controller(port, holder, **told, **given)

    def start(self) -> None:
        """Start all."""
        self.start_stores()
        self.controller.start()
        until(self.controller_ready, "the controller is ready", 180)

    def close(self) -> None:
        """Kill what this started; the API server is somebody else's."""
        for part in (self.controller, self.valkey, self.broker):
            part.kill()

    def _apply(self, url: str, body: dict[str, Any]) -> None:
        del url
        body["metadata"]["namespace"] = self.namespace
        self.server.admin.apply(body)

    def object(self, api_version: str, kind: str, name: str) -> api_servers.Manifest:
        """Read an object of the namespace."""
        meta = {"name": name, "namespace": self.namespace}
        return self.server.admin.get({"apiVersion": api_version, "kind": kind, "metadata": meta})

    def reward(self, prefix: str, count: int, best: str = "three") -> None:
        """Send decisions, evenly over the arms, and rewards: 1 for the best arm, 0 for others."""
        traffic = self.traffic()
        for number in range(count):
            arm = bandit_parts.ARMS[number % len(bandit_parts.ARMS)]
            traffic.decide(f"{prefix}-{number}", arm)
            traffic.reward(f"{prefix}-{number}", (arm == best) + number % 7 / 100)
        traffic.flush()

    def moved(self) -> dict[str, int]:
        """Wait until the best arm has nearly all of the traffic; give the weights."""
        return until(
            lambda: self.weights() if self.weights()["three"] > 9000 else None,
            "three has the traffic",
        )


@contextlib.contextmanager
def running(folder: pathlib.Path, server: api_servers.ApiServer, namespace: str) -> Iterator[Parts]:
    """Start all parts."""
    made = Parts(folder, server, namespace)
    try:
        made.start()
        yield made
    finally:
        made.close()
