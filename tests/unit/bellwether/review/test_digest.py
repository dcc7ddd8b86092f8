"""What the engine wrote is read as it is: recorded by `pulumi preview --json` of CLI 3.259.0."""

import json
import pathlib

from bellwether.review import digest

FIXTURES = pathlib.Path(__file__).parent / "fixtures"


def read(name):
    return digest.read(FIXTURES / f"preview-{name}.json")


def changes(name):
    return {each.title: each for each in read(name).changes}


def test_a_first_preview_creates_everything_but_the_stack_itself():
    found = read("created")
    assert found.counts == {"create": 6}
    assert "Stack" not in {each.kind for each in found.changes}


def test_what_stays_the_same_is_no_change():
    assert "Topic decisions" not in changes("mixed")
    assert read("mixed").counts == {"update": 3, "replace": 1, "delete": 1}


def test_seldon_objects_are_named_by_their_own_kind():
    assert "Experiment financial-mab-experiment" in changes("mixed")
    assert "BanditPolicy financial-mab" in changes("created")


def test_a_change_has_the_paths_that_the_engine_named():
    found = changes("mixed")["Experiment financial-mab-experiment"]
    assert "manifest.spec.candidates[0].weight" in found.properties
    assert found.was_protected
    assert not found.is_protected


def test_a_deleted_resource_has_only_a_past():
    found = changes("mixed")["Topic retired"]
    assert found.operation == "delete"
    assert found.before["name"] == "retired"
    assert not found.after


def test_a_replacement_of_several_steps_is_one_change():
    urn = "urn:pulumi:dev::bellwether::kubernetes:apps/v1:StatefulSet::valkey"
    state = {"type": "kubernetes:apps/v1:StatefulSet", "inputs": {"kind": "StatefulSet"}}
    found = digest.parse(
        json.dumps(
            {
                "steps": [
                    {"op": "create-replacement", "urn": urn, "newState": state},
                    {"op": "replace", "urn": urn, "oldState": state, "newState": state},
                    {"op": "delete-replaced", "urn": urn, "oldState": state},
                ]
            }
        ),
        "here",
    )
    (only,) = found.changes
    assert only.operation == "replace"
    assert only.before
    assert only.after


def test_only_what_was_said_in_earnest_is_a_complaint():
    said = [
        {"message": "hello", "severity": "info"},
        {"message": "no cluster\n", "severity": "error"},
    ]
    assert digest.parse(json.dumps({"diagnostics": said}), "here").complaints == (
        "error: no cluster",
    )
