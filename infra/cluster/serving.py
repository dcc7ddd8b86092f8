"""What is served: Servers of our images, then Models, Pipelines, Experiments and BanditPolicies."""

import collections.abc

import pulumi

from infra import seldon
from infra.catalogue import bandits, experiments, models, pipelines
from infra.cluster import (
    access,
    artifacts,
    component,
    labels,
    manifest,
    network,
    settings,
    workload,
)
from runtimes.bandit import declaration

OWNED = {each.spec.experiment for each in bandits.POLICIES}
"""Experiments whose weights a bandit policy moves."""

SERVERS: collections.abc.Mapping[settings.Image, str] = {
    "predictor": "bellwether-predictor",
    "features": "bellwether-features",
    "guard": "bellwether-guard",
    "router": "bellwether-router",
    "explainer": "bellwether-explainer",
    "decision": "bellwether-decision",
    "bandit": "bellwether-bandit",
}
"""Image of a model server -> the capability that its models require."""

_SERVER_PODS = (labels.NAME, "seldon-server")
_REGISTRY = "/mnt/features/registry.db"


class Serving(component.Component):
    """The catalogue's Seldon objects."""

    def __init__(self, site: component.Site, after: component.Resources) -> None:
        super().__init__(site, "serving", after)
        servers = [
            self.add(_server(site, image, capability), ready="condition=Ready")
            for image, capability in SERVERS.items()
        ]
        if site.size.replicas > 1:
            for image in SERVERS:
                name = f"mlserver-{image}"
                self.add(workload.budget(name, {"seldon-server-name": name}), workload=name)
        self.add(_network(site.settings))
        self.models: dict[str, pulumi.Resource] = {
            each.name: self.add(
                _manifest(model(site, each)),
                ready="condition=Ready",
                after=servers,
            )
            for each in (*models.MODELS, *models.STEPS)
        }
        self.pipelines = {
            each.metadata.name: self.add(
                _manifest(each),
                ready="condition=Ready",
                after=[self.models[step.name] for step in each.spec.steps],
                # Updated in place, a pipeline answered 503 for good: a changed one is made anew.
                anew=["spec"],
            )
            for each in pipelines.PIPELINES
        }
        self.experiments = {
            each.metadata.name: self.add(
                _manifest(each),
                ready="condition=Ready",
                after=[self.models[candidate.name] for candidate in each.spec.candidates],
                ignore=["spec.candidates"] if each.metadata.name in OWNED else (),
            )
            for each in experiments.EXPERIMENTS
        }


class Policies(component.Component):
    """The bandit policies, once their controller is there."""

    def __init__(self, site: component.Site, serving: Serving, after: component.Resources) -> None:
        super().__init__(site, "policies", after)
        for each in bandits.POLICIES:
            target = serving.experiments.get(each.spec.experiment)
            self.add(
                declaration.manifest(each),
                ready="condition=Ready",
                after=[] if target is None else [target],
            )


def model(site: component.Site, served: models.ServedModel) -> seldon.Model:
    """Write a model of the catalogue as Seldon's, for this stack."""
    stack = site.settings
    addresses = {
        "kafka": access.kafka(stack, "model-servers").address,
        "valkey": access.valkey(stack).address,
        "registry": _REGISTRY,
    }
    given = [*served.parameters, *((name, addresses[name]) for name in served.connections)]
    parameters = tuple(seldon.Parameter(name=name, value=value) for name, value in given)
    return seldon.Model(
        metadata=seldon.ObjectMeta(name=served.name),
        spec=seldon.ModelSpec(
            storage_uri=site.storage[served.artifact],
            secret_name=artifacts.SECRET,
            requirements=served.requirements,
            memory=served.memory,
            replicas=site.size.replicas,
            parameters=parameters or None,
        ),
    )


def _manifest(thing: seldon.Object) -> manifest.Manifest:
    made = seldon.manifest(thing)
    made.pop("status", None)
    return made


