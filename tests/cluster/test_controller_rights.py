"""What the bandit's controller may do: all that it needs, and nothing beside it.

That it needs no more is shown by the other tests here, where it runs under these rights.
"""

import pytest

from infra.cluster import controller_rights
from tests.cluster import api_server as api_servers
from tests.cluster import bandit_on_cluster

pytestmark = pytest.mark.cluster

SELDON, BANDITS, LEASES = "mlops.seldon.io", "bandits.bellwether.dev", "coordination.k8s.io"
LEASE = controller_rights.LEASE
(EXPERIMENT,) = controller_rights.EXPERIMENTS


@pytest.fixture(scope="module")
def desk(api_server, names):
    return api_server.make_namespace(next(names))


@pytest.fixture(scope="module")
def other_desk(api_server, names):
    return api_server.make_namespace(next(names))


@pytest.fixture(scope="module")
def controller(api_server, desk):
    return bandit_on_cluster.grant(api_server, desk, controller_rights.EXPERIMENTS)


ALLOWED = [
    *((verb, SELDON, "experiments", "") for verb in ("list", "watch")),
    *((verb, SELDON, "experiments", EXPERIMENT) for verb in ("get", "patch")),
    *((verb, BANDITS, "banditpolicies", "") for verb in ("list", "watch")),
    ("patch", BANDITS, "banditpolicies/status", ""),
    ("create", LEASES, "leases", ""),
    ("get", LEASES, "leases", LEASE),
    ("update", LEASES, "leases", LEASE),
]

REFUSED = [
    ("get", SELDON, "experiments", "another"),
    ("patch", SELDON, "experiments", "another"),
    ("create", SELDON, "experiments", ""),
    ("update", SELDON, "experiments", EXPERIMENT),
    ("delete", SELDON, "experiments", EXPERIMENT),
    ("deletecollection", SELDON, "experiments", ""),
    ("patch", SELDON, "experiments/status", EXPERIMENT),
    ("get", SELDON, "models", ""),
    ("patch", SELDON, "models", ""),
    ("patch", SELDON, "pipelines", ""),
    ("patch", SELDON, "servers", ""),
    ("patch", BANDITS, "banditpolicies", ""),
    ("create", BANDITS, "banditpolicies", ""),
    ("delete", BANDITS, "banditpolicies", ""),
    ("update", BANDITS, "banditpolicies/status", ""),
    ("get", LEASES, "leases", "another"),
    ("update", LEASES, "leases", "another"),
    ("delete", LEASES, "leases", LEASE),
    ("list", LEASES, "leases", ""),
    ("get", "", "secrets", ""),
    ("list", "", "secrets", ""),
    ("get", "", "configmaps", ""),
    ("list", "", "pods", ""),
    ("create", "", "pods/exec", ""),
    ("create", "", "events", ""),
    ("create", "", "serviceaccounts/token", ""),
    ("patch", "rbac.authorization.k8s.io", "roles", ""),
    ("escalate", "rbac.authorization.k8s.io", "roles", ""),
    ("patch", "apps", "deployments", ""),
]


def _asks(client, namespace, right):
    verb, group, resource, name = right
    return client.may(verb, group, resource, namespace=namespace, name=name)


@pytest.mark.parametrize("right", ALLOWED, ids=" ".join)
def test_what_it_needs_is_allowed(controller, desk, right):
    assert _asks(controller, desk, right)


@pytest.mark.parametrize("right", REFUSED, ids=" ".join)
def test_what_lies_beside_it_is_refused(controller, desk, right):
    assert not _asks(controller, desk, right)


@pytest.mark.parametrize("right", ALLOWED, ids=" ".join)
def test_what_it_may_it_may_in_its_own_namespace_alone(controller, other_desk, right):
    assert not _asks(controller, other_desk, right)
    assert not _asks(controller, "", right)


def test_no_right_is_given_that_is_not_among_those_it_needs():
    needed = {(group, resource, verb, name) for verb, group, resource, name in ALLOWED}
    given = {
        (group, resource, verb, name)
        for rule in bandit_on_cluster.rights("Role/bandit")["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    }
    assert given == needed


def test_real_calls_meet_the_same_rights(api_server, controller, desk, other_desk):
    experiment = {
        "apiVersion": bandit_on_cluster.EXPERIMENT,
        "kind": "Experiment",
        "metadata": {"name": EXPERIMENT, "namespace": desk},
        "spec": {"candidates": [{"name": "one", "weight": 1}]},
    }
    lease = {
        "apiVersion": f"{LEASES}/v1",
        "kind": "Lease",
        "metadata": {"name": LEASE, "namespace": desk},
        "spec": {"holderIdentity": "me"},
    }
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "kafka-credentials", "namespace": desk},
        "stringData": {"password": "x"},
    }
    elsewhere = {**experiment, "metadata": {"name": EXPERIMENT, "namespace": other_desk}}
    for each in (experiment, elsewhere, secret):
        api_server.admin.create(each)
    path = controller.path(experiment)
    weights = {"spec": {"candidates": [{"name": "one", "weight": 2}]}}
    assert controller.call("PATCH", path, weights)["spec"] == weights["spec"]
    controller.create(lease)
    refused = [
        lambda: controller.delete(experiment),
        lambda: controller.call("PUT", path, controller.get(experiment)),
        lambda: controller.call("PATCH", controller.path(elsewhere), weights),
        lambda: controller.create({**experiment, "metadata": {"name": "new", "namespace": desk}}),
        lambda: controller.get(secret),
        lambda: controller.delete(lease),
        lambda: controller.call("GET", controller.path(lease).rpartition("/")[0]),
        lambda: api_server.as_account(desk, bandit_on_cluster.ACCOUNT).call(
            "GET", f"/apis/{SELDON}/v1alpha1/experiments"
        ),
    ]
    for call in refused:
        with pytest.raises(api_servers.RefusedError) as caught:
            call()
        assert (caught.value.code, caught.value.reason) == (403, "Forbidden")


def test_without_its_token_nothing_is_allowed(api_server, desk):
    stranger = api_servers.Client(api_server.url, api_server.authority, "no-such-token")
    with pytest.raises(api_servers.RefusedError) as caught:
        stranger.call("GET", f"/apis/{SELDON}/v1alpha1/namespaces/{desk}/experiments")
    assert caught.value.code == 401
