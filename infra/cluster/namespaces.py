"""The namespaces: Pod Security, deny by default, limits for what declares none."""

from infra.cluster import component, manifest, network


class Namespaces(component.Component):
    """The environment's namespace, and the operators'."""

    def __init__(self, site: component.Site) -> None:
        super().__init__(site, "namespaces")
        wanted = site.settings
        # Operators' charts leave out parts of what `restricted` asks for (seccomp profiles, dropped
        # capabilities of Seldon's controller): there it warns, and `baseline` is enforced.
        self.operators = self.add(_namespace(wanted.operators_namespace, "baseline"), keep=True)
        self.own = self.add(_namespace(wanted.namespace, "restricted"), keep=True)
        self.ready: list[manifest.Object] = [self.own, self.operators]
        for namespace in (wanted.operators_namespace, wanted.namespace):
            for policy in (network.deny_all(namespace), network.allow_dns(namespace)):
                self.add(policy, after=self.ready)
        self.add(
            network.policy(
                "operators",
                {},
                namespace=wanted.operators_namespace,
                egress=(
                    network.api_server(),
                    network.Way(
                        "what they operate",
                        (8443, 9004, 9044, 9090, 9091, 9093, 9095),
                        namespace=wanted.namespace,
                    ),
                ),
                ingress=(network.Way("scrapes", (8080, 8081), namespace=wanted.namespace),),
            ),
            after=self.ready,
        )
        self.add(_limits(wanted.namespace), after=self.ready)


def _namespace(name: str, level: str) -> manifest.Manifest:
    modes = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("warn", "audit")}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": name,
            "labels": {
                **modes,
                "pod-security.kubernetes.io/enforce": level,
                "pod-security.kubernetes.io/enforce-version": "latest",
            },
        },
    }


def _limits(namespace: str) -> manifest.Manifest:
    """Give containers of operators' making that declare nothing something sane."""
    return {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "defaults", "namespace": namespace},
        "spec": {
            "limits": [
                {
                    "type": "Container",
                    "default": {"memory": "512Mi"},
                    "defaultRequest": {"cpu": "50m", "memory": "128Mi"},
                }
            ]
        },
    }
