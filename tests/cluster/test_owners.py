"""The program and the bandit's controller leave each other's fields alone."""

import copy

import pytest

from infra.cluster import controller_rights
from runtimes.bandit.controller import cluster
from tests.cluster import api_server as api_servers
from tests.cluster import bandit_on_cluster, official_provider

pytestmark = pytest.mark.cluster

(NAME,) = controller_rights.EXPERIMENTS


@pytest.fixture(scope="module")
def registered():
    return bandit_on_cluster.registered()[f"Experiment/{NAME}"]


@pytest.fixture
def inputs(registered, namespace):
    """The experiment as the program registers it."""
    made = copy.deepcopy(registered.inputs)
    made["metadata"]["namespace"] = namespace
    return made


@pytest.fixture
def program(api_server, inputs, registered):
    """What the program does to the experiment, by the official provider's rules."""

    class Program:
        def create(self):
            return official_provider.create(api_server.admin, inputs)

        def update(self, spec=(), meanwhile=lambda: None, **annotations):
            changed = copy.deepcopy(inputs)
            changed["spec"].update(spec)
            changed["metadata"].setdefault("annotations", {}).update(annotations)
            ignored = registered.ignore_changes
            return official_provider.update(api_server.admin, changed, ignored, meanwhile)

    return Program()


@pytest.fixture
def controller(api_server, namespace, tmp_path):
    """What the controller does to it, under its own rights."""
    bandit_on_cluster.grant(api_server, namespace, controller_rights.EXPERIMENTS)
    token = api_server.account_token(namespace, bandit_on_cluster.ACCOUNT)
    (tmp_path / "token").write_text(token)
    (tmp_path / "ca.crt").write_bytes(api_server.authority.read_bytes())
    made = cluster.Cluster(api_server.url, namespace, tmp_path)
    yield made
    made.close()


def _write(controller, *weights):
    known = controller.experiment(NAME)
    return controller.write_weights(known, dict(zip(known.weights, weights, strict=True))).weights


def _owners(experiment):
    return {
        each["manager"]
        for each in experiment["metadata"]["managedFields"]
        if "f:candidates" in each["fieldsV1"].get("f:spec", {})
    }


def test_the_experiments_candidates_are_what_the_program_ignores(registered):
    assert registered.ignore_changes == ("spec.candidates",)
    assert len(registered.inputs["spec"]["candidates"]) == 4


def test_another_field_changes_and_the_controllers_weights_stay(program, controller):
    program.create()
    ours = _write(controller, 1, 2, 3, 94)
    stored = program.update({"default": "enhanced-predictor"}, note="changed")
    assert stored["spec"]["default"] == "enhanced-predictor"
    assert stored["metadata"]["annotations"]["note"] == "changed"
    assert controller.experiment(NAME).weights == ours
    assert _owners(stored) == {cluster.FIELD_MANAGER}


def test_writes_and_updates_in_turn_meet_no_conflict(program, controller):
    program.create()
    for turn in range(4):
        ours = _write(controller, 10 + turn, 20, 30, 40 - turn)
        stored = program.update(note=str(turn))
        assert stored["metadata"]["annotations"]["note"] == str(turn)
        assert controller.experiment(NAME).weights == ours


def test_before_the_controllers_first_write_an_update_keeps_what_was_declared(
    program, controller, inputs
):
    created = program.create()
    stored = program.update(note="changed")
    assert stored["spec"] == created["spec"] == inputs["spec"]
    assert _owners(stored) == {official_provider.MANAGER}
    ours = _write(controller, 1, 2, 3, 94)
    assert _owners(program.update(note="again")) == {cluster.FIELD_MANAGER}
    assert controller.experiment(NAME).weights == ours


def test_a_write_in_the_middle_of_an_update_is_not_undone(program, controller):
    program.create()
    _write(controller, 1, 2, 3, 94)
    program.update(meanwhile=lambda: _write(controller, 2, 3, 4, 91), note="changed")
    assert list(controller.experiment(NAME).weights.values()) == [2, 3, 4, 91]


def test_the_first_write_in_the_middle_of_an_update_fails_the_update_and_not_the_weights(
    program, controller
):
    program.create()
    with pytest.raises(api_servers.RefusedError, match=cluster.FIELD_MANAGER) as caught:
        program.update(meanwhile=lambda: _write(controller, 2, 3, 4, 91), note="changed")
    assert caught.value.reason == "Conflict"
    assert list(controller.experiment(NAME).weights.values()) == [2, 3, 4, 91]
    program.update(note="changed")
    assert list(controller.experiment(NAME).weights.values()) == [2, 3, 4, 91]


def test_left_out_by_who_owns_them_candidates_would_be_gone(api_server, inputs):
    """Why an update that ignores candidates has to send them as long as the program owns them."""
    inputs["spec"]["default"] = "baseline-predictor"
    api_server.admin.apply(inputs, "naive")
    without = copy.deepcopy(inputs)
    del without["spec"]["candidates"]
    with pytest.raises(api_servers.RefusedError, match=r"spec\.candidates: Required value"):
        api_server.admin.apply(without, "naive")


def test_without_ignoring_them_an_update_is_a_conflict(api_server, program, controller, inputs):
    program.create()
    ours = _write(controller, 1, 2, 3, 94)
    with pytest.raises(api_servers.RefusedError, match=r"conflict.*bellwether-bandit"):
        official_provider.update(api_server.admin, inputs, ())
    assert controller.experiment(NAME).weights == ours


def test_a_policys_update_leaves_its_status_to_the_controller(api_server, namespace, controller):
    found = bandit_on_cluster.registered()
    (policy,) = (each for name, each in found.items() if name.startswith("BanditPolicy/"))
    inputs = copy.deepcopy(policy.inputs)
    inputs["metadata"]["namespace"] = namespace
    official_provider.create(api_server.admin, inputs)
    controller.write_status(inputs["metadata"]["name"], {"epoch": 3})
    inputs["spec"]["explorationRate"] = 0.2
    stored = official_provider.update(api_server.admin, inputs, policy.ignore_changes)
    assert stored["spec"]["explorationRate"] == 0.2
    assert stored["status"] == {"epoch": 3}
    controller.write_status(inputs["metadata"]["name"], {"epoch": 4})
    assert api_server.admin.get(inputs)["status"] == {"epoch": 4}
