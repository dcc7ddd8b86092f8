"""The catalogue on a cluster: what the program registers, in the order in which it can be.

What brings kinds and operators comes first, then what uses them; each awaits what it needs.
"""

import collections.abc
import pathlib

import pulumi
import pulumi_kubernetes

from infra.cluster import (
    artifacts,
    backups,
    bandit,
    component,
    console,
    features,
    kafka,
    manifest,
    monitor,
    monitoring,
    namespaces,
    seldon_core,
    serving,
    settings,
    valkey,
)


def declare(stack: settings.Cluster, provenance: collections.abc.Mapping[str, str]) -> None:
    """Register everything; `provenance` maps each folder under `models/` to its artifact's key."""
    site = component.Site(stack, _provider(stack), artifacts.uris(stack, provenance))
    rooms = namespaces.Namespaces(site)
    bucket = artifacts.Artifacts(site, rooms.ready)
    broker = kafka.Kafka(site, rooms.ready)
    store = valkey.Valkey(site, rooms.ready)
    backups.Backups(site, [*store.ready, bucket.secret])
    monitoring.Monitoring(site, rooms.ready)
    platform = seldon_core.SeldonCore(site, [*rooms.ready, *broker.ready, bucket.secret])
    stream = features.Features(site, [*broker.ready, *store.ready, bucket.secret])
    served = serving.Serving(site, [*platform.ready, *store.ready, stream.stream])
    controller = bandit.Bandit(site, [*broker.ready, *store.ready])
    serving.Policies(site, served, [controller.controller])
    watcher = monitor.Monitor(site, [*broker.ready, bucket.secret])
    console.Console(site, [*broker.ready, *store.ready, watcher.monitor])
    pulumi.export("gateway", f"http://seldon-mesh.{stack.namespace}")
    pulumi.export("namespace", stack.namespace)


def _provider(stack: settings.Cluster) -> pulumi_kubernetes.Provider:
    """Name the cluster: never the current context by accident."""
    given = stack.kubeconfig
    return pulumi_kubernetes.Provider(
        "cluster",
        context=stack.context,
        kubeconfig=None if given is None else str(pathlib.Path(given).expanduser()),
        enable_server_side_apply=True,
        opts=pulumi.ResourceOptions(version=manifest.PROVIDER_VERSION),
    )
