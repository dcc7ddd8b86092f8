"""Network policies: nothing may talk, but for the ways that are named here.

https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

import collections.abc
import dataclasses
import typing

from infra.cluster import labels, manifest

DNS_NAMESPACE = "kube-system"
_NAMESPACE = "kubernetes.io/metadata.name"
_PRIVATE = ("169.254.0.0/16",)
"""Link-local addresses, a cloud's metadata service among them: no workload has business there."""


@dataclasses.dataclass(frozen=True, slots=True)
class Way:
    """Pods, a namespace's pods or addresses, and the ports that are spoken to. One of the first three."""

    why: str
    ports: tuple[int, ...]
    pods: str | None = None
    """The label `app.kubernetes.io/name`."""
    matching: tuple[tuple[str, str], ...] | None = None
    """Or other labels of pods."""
    namespace: str | None = None
    """Where those pods are, or any pod of it; the same namespace if not given."""
    networks: tuple[str, ...] = ()

    def peers(self) -> list[dict[str, typing.Any]]:
        """Write who is at the other end."""
        if self.networks:
            return [{"ipBlock": _block(cidr)} for cidr in self.networks]
        peer: dict[str, typing.Any] = {}
        if self.namespace is not None:
            peer["namespaceSelector"] = {"matchLabels": {_NAMESPACE: self.namespace}}
        if self.pods is not None:
            peer["podSelector"] = {"matchLabels": {labels.NAME: self.pods}}
        elif self.matching is not None:
            peer["podSelector"] = {"matchLabels": dict(self.matching)}
        elif self.namespace is None:
            peer["podSelector"] = {}
        return [peer]


def api_server(why: str = "the API server") -> Way:
    """Give the way to Kubernetes' own API, whose addresses only a cluster knows."""
    return Way(why, (443, 6443), networks=("0.0.0.0/0",))


def _block(cidr: str) -> dict[str, typing.Any]:
    return {"cidr": cidr, "except": list(_PRIVATE)} if cidr == "0.0.0.0/0" else {"cidr": cidr}


def deny_all(namespace: str) -> manifest.Manifest:
    """Deny everything to and from every pod of a namespace."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "deny-by-default", "namespace": namespace},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
    }


def allow_dns(namespace: str) -> manifest.Manifest:
    """Let every pod of a namespace resolve names."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "allow-dns", "namespace": namespace},
        "spec": {
            "podSelector": {},
            "policyTypes": ["Egress"],
            "egress": [
                {
                    "to": [{"namespaceSelector": {"matchLabels": {_NAMESPACE: DNS_NAMESPACE}}}],
                    "ports": [{"protocol": protocol, "port": 53} for protocol in ("TCP", "UDP")],
                }
            ],
        },
    }


def policy(
    name: str,
    pods: collections.abc.Mapping[str, str],
    *,
    ingress: collections.abc.Sequence[Way] = (),
    egress: collections.abc.Sequence[Way] = (),
    namespace: str | None = None,
) -> manifest.Manifest:
    """Write the ways to and from the pods that carry the labels `pods`; all pods, if there are none."""
    # An empty `matchLabels` would be another generation of the policy at each update.
    spec: dict[str, typing.Any] = {"podSelector": {"matchLabels": dict(pods)} if pods else {}}
    spec["policyTypes"] = [
        *(["Ingress"] if ingress else []),
        *(["Egress"] if egress else []),
    ]
    if ingress:
        spec["ingress"] = [{"from": way.peers(), "ports": _ports(way)} for way in ingress]
    if egress:
        spec["egress"] = [{"to": way.peers(), "ports": _ports(way)} for way in egress]
    reasons = "; ".join(way.why for way in (*ingress, *egress))
    meta: dict[str, typing.Any] = {
        "name": name,
        "annotations": {"bellwether.dev/why": reasons},
    }
    if namespace is not None:
        meta["namespace"] = namespace
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": meta,
        "spec": spec,
    }


def _ports(way: Way) -> list[dict[str, typing.Any]]:
    return [{"protocol": "TCP", "port": port} for port in way.ports]
