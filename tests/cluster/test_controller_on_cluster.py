"""The bandit's controller at a real API server, under the rights that a stack gives it."""

import time

import httpx
import pytest

from infra.cluster import controller_rights
from loadtests import bandit_parts
from loadtests.bandit_parts import ARMS, until
from runtimes.bandit.controller import cluster, writing
from tests.cluster import bandit_on_cluster

pytestmark = pytest.mark.cluster

EVEN = dict.fromkeys(ARMS, 1)


def _lease(parts):
    return parts.object("coordination.k8s.io/v1", "Lease", controller_rights.LEASE)["spec"]


def _condition(parts):
    (ready,) = parts.status()["conditions"]
    return ready


def test_weights_are_patched_and_the_status_tells_of_it(parts):
    parts.declare_experiment(one=40, two=30, three=20, four=10)
    parts.declare_policy(updateFrequency="500ms")
    parts.standing("Active")
    parts.reward("w", 600)
    moved = parts.moved()
    assert sum(moved.values()) == 10_000
    assert min(moved.values()) >= 250  # exploration 0.1 over four arms
    status = parts.epoch_of(rewards_learnt=600, decisions_taken=600)
    arms = {each["name"]: each for each in status["arms"]}
    assert {name: each["weight"] for name, each in arms.items()} == moved
    assert arms["three"]["posterior"]["mean"] == pytest.approx(1.03, abs=0.02)
    assert status["epochs"][0]["weights"] == parts.allocations()[-1].weights
    policy = parts.object(bandit_on_cluster.POLICY, "BanditPolicy", parts.policy)
    assert status["observedGeneration"] == policy["metadata"]["generation"] == 1
    ready = _condition(parts)
    assert (ready["status"], ready["reason"]) == ("True", "Active")
    parts.patch_policy(mode="frozen")
    parts.standing("Frozen")
    assert parts.status()["observedGeneration"] == 2


def test_the_server_notes_the_controller_as_who_owns_the_candidates_and_nothing_else(parts):
    parts.declare_experiment(**EVEN)
    parts.declare_policy(updateFrequency="300ms")
    parts.standing("Active")
    parts.reward("o", 200)
    parts.moved()
    found = parts.object(bandit_on_cluster.EXPERIMENT, "Experiment", parts.experiment)
    (ours,) = found["metadata"]["managedFields"]
    assert (ours["manager"], ours["operation"]) == (cluster.FIELD_MANAGER, "Update")
    assert ours["fieldsV1"] == {"f:spec": {"f:candidates": {}}}


@pytest.fixture
def api(parts):
    made = cluster.Cluster(parts.api, parts.namespace, parts.account)
    yield made
    made.close()


def test_a_write_that_meets_anothers_is_done_again(parts, api):
    parts.declare_experiment(**EVEN)
    stale = api.experiment(parts.experiment)
    labels = {"metadata": {"labels": {"seen": "yes"}}}
    parts.server.admin.call("PATCH", parts.experiment_url(), labels)
    with pytest.raises(cluster.ConflictError, match="the object has been modified"):
        api.write_weights(stale, {**EVEN, "three": 97})
    written = writing.write(api, parts.policy, stale, {**EVEN, "three": 97})
    assert (written.problem, written.foreign) == (None, False)
    assert parts.weights() == {**EVEN, "three": 97}
    found = parts.object(bandit_on_cluster.EXPERIMENT, "Experiment", parts.experiment)
    assert found["metadata"]["labels"] == {"seen": "yes"}


def test_a_write_that_meets_other_weights_leaves_them_and_says_so(parts, api):
    parts.declare_experiment(**EVEN)
    stale = api.experiment(parts.experiment)
    theirs = {"one": 97, "two": 1, "three": 1, "four": 1}
    parts.set_weights(**theirs)
    written = writing.write(api, parts.policy, stale, {**EVEN, "three": 97})
    assert written.foreign
    assert written.experiment.weights == theirs == parts.weights()


def test_weights_move_while_others_write_the_experiment_all_the_time(parts):
    parts.declare_experiment(**EVEN)
    parts.declare_policy(updateFrequency="200ms")
    parts.standing("Active")
    parts.reward("c", 200)
    written = 0

    def done() -> bool | None:
        nonlocal written
        written += 1
        note = {"metadata": {"annotations": {"note": str(written)}}}
        parts.server.admin.call("PATCH", parts.experiment_url(), note)
        return True if parts.weights()["three"] > 9000 else None

    until(done, "three has the traffic")
    found = parts.object(bandit_on_cluster.EXPERIMENT, "Experiment", parts.experiment)
    assert found["metadata"]["annotations"]["note"] == str(written)


