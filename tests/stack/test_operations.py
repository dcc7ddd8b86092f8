"""What workflows do with an environment: ask it, compare it with what was declared, preview it."""

import json

import httpx
import pytest

from bellwether.review import digest
from tests.stack import conftest

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

EXPERIMENT = "financial-mab-experiment"
PIPELINE = "contextual-financial-router"


@pytest.fixture
def objects(up):
    """The mesh's own door to the Seldon objects, which knows nothing of what was declared."""
    where = up.endpoints()
    base = f"{where.mesh}/apis/mlops.seldon.io/v1alpha1/namespaces/{where.namespace}"
    with httpx.Client(base_url=base, timeout=30) as client:
        yield client


def drift():
    answer = conftest.bellwether("drift", "--json")
    assert answer.stdout, answer.stderr
    return answer.returncode, json.loads(answer.stdout)


def test_everything_that_was_declared_answers_rightly(up):
    answer = conftest.bellwether("smoke", "--wait", "60", "--json")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    found = json.loads(answer.stdout)
    names = [check["name"] for check in found["checks"]]
    assert "model baseline-predictor" in names
    assert f"experiment {EXPERIMENT}" in names
    assert "pipeline financial-prediction-pipeline" in names


def test_a_smoke_test_of_nobody_fails_and_says_of_what():
    answer = conftest.bellwether("smoke", "--against", "http://127.0.0.1:9", "--json")
    assert answer.returncode == 1
    found = json.loads(answer.stdout)
    assert not found["passed"]
    assert all("refused" in check["said"] for check in found["checks"])


def test_what_is_as_declared_has_no_drift(up):
    status, found = drift()
    assert (status, found["differences"]) == (0, [])


def test_weights_that_the_bandit_moved_are_no_drift(up, objects):
    path = f"/experiments/{EXPERIMENT}"
    candidates = objects.get(path).json()["spec"]["candidates"]
    moved = [{**each, "weight": each["weight"] + 1} for each in candidates]
    merge = {"content-type": "application/merge-patch+json"}
    try:
        objects.patch(path, json={"spec": {"candidates": moved}}, headers=merge).raise_for_status()
        status, found = drift()
        assert (status, found["differences"]) == (0, [])
    finally:
        objects.patch(path, json={"spec": {"candidates": candidates}}, headers=merge)


def test_an_object_that_somebody_removed_is_drift_and_the_preview_creates_it(up, objects, tmp_path):
    objects.delete(f"/pipelines/{PIPELINE}").raise_for_status()
    try:
        status, found = drift()
        assert status == 7
        assert [(d["operation"], d["resource"]) for d in found["differences"]] == [
            ("delete", f"SeldonObject {PIPELINE}")
        ]
        report = tmp_path / "preview-test.json"
        answer = conftest.bellwether("preview", "--report", str(report))
        assert answer.returncode == 0, answer.stderr
        (change,) = digest.read(report).changes
        assert (change.operation, change.title) == ("create", f"Pipeline {PIPELINE}")
    finally:
        assert conftest.bellwether("up").returncode == 0
    assert drift()[0] == 0
