"""A small stack in which every rule holds, as a production stack registers one."""

import copy

from policies import objects, stacks

REGISTRY = "registry.example.com/bellwether"
DIGEST = "sha256:" + "a97093acd41d9ed0fd6246f9803f8794" * 2
PRODUCTION = stacks.Stack("production", "production", REGISTRY)
STAGING = stacks.Stack("staging", "staging", REGISTRY)
DEV = stacks.Stack("dev", "dev", REGISTRY)


def labels(name):
    return {
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/component": "serving",
        "app.kubernetes.io/instance": "production",
        "app.kubernetes.io/part-of": "bellwether",
        "app.kubernetes.io/managed-by": "pulumi",
    }


def thing(version, kind, name, *, annotations=None, namespace="bellwether", **rest):
    options = {key: rest.pop(key) for key in ("protect", "retained", "ignored") if key in rest}
    meta = {"name": name, "labels": labels(name)}
    if namespace:
        meta["namespace"] = namespace
    if annotations:
        meta["annotations"] = annotations
    token = version if "/" in version else f"core/{version}"
    return objects.Resource(
        type=f"kubernetes:{token}:{kind}",
        name=f"{kind}/{name}",
        inputs={"apiVersion": version, "kind": kind, "metadata": meta, **rest},
        **options,
    )


def container(name, **rest):
    return {
        "name": name,
        "image": f"{REGISTRY}/{name}@{DIGEST}",
        "resources": {"requests": {"cpu": "100m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "env": [{"name": "BELLWETHER_VALKEY_PASSWORD_FILE", "value": "/var/run/secrets/password"}],
        **rest,
    }


def pod(name, **rest):
    return {
        "serviceAccountName": name,
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container(name)],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
        **rest,
    }


def template(name, **rest):
    return {"metadata": {"labels": labels(name)}, "spec": pod(name, **rest)}


def budget(name, selector):
    return thing(
        "policy/v1",
        "PodDisruptionBudget",
        name,
        spec={"maxUnavailable": 1, "selector": {"matchLabels": selector}},
    )


def name_label(name):
    return {"app.kubernetes.io/name": name}


KEPT = {"protect": True, "retained": True}
_RETAINED = {"whenDeleted": "Retain", "whenScaled": "Retain"}
_OVERLAID = {
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [
        {
            "name": "agent",
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            },
        },
        container("mlserver", image=f"{REGISTRY}/predictor@{DIGEST}"),
    ],
}

