"""Which changes are risky, and which are not."""

import pytest

from bellwether.review import change, risks


def found(operation, kind, before=None, after=None, **more):
    return [
        risk.sentence
        for risk in risks.of(
            [change.Change(operation, kind, "thing", before or {}, after or {}, **more)]
        )
    ]


def experiment(**weights):
    return {"spec": {"candidates": [{"name": n, "weight": w} for n, w in weights.items()]}}


@pytest.mark.parametrize("kind", sorted(risks.STATEFUL))
@pytest.mark.parametrize("operation", ["delete", "replace"])
def test_what_holds_data_must_not_go_unseen(kind, operation):
    assert any("its data may go with it" in sentence for sentence in found(operation, kind))


@pytest.mark.parametrize("operation", ["create", "update"])
def test_what_holds_data_may_come_and_change(operation):
    assert found(operation, "StatefulSet") == []


def test_a_stateless_part_may_be_replaced():
    assert found("replace", "Deployment") == []


@pytest.mark.parametrize(
    ("operation", "said"),
    [("delete", "would be deleted"), ("replace", "would be replaced"), ("update", "and changes")],
)
def test_what_is_protected_is_named_whatever_happens_to_it(operation, said):
    (sentence,) = found(operation, "Deployment", was_protected=True, is_protected=True)
    assert said in sentence


def test_protection_that_is_taken_away_is_named():
    assert found("update", "Deployment", was_protected=True) == ["loses its protection"]


def test_a_network_policy_that_goes_is_named_and_one_that_comes_is_not():
    assert found("delete", "NetworkPolicy") == ["is removed: what it kept out may come in"]
    assert found("create", "NetworkPolicy") == []


def test_moved_weights_are_named_with_both_values():
    (sentence,) = found(
        "update", "Experiment", experiment(a=40, b=60), experiment(a=40, b=50, c=10)
    )
    assert sentence == "splits traffic anew: `b` 60 → 50, `c` none → 10"


def test_an_experiment_whose_weights_stay_is_not_risky():
    assert found("update", "Experiment", experiment(a=1), experiment(a=1) | {"x": 1}) == []


def test_a_policy_of_the_bandit_is_named_with_what_differs():
    before = {"spec": {"epoch": "5m", "exploration": {"rate": 0.1}}}
    after = {"spec": {"epoch": "5m", "exploration": {"rate": 0.2}}}
    assert found("update", "BanditPolicy", before, after) == [
        "learns by other rules: `exploration`"
    ]


def test_a_pipeline_that_changes_in_place_is_named_with_what_seldon_does():
    (sentence,) = found("update", "Pipeline", {"spec": {"steps": []}}, {"spec": {"steps": [1]}})
    assert "may answer 503" in sentence


def test_a_pipeline_whose_labels_change_is_not_risky():
    spec = {"spec": {"steps": []}}
    assert found("update", "Pipeline", spec, spec | {"metadata": {}}) == []


@pytest.mark.parametrize("kind", ["Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"])
def test_rights_that_are_granted_are_named(kind):
    assert found("create", kind) == ["grants rights"]
    assert found("delete", kind) == []


def test_secrets_that_change_or_go_are_named():
    assert "sees the new one" in found("update", "Secret")[0]
    assert "fails at its next start" in found("delete", "Secret")[0]


def test_a_namespace_that_lets_in_more_is_named():
    label = "pod-security.kubernetes.io/enforce"

    def namespace(level):
        return {"metadata": {"labels": {label: level}}}

    assert found("update", "Namespace", namespace("restricted"), namespace("baseline")) == [
        "enforces Pod Security `baseline` instead of `restricted`"
    ]


def test_the_same_risk_is_named_once():
    one = change.Change("delete", "NetworkPolicy", "deny")
    assert len(risks.of([one, one])) == 1