def _server(site: component.Site, image: settings.Image, capability: str) -> manifest.Manifest:
    stack = site.settings
    name = f"mlserver-{image}"
    kafka, valkey = access.kafka(stack, "model-servers"), access.valkey(stack)
    mounts = [*kafka.mounts, *valkey.mounts]
    environment = {**kafka.environment, **valkey.environment, **_MLSERVER}
    volumes, mounted = workload.volumes(mounts), workload.mounted(mounts)
    volumes.append({"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}})
    mounted.append({"name": "tmp", "mountPath": "/tmp"})  # noqa: S108  an own, empty volume
    security: manifest.Manifest = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    pod: manifest.Manifest = {
        "automountServiceAccountToken": True,
        "securityContext": workload.pod_security(1000),
        "topologySpreadConstraints": workload.spread({"seldon-server-name": name}),
        "containers": [
            {"name": "rclone", "securityContext": security},
            {"name": "agent", "securityContext": security},
            {
                "name": "mlserver",
                "image": stack.images.reference(image),
                "imagePullPolicy": "IfNotPresent",
                "env": [
                    {"name": key, "value": value} for key, value in sorted(environment.items())
                ],
                "resources": site.size.model_server.manifest(),
                "securityContext": {**security, "readOnlyRootFilesystem": True},
                "volumeMounts": mounted,
            },
        ],
        "volumes": volumes,
    }
    if image == "features":
        _with_registry(site, pod)
    if stack.images.pull_secret is not None:
        pod["imagePullSecrets"] = [{"name": stack.images.pull_secret}]
    return {
        "apiVersion": "mlops.seldon.io/v1alpha1",
        "kind": "Server",
        "metadata": {"name": name},
        "spec": {
            "serverConfig": "mlserver",
            "capabilities": [capability],
            "replicas": site.size.replicas,
            "podSpec": pod,
            "statefulSetPersistentVolumeClaimRetentionPolicy": {
                "whenDeleted": "Delete",
                "whenScaled": "Delete",
            },
        },
    }


_MLSERVER = {
    # One process: what a runtime remembers is in one place, and a pod is the unit of scaling.
    "MLSERVER_PARALLEL_WORKERS": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
}


def _with_registry(site: component.Site, pod: manifest.Manifest) -> None:
    """Let a pod apply the feature registry for itself: a file made from the artifact's definitions."""
    fetched = artifacts.fetched(site, models.ENRICHMENT.artifact)
    stack = site.settings
    valkey = access.valkey(stack)
    command = [
        "python",
        "-m",
        "runtimes.features.apply",
        "--artifact",
        fetched.path,
        "--registry",
        _REGISTRY,
        "--valkey",
        valkey.address,
    ]
    folder = {"name": "features", "mountPath": _REGISTRY.rpartition("/")[0]}
    pod["initContainers"] = [
        fetched.container,
        {
            "name": "apply-registry",
            "image": stack.images.reference("features"),
            "imagePullPolicy": "IfNotPresent",
            "command": command,
            "resources": component.PROCESS.manifest(),
            "securityContext": workload.CONTAINER_SECURITY,
            "volumeMounts": [
                folder,
                {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  an own, empty volume
                *workload.mounted(fetched.mounts),
            ],
        },
    ]
    pod["volumes"] += [
        {"name": "features", "emptyDir": {"sizeLimit": "64Mi"}},
        *workload.volumes(fetched.mounts),
    ]
    container = pod["containers"][-1]
    container["volumeMounts"] += [folder, *workload.mounted(fetched.mounts[:1])]


def _network(stack: settings.Cluster) -> manifest.Manifest:
    own = access.kafka(stack, "model-servers").way, access.valkey(stack).way
    seldon_parts = (
        "seldon-scheduler",
        "seldon-envoy",
        "seldon-modelgateway",
        "seldon-pipelinegateway",
    )
    return network.policy(
        "seldon-server",
        dict([_SERVER_PODS]),
        ingress=[
            *(
                network.Way("requests", (9000, 9002, 9005, 9500, 9501, 9999), pods=each)
                for each in seldon_parts
            ),
            network.Way("scrapes", (9006, 8082), pods="prometheus"),
        ],
        egress=[
            network.Way("the scheduler", (9002, 9004, 9005, 9055), pods="seldon-scheduler"),
            network.api_server("the API server, for secrets"),
            artifacts.way(stack),
            *own,
        ],
    )
