"""What every component of the cluster is made of: a site to build on, and a way to add objects."""

import collections.abc
import dataclasses
import typing

import pulumi
import pulumi_kubernetes

from infra.cluster import labels, manifest, settings, sizes

Resources = collections.abc.Sequence[pulumi.Resource]

SMALL = sizes.Resources("50m", "64Mi", "128Mi")
"""What a helper asks for that does next to nothing."""

PROCESS = sizes.Resources("100m", "512Mi", "1Gi")
"""What a process of ours asks for that reads topics and writes what it learnt."""

READY_MINUTES = 10
"""How long an object may take to be ready before an update fails."""


@dataclasses.dataclass(frozen=True)
class Site:
    """Where a stack is built, and what is known before anything is."""

    settings: settings.Cluster
    provider: pulumi.ProviderResource
    storage: collections.abc.Mapping[str, str]
    """Folder under `models/` -> the URI of its trained artifact."""

    @property
    def namespace(self) -> str:
        """The environment's namespace."""
        return self.settings.namespace

    @property
    def size(self) -> sizes.Size:
        """The kind's defaults."""
        return self.settings.size


class Component(pulumi.ComponentResource):
    """A part of the environment. Its objects are private; what others need are its attributes."""

    def __init__(self, site: Site, name: str, after: Resources = ()) -> None:
        options = pulumi.ResourceOptions(depends_on=list(after))
        super().__init__(f"bellwether:cluster:{type(self).__name__}", name, None, opts=options)
        self.site = site
        self.component = name
        self._after = list(after)

    def add(  # noqa: PLR0913  an object has these sides, all named at the call site
        self,
        given: manifest.Manifest,
        *,
        after: Resources = (),
        keep: bool = False,
        ready: str | None = None,
        ignore: collections.abc.Sequence[str] = (),
        anew: collections.abc.Sequence[str] = (),
        workload: str | None = None,
    ) -> manifest.Object:
        """Register an object.

        Args:
            given: its manifest; labels and, where it has none, the namespace are added.
            after: what has to be there first.
            keep: it is stateful: protected, and kept when its declaration goes, where the size says so.
            ready: the condition to await, such as `condition=Ready`.
            ignore: paths that somebody else owns.
            anew: paths whose change removes the object first, and makes it anew.
            workload: the label `app.kubernetes.io/name`; the object's name if not given.

        """
        made = self._labelled(given, workload)
        if ready is not None:
            annotations = made["metadata"].setdefault("annotations", {})
            annotations[manifest.WAIT_FOR] = ready
        kept = keep and self.site.size.keep
        minutes = f"{READY_MINUTES}m"
        return manifest.Object(
            title(made, self.site.namespace),
            made,
            pulumi.ResourceOptions(
                parent=self,
                provider=self.site.provider,
                # A component's own dependencies reach its children by hand: the engine passes none on.
                depends_on=[*self._after, *after],
                protect=kept or None,
                retain_on_delete=kept or None,
                ignore_changes=list(ignore) or None,
                replace_on_changes=list(anew) or None,
                delete_before_replace=bool(anew) or None,
                custom_timeouts=pulumi.CustomTimeouts(create=minutes, update=minutes),
            ),
        )

    def chart(  # noqa: PLR0913  as above
        self,
        chart: str,
        *,
        version: str,
        repository: str,
        values: collections.abc.Mapping[str, typing.Any],
        namespace: str,
        after: Resources = (),
    ) -> pulumi.Resource:
        """Register a chart's release: one resource, whose hooks run, awaited."""
        return pulumi_kubernetes.helm.v3.Release(
            chart,
            name=chart,
            chart=chart,
            version=version,
            repository_opts=pulumi_kubernetes.helm.v3.RepositoryOptsArgs(repo=repository),
            namespace=namespace,
            create_namespace=False,
            atomic=True,
            timeout=READY_MINUTES * 60,
            values=dict(values),
            opts=pulumi.ResourceOptions(
                parent=self,
                provider=self.site.provider,
                depends_on=[*self._after, *after],
                version=manifest.PROVIDER_VERSION,
            ),
        )

    def _labelled(self, given: manifest.Manifest, workload: str | None) -> manifest.Manifest:
        meta = dict(given.get("metadata", {}))
        name = workload or meta["name"]
        own = labels.of(name, self.component, self.site.settings.environment)
        meta["labels"] = dict(sorted({**own, **meta.get("labels", {})}.items()))
        if given["kind"] not in _CLUSTER_WIDE:
            meta.setdefault("namespace", self.site.namespace)
        return {**given, "metadata": meta}


_CLUSTER_WIDE = {"Namespace", "CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding"}


def title(made: manifest.Manifest, namespace: str) -> str:
    """Give a resource's name in Pulumi: kind and name, with a namespace that is not the stack's own."""
    meta = made["metadata"]
    elsewhere = meta.get("namespace", namespace)
    suffix = "" if elsewhere == namespace else f"@{elsewhere}"
    return f"{made['kind']}/{meta['name']}{suffix}"