RESOURCES = (
    thing(
        "v1",
        "Namespace",
        "bellwether",
        namespace=None,
        **KEPT,
    ),
    thing(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        "deny-by-default",
        spec={"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
    ),
    thing(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        "console",
        spec={
            "podSelector": {"matchLabels": name_label("console")},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {
                    "from": [{"podSelector": {"matchLabels": name_label("prometheus")}}],
                    "ports": [{"port": 9090}],
                }
            ],
            "egress": [
                {
                    "to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}}],
                    "ports": [{"port": 443}],
                }
            ],
        },
    ),
    thing("v1", "Secret", "credentials", stringData={"password": objects.HIDDEN}),
    thing("v1", "ConfigMap", "console", data={"console.json": '{"kafka": "kafka:9093"}'}),
    thing(
        "apps/v1", "Deployment", "console", spec={"replicas": 2, "template": template("console")}
    ),
    budget("console", name_label("console")),
    thing(
        "apps/v1",
        "StatefulSet",
        "valkey",
        spec={
            "replicas": 3,
            "template": template("valkey"),
            "volumeClaimTemplates": [{"metadata": {"name": "data"}}],
            "persistentVolumeClaimRetentionPolicy": _RETAINED,
        },
        **KEPT,
    ),
    budget("valkey", name_label("valkey")),
    thing(
        "batch/v1",
        "CronJob",
        "valkey-backup",
        spec={"jobTemplate": {"spec": {"template": template("valkey-backup")}}},
    ),
    thing("batch/v1", "Job", "once", spec={"template": template("once")}),
    thing("apps/v1", "DaemonSet", "every", spec={"template": template("every")}),
    thing("v1", "Pod", "alone", spec=pod("alone")),
    thing(
        "mlops.seldon.io/v1alpha1",
        "Server",
        "mlserver",
        spec={"replicas": 2, "podSpec": _OVERLAID},
    ),
    budget("mlserver", {"seldon-server-name": "mlserver"}),
    thing(
        "mlops.seldon.io/v1alpha1",
        "SeldonRuntime",
        "seldon",
        spec={
            "overrides": [
                {"name": "hodometer", "disable": True},
                {"name": "seldon-scheduler", "replicas": 1, "podSpec": _OVERLAID},
            ]
        },
    ),
    thing(
        "kafka.strimzi.io/v1beta2",
        "Kafka",
        "kafka",
        annotations={"strimzi.io/node-pools": "enabled"},
        spec={
            "kafka": {"config": {"default.replication.factor": 3, "min.insync.replicas": 2}},
            "entityOperator": {"topicOperator": {"resources": container("x")["resources"]}},
        },
        **KEPT,
    ),
    thing(
        "kafka.strimzi.io/v1beta2",
        "KafkaNodePool",
        "nodes",
        spec={
            "replicas": 3,
            "resources": container("x")["resources"],
            "storage": {"type": "persistent-claim", "deleteClaim": False},
            "template": {"pod": {"securityContext": {"runAsNonRoot": True}}},
        },
        **KEPT,
    ),
    thing("kafka.strimzi.io/v1beta2", "KafkaTopic", "decisions", spec={"partitions": 1}, **KEPT),
    thing(
        "monitoring.coreos.com/v1",
        "Prometheus",
        "prometheus",
        spec={
            "version": "v3.5.0",
            "replicas": 2,
            "serviceAccountName": "prometheus",
            "resources": container("x")["resources"],
            "securityContext": _OVERLAID["securityContext"],
            "storage": {"volumeClaimTemplate": {"spec": {}}},
        },
    ),
    budget("prometheus", name_label("prometheus")),
    thing(
        "rbac.authorization.k8s.io/v1",
        "Role",
        "prometheus",
        rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}],
    ),
    thing(
        "rbac.authorization.k8s.io/v1",
        "RoleBinding",
        "prometheus",
        roleRef={"kind": "Role", "name": "prometheus"},
        subjects=[{"kind": "ServiceAccount", "name": "prometheus"}],
    ),
    thing(
        "mlops.seldon.io/v1alpha1",
        "Model",
        "baseline",
        spec={"storageUri": f"s3://artifacts/baseline/sha256-{'0123456789abcdef' * 4}"},
    ),
    thing(
        "mlops.seldon.io/v1alpha1",
        "Experiment",
        "mab",
        spec={
            "default": "baseline",
            "candidates": [{"name": "baseline", "weight": 60}, {"name": "other", "weight": 40}],
        },
        ignored=("spec.candidates",),
    ),
    thing(
        "bandits.bellwether.dev/v1alpha1",
        "BanditPolicy",
        "mab",
        spec={"experiment": "mab", "explorationRate": 0.1, "maxStep": 0.2},
    ),
    objects.Resource(
        type="kubernetes:helm.sh/v3:Release",
        name="strimzi-kafka-operator",
        inputs={
            "chart": "strimzi-kafka-operator",
            "name": "strimzi-kafka-operator",
            "namespace": "bellwether",
            "version": "0.45.2",
            "repositoryOpts": {"repo": "https://strimzi.io/charts/"},
            "values": {
                "extraEnvs": [
                    {"name": "STRIMZI_POD_SECURITY_PROVIDER_CLASS", "value": "restricted"}
                ],
                "image": {"registry": "quay.io", "repository": "strimzi/op", "tag": "0.45.2"},
            },
        },
    ),
)
RESOURCES[0].inputs["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = "restricted"


def changed(title, path, value, **options):
    """The stack with one input of one object set otherwise; `...` takes it away, None the object."""
    made = []
    for each in RESOURCES:
        if each.name != title:
            made.append(each)
        elif path is not None:
            inputs = copy.deepcopy(dict(each.inputs))
            _set(inputs, path, value)
            made.append(_with(each, inputs, options))
    assert made != list(RESOURCES) or options, f"{title} is not there, or is as before"
    return made


def _with(each, inputs, options):
    given = {name: getattr(each, name) for name in ("protect", "retained", "ignored")}
    return objects.Resource(each.type, each.name, inputs, **{**given, **options})


def _set(inputs, path, value):
    if not path:
        return
    *before, last = path
    for key in before:
        inputs = inputs[key] if isinstance(key, int) else inputs.setdefault(key, {})
    if value is ...:
        del inputs[last]
    else:
        inputs[last] = value
