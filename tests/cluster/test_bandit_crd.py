"""The custom resource definition of BanditPolicy, as a real API server takes it."""

import pytest

from infra.catalogue import bandits
from runtimes.bandit import declaration
from tests.cluster import api_server as api_servers

pytestmark = pytest.mark.cluster


def _policy(namespace, **spec):
    return {
        "apiVersion": declaration.API_VERSION,
        "kind": declaration.KIND,
        "metadata": {"name": "mover", "namespace": namespace},
        "spec": {"experiment": "split", **spec},
    }


def test_the_catalogues_policies_are_taken_whole(api_server, namespace):
    for each in bandits.POLICIES:
        given = declaration.manifest(each)
        given["metadata"]["namespace"] = namespace
        assert api_server.admin.apply(given)["spec"] == given["spec"]


def test_a_policy_that_is_taken_means_the_same_to_the_controller(api_server, namespace):
    spec = {"algorithm": {"name": "ucb1", "alpha": 0.5}, "updateFrequency": "90s"}
    stored = api_server.admin.apply(_policy(namespace, **spec))
    read = {key: stored[key] for key in ("apiVersion", "kind", "metadata", "spec")}
    policy = declaration.parse(read)
    assert policy.spec.algorithm == declaration.Ucb1(alpha=0.5)
    assert policy.spec.update_frequency.total_seconds() == 90


@pytest.mark.parametrize(
    ("spec", "place"),
    [
        ({"explorationRate": 1.5}, "spec.explorationRate"),
        ({"explorationRate": "a tenth"}, "spec.explorationRate"),
        ({"algorithm": {"name": "softmax"}}, "spec.algorithm.name"),
        ({"algorithm": {"name": "ucb1", "alpha": 0}}, "spec.algorithm.alpha"),
        ({"mode": "asleep"}, "spec.mode"),
        ({"updateFrequency": "often"}, "spec.updateFrequency"),
        ({"guardrails": {"maxErrorRate": 2}}, "spec.guardrails.maxErrorRate"),
        ({"guardrails": {"minimumRewards": -1}}, "spec.guardrails.minimumRewards"),
        ({"experiment": ""}, "spec.experiment"),
        ({"explorationrate": 0.1}, "spec.explorationrate"),
        ({"algorithm": {"name": "thompson", "epsilon": 1}}, "spec.algorithm.epsilon"),
        ({"algorithm": {"name": "thompson", "alpha": 1}}, "alpha belongs to ucb1, linucb"),
        ({"forgetting": {"name": "none", "factor": 0.9}}, "factor belongs to discount"),
    ],
)
def test_what_the_schema_does_not_allow_is_refused_with_its_place(
    api_server, namespace, spec, place
):
    with pytest.raises(api_servers.RefusedError) as caught:
        api_server.admin.create(_policy(namespace, **spec))
    assert caught.value.code in {400, 422}
    assert place in str(caught.value)


def test_a_policy_without_its_experiment_is_refused(api_server, namespace):
    without = _policy(namespace)
    del without["spec"]["experiment"]
    with pytest.raises(api_servers.RefusedError, match=r"spec\.experiment"):
        api_server.admin.create(without)


def test_the_status_is_a_subresource_of_its_own(api_server, namespace):
    policy = _policy(namespace)
    api_server.admin.create({**policy, "status": {"epoch": 7}})
    path = api_server.admin.path(policy)
    assert "status" not in api_server.admin.get(policy)
    told = {"epoch": 3, "arms": [{"name": "one", "posterior": {"mean": 0.25}}]}
    changed = {"status": told, "spec": {"experiment": "another"}}
    api_server.admin.call("PATCH", f"{path}/status", changed)
    stored = api_server.admin.get(policy)
    assert stored["status"] == told
    assert stored["spec"]["experiment"] == "split"
    assert stored["metadata"]["generation"] == 1


def test_get_shows_a_policys_columns(api_server, namespace):
    policy = _policy(namespace, mode="shadow", algorithm={"name": "thompson"})
    api_server.admin.create(policy)
    path = api_server.admin.path(policy)
    status = {"epoch": 5, "conditions": [{"type": "Ready", "status": "True", "reason": "Shadow"}]}
    api_server.admin.call("PATCH", f"{path}/status", {"status": status})
    answer = api_server.admin.http.get(
        path, headers={"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    ).json()
    titles = [each["name"] for each in answer["columnDefinitions"]]
    (row,) = answer["rows"]
    shown = dict(zip(titles, row["cells"], strict=True))
    assert shown["Experiment"] == "split"
    assert (shown["Algorithm"], shown["Mode"]) == ("thompson", "shadow")
    assert (shown["Epoch"], shown["Ready"]) == (5, "Shadow")
