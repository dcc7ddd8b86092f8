"""The feature store's stream: what fills the online store, and applies the registry."""

import json

from infra.catalogue import models
from infra.cluster import access, artifacts, component, network, workload

PORT = 9030


class Features(component.Component):
    """The feature stream. Its state is in Kafka and Valkey: one at a time, wherever it runs."""

    def __init__(self, site: component.Site, after: component.Resources) -> None:
        super().__init__(site, "features", after)
        stack = site.settings
        kafka, valkey = access.kafka(stack, "feature-stream"), access.valkey(stack)
        fetched = artifacts.fetched(site, models.ENRICHMENT.artifact)
        configuration = {
            "kafka": kafka.address,
            "valkey": valkey.address,
            "registry": "/tmp/registry.db",  # noqa: S108  in a pod's own empty volume
            "artifact": fetched.path,
            "host": workload.ANY_ADDRESS,
            "port": PORT,
        }
        self.stream = workload.declare(
            self,
            workload.Workload(
                name="feature-stream",
                image=stack.images.reference("features"),
                command=(
                    "python",
                    "-m",
                    "runtimes.features.stream",
                    f"{workload.CONFIGURATION}/stream.json",
                ),
                resources=component.PROCESS,
                ready=workload.Probe(PORT, "/ready"),
                # It is alive as long as it answers at all: unready, it waits for Kafka or Valkey.
                alive=workload.Probe(PORT, "/metrics"),
                ports={"metrics": PORT},
                files={"stream.json": json.dumps(configuration, indent=2)},
                environment={**kafka.environment, **valkey.environment},
                mounts=(*kafka.mounts, *valkey.mounts, *fetched.mounts),
                init=(fetched.container,),
                ingress=(network.Way("scrapes", (PORT,), pods="prometheus"),),
                egress=(kafka.way, valkey.way, fetched.way),
                alone=True,
                pull_secret=stack.images.pull_secret,
            ),
        )
