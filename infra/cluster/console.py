"""The console: what people look at, reached through an ingress or a port-forward."""

import json

from infra.cluster import access, component, manifest, network, workload
from runtimes.bandit import declaration

PORT = 8050

RULES: tuple[manifest.Manifest, ...] = (
    {
        "apiGroups": ["mlops.seldon.io"],
        "resources": ["experiments", "models", "pipelines"],
        "verbs": ["get", "list"],
    },
    {
        # Freeze and activate are patches of the policy.
        "apiGroups": [declaration.GROUP],
        "resources": [declaration.PLURAL],
        "verbs": ["get", "list", "patch"],
    },
)


class Console(component.Component):
    """The console."""

    def __init__(self, site: component.Site, after: component.Resources) -> None:
        super().__init__(site, "console", after)
        stack = site.settings
        kafka, valkey = access.kafka(stack, "console"), access.valkey(stack)
        configuration = {
            "gateway": "http://seldon-mesh",
            "api": "https://kubernetes.default.svc",
            "kafka": kafka.address,
            "valkey": valkey.address,
            "prometheus": "http://prometheus-operated:9090",
            "monitor": "http://monitor:9060",
            "namespace": stack.namespace,
            "host": workload.ANY_ADDRESS,
            "port": PORT,
        }
        callers = tuple(
            network.Way("people, by an ingress", (PORT,), namespace=each)
            for each in stack.ingress_namespaces
        )
        self.deployment = workload.declare(
            self,
            workload.Workload(
                name="console",
                image=stack.images.reference("console"),
                command=(
                    "python",
                    "-m",
                    "runtimes.console",
                    f"{workload.CONFIGURATION}/console.json",
                ),
                resources=component.PROCESS,
                ready=workload.Probe(PORT, "/ready"),
                alive=workload.Probe(PORT, "/ready"),
                ports={"http": PORT},
                replicas=min(2, site.size.replicas),
                files={"console.json": json.dumps(configuration, indent=2)},
                environment={**kafka.environment, **valkey.environment},
                mounts=(*kafka.mounts, *valkey.mounts),
                rules=RULES,
                ingress=callers,
                egress=(
                    kafka.way,
                    valkey.way,
                    network.api_server(),
                    network.Way("metrics", (9090,), pods="prometheus"),
                    network.Way("predictions, explanations", (9000,), pods="seldon-envoy"),
                    network.Way("what the monitor knows", (9060,), pods="monitor"),
                ),
                pull_secret=stack.images.pull_secret,
            ),
        )