def test_a_deleted_experiment_is_survived_and_nothing_learnt_is_lost(parts):
    parts.declare_experiment(**EVEN)
    parts.declare_policy(updateFrequency="300ms")
    parts.reward("d", 200)
    parts.epoch_of(rewards_learnt=200)
    parts.server.admin.call("DELETE", parts.experiment_url())
    parts.reward("d2", 200)
    told = parts.standing("ExperimentMissing")
    assert f"there is no experiment {parts.experiment!r}" in told
    assert _condition(parts)["status"] == "False"
    parts.declare_experiment(**EVEN)
    parts.standing("Active")
    parts.epoch_of(rewards_learnt=400)
    parts.moved()


def test_a_deleted_policy_goes_at_once_and_leaves_the_weights(parts):
    parts.declare_experiment(**EVEN)
    parts.declare_policy(updateFrequency="300ms")
    parts.reward("g", 200)
    ours = parts.moved()
    parts.remove_policy()
    log = parts.controller.log
    said = f"{parts.policy} is gone"
    until(lambda: True if said in log.read_text() else None, "the controller has noticed")
    assert parts.http.get(parts.policy_url()).status_code == httpx.codes.NOT_FOUND
    assert parts.weights() == ours


def test_a_second_replica_waits_and_takes_over(parts):
    parts.declare_experiment(**EVEN)
    parts.declare_policy(updateFrequency="300ms")
    parts.standing("Active")
    assert _lease(parts)["holderIdentity"] == "first"
    (port,) = bandit_parts.free_ports(1)
    second = parts.another_controller(port, "second")
    second.start()
    try:
        waits = f"{parts.policy}: Standby: first leads"
        until(lambda: True if waits in second.log.read_text() else None, "the second one waits")
        ready = f"http://127.0.0.1:{port}/ready"
        assert httpx.get(ready).is_success, "one that waits is ready"
        before = _lease(parts)["leaseTransitions"]
        parts.controller.kill()
        parts.reward("t", 200)
        parts.epoch_of(rewards_learnt=200)
        held = _lease(parts)
        assert held["holderIdentity"] == "second"
        assert held["leaseTransitions"] == before + 1
        parts.controller.start()
        until(parts.controller_ready, "the first one is back")
        parts.reward("t2", 200)
        parts.epoch_of(rewards_learnt=400)
        assert _lease(parts)["holderIdentity"] == "second"
        second.stop()  # in order: its lease is the first one's at once
        until(lambda: _lease(parts)["holderIdentity"] == "first" or None, "the first one leads")
        parts.reward("t3", 200)
        parts.epoch_of(rewards_learnt=600)
    finally:
        second.stop()
    assert [each.epoch for each in parts.allocations()] == list(range(len(parts.allocations())))


def test_with_a_new_token_it_goes_on(parts):
    parts.declare_experiment(**EVEN)
    parts.declare_policy(updateFrequency="300ms")
    parts.standing("Active")
    account = bandit_on_cluster.rights("ServiceAccount/bandit")
    meta = {"name": bandit_on_cluster.ACCOUNT, "namespace": parts.namespace}
    parts.server.admin.delete({**account, "metadata": meta})
    page = f"http://127.0.0.1:{parts.port}/ready"
    until(lambda: None if httpx.get(page).is_success else True, "the old token is refused")
    bandit_on_cluster.grant(parts.server, parts.namespace)
    parts.renew_token()
    until(parts.controller_ready, "the controller is ready again")
    parts.reward("r", 200)
    parts.moved()
    parts.patch_policy(mode="shadow")  # seen by kopf's watch, which has the new token as well
    parts.standing("Shadow")


def test_without_rights_it_waits_and_says_what_is_missing(parts, api_server, names):
    namespace = api_server.make_namespace(next(names))
    without = parts.folder / "without-rights"
    without.mkdir()
    account = bandit_on_cluster.rights("ServiceAccount/bandit")
    meta = {"name": bandit_on_cluster.ACCOUNT, "namespace": namespace}
    api_server.admin.apply({**account, "metadata": meta})
    (without / "ca.crt").write_bytes(api_server.authority.read_bytes())
    (without / "token").write_text(api_server.account_token(namespace, bandit_on_cluster.ACCOUNT))
    (port,) = bandit_parts.free_ports(1)
    page = f"http://127.0.0.1:{port}/ready"
    told = {"namespace": namespace, "service_account": str(without), "lease": "bandit-controller"}
    controller = bandit_parts.Parts.another_controller(parts, port, "without-rights", **told)
    controller.start()
    try:

        def refused() -> str | None:
            try:
                return httpx.get(page).text
            except httpx.TransportError:
                return None

        assert 'cannot list resource "experiments"' in until(refused, "it answers")
        bandit_on_cluster.grant(api_server, namespace)
        until(lambda: httpx.get(page).is_success or None, "it is ready")
    finally:
        began = time.monotonic()
        controller.stop()
    assert time.monotonic() - began < 15
