"""The monitor: one process with a disk, which reads topics and keeps what it saw."""

import json

from infra.catalogue import models, pipelines
from infra.cluster import access, artifacts, component, network, workload

PORT = 9060


class Monitor(component.Component):
    """The monitor. Its files are its state: one at a time, on one volume."""

    def __init__(self, site: component.Site, after: component.Resources) -> None:
        super().__init__(site, "monitor", after)
        stack = site.settings
        kafka = access.kafka(stack, "monitor")
        fetched = artifacts.fetched(site, models.ENRICHMENT.artifact)
        configuration = {
            "kafka": kafka.address,
            "folder": "/data/records",
            "bars": f"{fetched.path}/bars.npz",
            "namespace": stack.namespace,
            "pipeline": pipelines.PREDICTION.metadata.name,
            "host": workload.ANY_ADDRESS,
            "port": PORT,
        }
        self.monitor = workload.declare(
            self,
            workload.Workload(
                name="monitor",
                image=stack.images.reference("monitor"),
                command=(
                    "python",
                    "-m",
                    "runtimes.monitor",
                    f"{workload.CONFIGURATION}/monitor.json",
                ),
                resources=site.size.model_server,
                ready=workload.Probe(PORT, "/ready"),
                # Unready it waits for Kafka or for space; alive it is as long as it answers.
                alive=workload.Probe(PORT, "/metrics", start_seconds=600),
                ports={"metrics": PORT},
                files={"monitor.json": json.dumps(configuration, indent=2)},
                environment=kafka.environment,
                mounts=(*kafka.mounts, *fetched.mounts),
                init=(fetched.container,),
                storage=site.size.monitor_storage,
                annotations={
                    "bellwether.dev/backup": "records are read again from Kafka, as far as topics reach back",
                    "bellwether.dev/policy-exception": "replicas: its files have one writer, "
                    "and no request for a prediction waits for it",
                },
                ingress=(
                    network.Way("scrapes", (PORT,), pods="prometheus"),
                    network.Way("what it knows of predictions", (PORT,), pods="console"),
                ),
                egress=(kafka.way, fetched.way),
                pull_secret=stack.images.pull_secret,
                grace_seconds=60,
            ),
        )
