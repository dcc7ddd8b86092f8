"""Everything that each stack registers, applied to a real API server: taken whole, nothing pruned."""

import base64
import copy
import dataclasses

import pytest

from infra import paths
from infra.cluster import recording
from infra.cluster import settings as cluster_settings
from tests.cluster import api_server as api_servers

pytestmark = pytest.mark.cluster

STACKS = ("dev", "staging", "production")
_FIRST = ("Namespace", "CustomResourceDefinition", "ServiceAccount")


@dataclasses.dataclass(frozen=True)
class Applied:
    """What was sent of a stack, in this order, and what the server has of it."""

    namespace: str
    sent: dict[str, api_servers.Manifest]
    stored: dict[str, api_servers.Manifest]
    refused: dict[str, str]
    warnings: list[str]


def _registered(stack):
    """The stack's objects, in namespaces of its own: all stacks meet in one API server here."""
    given = cluster_settings.read(paths.ROOT / f"Pulumi.{stack}.yaml")
    own = {"namespace": f"{stack}-models", "operators_namespace": f"{stack}-operators"}
    placed = given.model_copy(update=own)
    found = [each for each in recording.record_settings(stack, placed) if each.is_object]
    found.sort(key=lambda each: (each.inputs["kind"] not in _FIRST, each.type, each.name))
    return placed.namespace, {each.name: each.inputs for each in found}


@pytest.fixture(scope="module", params=STACKS)
def applied(request, api_server):
    namespace, sent = _registered(request.param)
    client = api_servers.Client(api_server.url, api_server.authority, api_server.token)
    stored, refused = {}, {}
    for title, manifest in sent.items():
        try:
            stored[title] = client.apply(manifest, "pulumi")
        except api_servers.RefusedError as error:
            refused[title] = str(error)
    return Applied(namespace, sent, stored, refused, client.warnings)


def _lost(sent, stored, path=""):
    """Name what was sent and is not there."""
    if isinstance(sent, dict):
        if not isinstance(stored, dict):
            return [f"{path}: {sent!r} became {stored!r}"]
        lost = []
        for key, value in sent.items():
            there = stored.get(key)
            # An empty part is nothing that could be lost, and the server may leave it out.
            if key not in stored and value not in (None, {}, []):
                lost.append(f"{path}.{key} is gone")
            elif key in stored:
                lost += _lost(value, there, f"{path}.{key}")
        return lost
    if isinstance(sent, list):
        if not isinstance(stored, list) or len(sent) != len(stored):
            return [f"{path}: {sent!r} became {stored!r}"]
        pairs = enumerate(zip(sent, stored, strict=True))
        return [each for i, (one, other) in pairs for each in _lost(one, other, f"{path}[{i}]")]
    return [] if sent == stored else [f"{path}: {sent!r} became {stored!r}"]


def _as_stored(manifest):
    """A Secret's plain values are kept encoded; that is all that may look different."""
    made = copy.deepcopy(manifest)
    if made["kind"] == "Secret":
        plain = made.pop("stringData", {})
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in plain.items()}
        made["data"] = {**made.get("data", {}), **encoded}
    return made


def test_everything_is_accepted_under_strict_field_validation(applied):
    assert applied.refused == {}
    assert applied.stored.keys() == applied.sent.keys()
    assert len(applied.sent) > 90


def test_nothing_that_was_sent_is_pruned_or_changed(applied):
    lost = {
        title: found
        for title, stored in applied.stored.items()
        if (found := _lost(_as_stored(applied.sent[title]), stored))
    }
    assert lost == {}


def test_the_server_warns_of_nothing(applied):
    """Pod Security's `warn` looks into the templates of Deployments, StatefulSets and jobs."""
    assert applied.warnings == []


def test_applied_again_nothing_changes(applied, api_server):
    for title, stored in applied.stored.items():
        again = api_server.admin.apply(applied.sent[title], "pulumi")
        assert _version(again) == _version(stored), title


def _version(manifest):
    """The version of what was asked for: a status changes by itself."""
    metadata = manifest["metadata"]
    return metadata.get("generation", metadata["resourceVersion"])


def _pods(applied):
    """The pods that controllers would make: of workloads, and of Seldon's Servers."""
    for title, manifest in applied.sent.items():
        spec = copy.deepcopy(manifest.get("spec", {}))
        if manifest["kind"] == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        if manifest["kind"] == "Server":
            pod = {"metadata": {"labels": {}}, "spec": spec["podSpec"]}
            for container in pod["spec"]["containers"]:
                # The agent's and rclone's images are those of Seldon's ServerConfig.
                container.setdefault("image", "docker.io/seldonio/part:1")
        elif manifest["kind"] in {"Deployment", "StatefulSet", "Job", "CronJob"}:
            pod = spec["template"]
        else:
            continue
        for claim in spec.get("volumeClaimTemplates", ()):
            name = claim["metadata"]["name"]
            volume = {"name": name, "persistentVolumeClaim": {"claimName": name}}
            pod["spec"].setdefault("volumes", []).append(volume)
        pod["metadata"] |= {"generateName": "tried-", "namespace": applied.namespace}
        yield title, {"apiVersion": "v1", "kind": "Pod", **pod}


def test_every_pod_is_admitted_by_restricted_pod_security(applied, api_server):
    refused, tried = {}, 0
    path = f"/api/v1/namespaces/{applied.namespace}/pods"
    for title, pod in _pods(applied):
        if title.startswith("Server/"):
            pod["spec"]["automountServiceAccountToken"] = False  # Seldon's own account is not here
            pod["spec"]["serviceAccountName"] = "bandit"
        tried += 1
        try:
            told = {"dryRun": "All", "fieldValidation": "Strict"}
            api_server.admin.call("POST", path, pod, **told)
        except api_servers.RefusedError as error:
            refused[title] = str(error)
    assert refused == {}
    assert tried >= 10


def test_a_pod_that_is_not_restricted_is_refused_there(applied, api_server):
    title, pod = next(each for each in _pods(applied) if each[0] == "Deployment/bandit")
    del title
    container = pod["spec"]["containers"][0]
    container["securityContext"]["capabilities"] = {"add": ["NET_ADMIN"]}
    path = f"/api/v1/namespaces/{applied.namespace}/pods"
    with pytest.raises(api_servers.RefusedError, match=r"violates PodSecurity.*capabilities"):
        api_server.admin.call("POST", path, pod, dryRun="All")


def test_the_namespace_is_deny_by_default_and_nothing_uses_the_default_account(applied):
    policies = [each for each in applied.stored.values() if each["kind"] == "NetworkPolicy"]
    for namespace in {each["metadata"]["namespace"] for each in policies}:
        assert any(
            each["spec"].get("podSelector") == {}
            and set(each["spec"]["policyTypes"]) == {"Ingress", "Egress"}
            and not each["spec"].get("ingress")
            and not each["spec"].get("egress")
            for each in policies
            if each["metadata"]["namespace"] == namespace
        ), namespace
    accounts = {
        pod["spec"].get("serviceAccountName")
        for title, pod in _pods(applied)
        if not title.startswith("Server/")
    }
    assert accounts.isdisjoint({None, "default"})
