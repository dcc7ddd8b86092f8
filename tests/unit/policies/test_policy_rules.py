"""Each rule lets the good stack be, and stops each bad case with its reason."""

# ruff: noqa: E501  a case is one line, to be compared with its neighbours

import exemplary_stack as exemplary
import pytest
from pulumi_policy import (
    PolicyCustomTimeouts,
    PolicyResource,
    PolicyResourceOptions,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
)

from policies import judge, levels, pack, rules, stacks

POD = ("spec", "template", "spec")
FIRST = (*POD, "containers", 0)
CRON = ("spec", "jobTemplate", "spec", "template", "spec", "containers", 0)
OVERLAID = ("spec", "podSpec", "containers")
WAY = ("spec", "ingress", 0)
OUT = ("spec", "egress", 0)
CHART = "strimzi-kafka-operator"

# rule, object, path of the input, its value, the fault's path (if another), a piece of the reason
BAD = [
    ("image-pinned", "Deployment/console", (*FIRST, "image"), "docker.io/valkey/valkey:latest", "the tag `latest`"),
    ("image-pinned", "CronJob/valkey-backup", (*CRON, "image"), "docker.io/valkey/valkey", "no tag"),
    ("image-pinned", "StatefulSet/valkey", (*FIRST, "image"), "docker.io/valkey/valkey:8.1", "no exact version"),
    ("image-pinned", "Job/once", (*FIRST, "image"), f"{exemplary.REGISTRY}/bandit:1.2.3", "not by its digest"),
    ("image-pinned", CHART, ("values", "image", "tag"), "latest", "the tag `latest`"),
    ("image-pinned", "Prometheus/prometheus", ("spec", "version"), "v3", "no exact one"),
    ("image-registry", "Pod/alone", ("spec", "containers", 0, "image"), "busybox:1.36.1", "not allowed"),
    ("image-registry", "Server/mlserver", (*OVERLAID, 1, "image"), f"evil.example/x@{exemplary.DIGEST}", "not allowed"),
    ("image-registry", "Job/once", (*FIRST, "image"), f"docker.io/valkey/valkey-evil@{exemplary.DIGEST}", "not allowed"),
    ("image-registry", CHART, ("values", "image", "registry"), "evil.example", "not allowed"),
    ("chart-pinned", CHART, ("version",), ">=0.45", "no exact one"),
    ("chart-pinned", CHART, ("version",), ..., "no exact one"),
    ("chart-pinned", CHART, ("repositoryOpts", "repo"), "http://strimzi.io/charts/", "over TLS"),
    ("requests-and-limits", "Deployment/console", (*FIRST, "resources", "limits"), {}, "no limit of memory"),
    ("requests-and-limits", "DaemonSet/every", (*FIRST, "resources", "requests", "cpu"), ..., "no request of cpu"),
    ("requests-and-limits", "Pod/alone", ("spec", "containers", 0, "resources", "requests", "memory"), "2Gi", "more than its limit"),
    ("requests-and-limits", "Kafka/kafka", ("spec", "entityOperator", "topicOperator", "resources"), {}, "topicOperator has no"),
    ("requests-and-limits", "KafkaNodePool/nodes", ("spec", "resources"), {}, "nodes has no"),
    ("requests-and-limits", "Prometheus/prometheus", ("spec", "resources", "limits"), {}, "no limit of memory"),
    ("restricted-pod", "Deployment/console", (*POD, "securityContext", "runAsNonRoot"), False, "running as root"),
    ("restricted-pod", "Deployment/console", (*POD, "securityContext", "runAsUser"), 0, "runs as root"),
    ("restricted-pod", "StatefulSet/valkey", (*POD, "securityContext", "seccompProfile"), ..., "no seccomp profile"),
    ("restricted-pod", "StatefulSet/valkey", (*POD, "securityContext", "seccompProfile", "type"), "Unconfined", "not confined"),
    ("restricted-pod", "CronJob/valkey-backup", (*CRON, "securityContext", "allowPrivilegeEscalation"), ..., "gain privileges"),
    ("restricted-pod", "Job/once", (*FIRST, "securityContext", "capabilities", "drop"), ["NET_RAW"], "keeps capabilities"),
    ("restricted-pod", "Job/once", (*FIRST, "securityContext", "capabilities", "add"), ["SYS_ADMIN"], "is given SYS_ADMIN"),
    ("restricted-pod", "Pod/alone", ("spec", "hostNetwork"), True, "namespace of its node"),
    ("restricted-pod", "Pod/alone", ("spec", "volumes"), [{"name": "x", "hostPath": {"path": "/"}}], "type hostPath"),
    ("restricted-pod", "DaemonSet/every", (*FIRST, "securityContext", "privileged"), True, "privileged"),
    ("restricted-pod", "DaemonSet/every", (*FIRST, "ports"), [{"hostPort": 80}], "a port of its node"),
    ("restricted-pod", "Server/mlserver", (*OVERLAID, 0, "securityContext"), {}, "container agent may gain"),
    ("restricted-pod", "Server/mlserver", ("spec", "podSpec"), {}, "running as root"),
    ("restricted-pod", "SeldonRuntime/seldon", ("spec", "overrides", 1, "podSpec", "securityContext"), {}, "no seccomp"),
    ("restricted-pod", "KafkaNodePool/nodes", ("spec", "template", "pod", "securityContext", "runAsUser"), 0, "as root"),
    ("restricted-pod", "Prometheus/prometheus", ("spec", "securityContext"), {}, "running as root"),
    ("restricted-pod", "Namespace/bellwether", ("metadata", "labels", "pod-security.kubernetes.io/enforce"), "privileged", "no Pod Security"),
    ("restricted-pod", CHART, ("values", "extraEnvs"), [], "does not make Kafka's pods restricted"),
    ("read-only-root", "Deployment/console", (*FIRST, "securityContext", "readOnlyRootFilesystem"), ..., "write its own root"),
    ("read-only-root", "Server/mlserver", (*OVERLAID, 1, "securityContext", "readOnlyRootFilesystem"), False, "write its own root"),
    ("service-account", "Deployment/console", (*POD, "serviceAccountName"), ..., "default service account"),
    ("service-account", "Prometheus/prometheus", ("spec", "serviceAccountName"), "default", "default service account"),
    ("idle-token", "Deployment/console", (*POD, "automountServiceAccountToken"), True, "given no right"),
    ("idle-token", "Job/once", (*POD, "automountServiceAccountToken"), ..., "given no right"),
    ("idle-token", "RoleBinding/prometheus", ("subjects", 0, "name"), "other", "given no right"),
    ("named-rights", "Role/prometheus", ("rules", 0, "verbs"), ["*"], "allows all verbs"),
    ("named-rights", "RoleBinding/prometheus", ("roleRef", "name"), "cluster-admin", "all rights"),
    ("plaintext-secret", "Secret/credentials", ("stringData", "password"), "hunter2-canary", "no secret to Pulumi"),
    ("plaintext-secret", "Secret/credentials", ("data",), {"password": "aHVudGVyMi1jYW5hcnk="}, "no secret to Pulumi"),
    ("plaintext-secret", "Deployment/console", (*FIRST, "env", 0), {"name": "VALKEY_PASSWORD", "value": "hunter2-canary"}, "`VALKEY_PASSWORD`"),
    ("plaintext-secret", "Job/once", (*FIRST, "args"), ["--token", "hunter2-canary"], "`--token`"),
    ("plaintext-secret", "ConfigMap/console", ("data", "console.json"), '{"valkey": {"password": "hunter2-canary"}}', "`password`"),
    ("plaintext-secret", "KafkaTopic/decisions", ("spec", "config"), {"sasl.jaas.config": 'x password="hunter2-canary";'}, "`password`"),
    ("plaintext-secret", CHART, ("values", "adminPassword"), "hunter2-canary", "`adminPassword`"),
    ("deny-by-default", "NetworkPolicy/deny-by-default", None, None, "nothing denies ingress"),
    ("deny-by-default", "NetworkPolicy/deny-by-default", ("spec", "policyTypes"), ["Ingress"], "nothing denies egress"),
    ("narrow-network-policy", "NetworkPolicy/console", (*WAY, "from"), [], "open to everybody"),
    ("narrow-network-policy", "NetworkPolicy/console", (*WAY, "ports"), ..., "open on every port"),
    ("narrow-network-policy", "NetworkPolicy/console", (*WAY, "from"), [{"ipBlock": {"cidr": "0.0.0.0/0"}}], "open to every address"),
    ("narrow-network-policy", "NetworkPolicy/console", (*OUT, "to", 0, "ipBlock", "except"), [], "metadata service"),
    ("replicas", "Deployment/console", ("spec", "replicas"), 1, "console has 1 replica"),
    ("replicas", "Server/mlserver", ("spec", "replicas"), ..., "mlserver has 1 replica"),
    ("disruption-budget", "PodDisruptionBudget/console", None, None, "selects the pods of console"),
    ("disruption-budget", "PodDisruptionBudget/mlserver", ("spec", "selector", "matchLabels"), {"a": "b"}, "selects the pods of mlserver"),
    ("disruption-budget", "PodDisruptionBudget/valkey", ("spec", "maxUnavailable"), 0, "cannot be drained"),
    ("stateful-kept", "StatefulSet/valkey", ("spec", "persistentVolumeClaimRetentionPolicy", "whenDeleted"), "Delete", "volumes are deleted"),
    ("stateful-kept", "KafkaNodePool/nodes", ("spec", "storage", "deleteClaim"), True, "volumes are deleted"),
    ("stateful-kept", "KafkaNodePool/nodes", ("spec", "storage", "type"), "ephemeral", "in the pod alone"),
    ("stateful-kept", "Prometheus/prometheus", ("spec", "storage"), ..., "in the pod alone"),
    ("backed-up", "CronJob/valkey-backup", None, None, "no CronJob `valkey-backup`"),
    ("backed-up", "KafkaNodePool/nodes", ("spec", "replicas"), 1, "at most 1 copies"),
    ("backed-up", "Kafka/kafka", ("spec", "kafka", "config", "min.insync.replicas"), 1, "with one copy"),
    ("experiment-weights", "Experiment/mab", ("spec", "candidates"), [{"name": "baseline", "weight": 0}], "add up to zero"),
    ("experiment-weights", "Experiment/mab", ("spec", "candidates", 0, "weight"), -1, "no weight"),
    ("experiment-weights", "Experiment/mab", ("spec", "default"), "nobody", "is no candidate"),
    ("content-addressed", "Model/baseline", ("spec", "storageUri"), "s3://artifacts/baseline/v1", "hold a digest"),
    ("bandit-bounds", "BanditPolicy/mab", ("spec", "explorationRate"), 0, "outside 0.01 to 0.5"),
    ("bandit-bounds", "BanditPolicy/mab", ("spec", "explorationRate"), 0.9, "outside 0.01 to 0.5"),
    ("bandit-bounds", "BanditPolicy/mab", ("spec", "maxStep"), 0.001, "outside 0.01 to 1"),
    ("bandit-bounds", "BanditPolicy/mab", ("spec", "explorationRte"), 0.1, "is no BanditPolicy"),
    ("bandit-owns-weights", "Experiment/mab", None, None, "no experiment `mab`"),
    ("labels", "ConfigMap/console", ("metadata", "labels", "app.kubernetes.io/part-of"), ..., "app.kubernetes.io/part-of"),
    ("labels", "Job/once", ("spec", "template", "metadata", "labels"), {}, "labels of its pods"),
    ("exception", "ConfigMap/console", ("metadata", "annotations"), {"bellwether.dev/policy-exception": "label: we are used to it"}, "did you mean `labels`"),
]  # fmt: skip
OPTIONS = [
    ("stateful-kept", "StatefulSet/valkey", {"protect": False}, "nothing protects it"),
    (
        "stateful-kept",
        "KafkaTopic/decisions",
        {"retained": False},
        "goes when its declaration does",
    ),
    ("bandit-owns-weights", "Experiment/mab", {"ignored": ()}, "takes back what `mab` learnt"),
]
CASES = [
    *(
        pytest.param(name, exemplary.changed(title, path, value), why, id=f"{name}-{number}")
        for number, (name, title, path, value, why) in enumerate(BAD)
    ),
    *(
        pytest.param(name, exemplary.changed(title, (), None, **options), why, id=f"{name}-{why}")
        for name, title, options, why in OPTIONS
    ),
]


