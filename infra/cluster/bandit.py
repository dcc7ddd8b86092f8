"""The bandit's controller: its CRD, its rights, two replicas of which one leads."""

import json

from infra.cluster import access, component, controller_rights, network, workload
from runtimes.bandit import crd

PORT = 9050


class Bandit(component.Component):
    """The controller of BanditPolicies."""

    def __init__(self, site: component.Site, after: component.Resources) -> None:
        super().__init__(site, "bandit", after)
        stack = site.settings
        definition = self.add(crd.manifest(), keep=True)
        kafka, valkey = access.kafka(stack, "bandit"), access.valkey(stack)
        configuration = {
            "kafka": kafka.address,
            "valkey": valkey.address,
            "namespace": stack.namespace,
            "host": workload.ANY_ADDRESS,
            "port": PORT,
            "prometheus": "http://prometheus-operated:9090",
            "gateway": "http://seldon-mesh",
            "lease": controller_rights.LEASE,
        }
        self.controller = workload.declare(
            self,
            workload.Workload(
                name="bandit",
                image=stack.images.reference("bandit"),
                command=(
                    "python",
                    "-m",
                    "runtimes.bandit.controller",
                    f"{workload.CONFIGURATION}/bandit.json",
                ),
                resources=component.PROCESS,
                ready=workload.Probe(PORT, "/ready"),
                # Unready it waits, for Kafka, Valkey or the lease; alive it is as long as it answers.
                alive=workload.Probe(PORT, "/metrics"),
                ports={"metrics": PORT},
                replicas=min(2, site.size.replicas),
                files={"bandit.json": json.dumps(configuration, indent=2)},
                environment={**kafka.environment, **valkey.environment},
                mounts=(*kafka.mounts, *valkey.mounts),
                rules=controller_rights.rules(),
                ingress=(network.Way("scrapes", (PORT,), pods="prometheus"),),
                egress=(
                    kafka.way,
                    valkey.way,
                    network.api_server(),
                    network.Way("the arms' errors and latencies", (9090,), pods="prometheus"),
                    network.Way("whether a vetoed arm has healed", (9000,), pods="seldon-envoy"),
                ),
                pull_secret=stack.images.pull_secret,
            ),
            [definition],
        )
