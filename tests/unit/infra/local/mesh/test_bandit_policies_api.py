from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.local.mesh.changes import Changes
from infra.local.mesh.policies import Policies
from infra.local.mesh.refusal import Refusal
from infra.local.mesh.store import Store

SPEC = {"experiment": "e", "updateFrequency": "5m"}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "mesh.sqlite3")
    yield store
    store.close()


@pytest.fixture
def kept(store: Store) -> Policies:
    return Policies(store, "desk", Changes())


def _manifest(name: str = "p", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "bandits.bellwether.dev/v1alpha1",
        "kind": "BanditPolicy",
        "metadata": {"name": name},
        "spec": {**SPEC, **spec},
    }


def test_a_policy_is_kept_as_it_was_given_and_outlives_the_process(kept, store):
    shown, created = kept.replace("p", _manifest(explorationRate=0.2))
    assert created
    assert shown["spec"] == {**SPEC, "explorationRate": 0.2}
    assert (shown["metadata"]["generation"], shown["metadata"]["namespace"]) == (1, "desk")
    assert Policies(store, "desk", Changes()).get("p") == shown


def test_the_status_is_written_apart_and_changes_no_generation(kept):
    kept.replace("p", _manifest())
    told = kept.write_status("p", {"status": {"epoch": 3}, "spec": {"experiment": "x"}}, patch=True)
    assert told["status"] == {"epoch": 3}
    assert told["spec"] == SPEC
    assert told["metadata"]["generation"] == 1
    again = kept.write_status("p", {"status": {"mode": "active", "epoch": None}}, patch=True)
    assert again["status"] == {"mode": "active"}
    changed = kept.patch("p", {"spec": {"mode": "frozen"}, "status": {"mode": "mine"}})
    assert changed["status"] == {"mode": "active"}
    assert changed["metadata"]["generation"] == 2


def test_a_write_of_an_older_version_is_a_conflict(kept):
    first, _ = kept.replace("p", _manifest())
    version = first["metadata"]["resourceVersion"]
    kept.patch("p", {"spec": {"mode": "shadow"}})
    stale = {"metadata": {"resourceVersion": version}}
    for write in (
        lambda: kept.patch("p", {**stale, "spec": {"mode": "active"}}),
        lambda: kept.write_status("p", {**stale, "status": {}}, patch=True),
        lambda: kept.delete("p", {"preconditions": {"resourceVersion": version}}),
    ):
        with pytest.raises(Refusal) as refused:
            write()
        assert (refused.value.code, refused.value.group) == (409, "bandits.bellwether.dev")


def test_nothing_that_changes_nothing_counts_a_version(kept):
    first, _ = kept.replace("p", _manifest())
    assert kept.replace("p", _manifest())[0] == first
    assert kept.write_status("p", {"status": {"a": 1}}, patch=True) == kept.write_status(
        "p", {"status": {"a": 1}}, patch=True
    )


@pytest.mark.parametrize(
    ("spec", "code", "field", "said"),
    [
        ({"updateFrequency": "-5m"}, 422, "spec.updateFrequency", "never negative"),
        ({"explorationRate": 1.5}, 422, "spec.explorationRate", "more than all the traffic"),
        ({"exploration": 0.1}, 400, "spec.exploration", "explorationRate"),
        ({"mode": "on"}, 422, "spec.mode", "active"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_field(kept, spec, code, field, said):
    with pytest.raises(Refusal) as refused:
        kept.create(_manifest(**spec))
    assert refused.value.code == code
    (cause,) = refused.value.causes
    assert cause.field == field
    assert said in cause.message
    assert kept.list()["items"] == []


def test_a_name_that_no_experiment_could_have_is_refused(kept):
    with pytest.raises(Refusal) as refused:
        kept.create(_manifest("a.b"))
    assert (refused.value.code, refused.value.causes[0].field) == (422, "metadata.name")


def test_a_deleted_policy_is_gone(kept, store):
    kept.replace("p", _manifest())
    kept.delete("p")
    with pytest.raises(Refusal) as refused:
        kept.get("p")
    assert refused.value.code == 404
    assert Policies(store, "desk", Changes()).list()["items"] == []


def test_a_dry_run_writes_nothing(kept):
    kept.create(_manifest(), dry_run=True)
    assert kept.list()["items"] == []