@pytest.mark.parametrize(
    "stack", [exemplary.PRODUCTION, exemplary.STAGING, exemplary.DEV], ids=lambda s: s.name
)
def test_nothing_is_found_in_a_good_stack(stack):
    assert judge.judge(exemplary.RESOURCES, stack) == ()


@pytest.mark.parametrize(("name", "resources", "why"), CASES)
def test_a_bad_case_is_stopped_with_its_reason_and_a_remedy(name, resources, why):
    found = [each for each in judge.judge(resources, exemplary.PRODUCTION) if each.rule == name]
    assert any(why in each.message for each in found), found
    rule = next(each for each in rules.ALL if each.name == name)
    for each in found:
        assert each.severity == "mandatory"
        assert rule.reason in each.message
        assert each.remedy == rule.remedy
        assert each.object
        assert each.path
        assert "hunter2-canary" not in each.sentence


# The engine tells policies whether a resource is protected, and not whether it is retained.
SEEN = [case for case in CASES if case.values[2] != "goes when its declaration does"]


@pytest.mark.parametrize(("name", "resources", "why"), SEEN)
def test_the_policy_reports_what_the_rule_finds(name, resources, why, monkeypatch):
    monkeypatch.setattr(pack.stacks, "read", lambda _: exemplary.PRODUCTION)
    reported = _reported(name, resources)
    assert any(why in message for message in reported), reported


def test_every_rule_has_a_bad_case_and_a_level():
    assert {each.name for each in rules.ALL} == {case.values[0] for case in CASES}
    assert {each.name for each in rules.ALL} == set(levels.LEVELS)
    assert len({each.name for each in rules.ALL}) == len(rules.ALL)


def test_what_is_mandatory_in_production_is_advice_or_left_out_in_dev():
    one = exemplary.changed("Deployment/console", ("spec", "replicas"), 1)
    loose = exemplary.changed("Deployment/console", (*FIRST, "image"), "docker.io/valkey/valkey:8")
    assert [each.rule for each in judge.judge(one, exemplary.DEV)] == []
    assert [each.severity for each in judge.judge(loose, exemplary.DEV)] == ["advisory"]


def test_a_stack_that_nobody_knows_is_judged_as_production_is():
    assert stacks.read("nobody-knows").environment == "production"


def test_a_token_is_no_fault_where_the_object_says_what_it_is_for():
    used = exemplary.changed("Job/once", (*POD, "automountServiceAccountToken"), True)
    job = next(each for each in used if each.name == "Job/once")
    job.inputs["metadata"]["annotations"] = {"bellwether.dev/uses-api": "reads its own config"}
    assert judge.judge(used, exemplary.PRODUCTION) == ()


def _reported(name, resources):
    policy = next(each for each in pack.policies() if each.name == name)
    reported = []

    def report(message, urn=None):
        reported.append(message)

    options = [
        PolicyResourceOptions(
            each.protect, list(each.ignored), None, [], PolicyCustomTimeouts(0, 0, 0), []
        )
        for each in resources
    ]
    if isinstance(policy, ResourceValidationPolicy):
        for each, option in zip(resources, options, strict=True):
            args = ResourceValidationArgs(
                each.type, each.inputs, _urn(each), each.name, option, None
            )
            policy.validate(args, report)
    else:
        whole = [
            PolicyResource(
                each.type, each.inputs, _urn(each), each.name, option, None, None, [], {}
            )
            for each, option in zip(resources, options, strict=True)
        ]
        policy.validate(StackValidationArgs(whole), report)
    return reported


def _urn(each):
    return f"urn:pulumi:production::bellwether::{each.type}::{each.name}"
