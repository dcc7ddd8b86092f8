import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.local.mesh import objects
from infra.local.mesh.objects import Objects
from infra.local.mesh.refusal import Refusal
from infra.local.mesh.store import Store

API = "mlops.seldon.io/v1alpha1"


class Recorder:
    """Follows objects, and remembers what it was told."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    def changed(self, resource: objects.Stored) -> None:
        self.heard.append(("changed", resource.metadata.name))

    def removed(self, resource: objects.Stored) -> None:
        self.heard.append(("removed", resource.metadata.name))

    def status(self, resource: objects.Stored) -> dict[str, Any]:
        return {"observedGeneration": resource.metadata.generation}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "mesh.sqlite3")
    yield store
    store.close()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def kept(store: Store, recorder: Recorder) -> Objects:
    kept = Objects(store, "desk", ("mlserver",))
    kept.follow(recorder)
    return kept


def _manifest(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": spec}


def _model(name: str, uri: str = "/artifact", **spec: Any) -> dict[str, Any]:
    return _manifest("Model", name, storageUri=uri, **spec)


def _experiment(name: str = "e", **weights: int) -> dict[str, Any]:
    candidates = [{"name": each, "weight": weight} for each, weight in weights.items()]
    return _manifest("Experiment", name, candidates=candidates)


@dataclasses.dataclass
class _Said:
    message: str = ""


@contextlib.contextmanager
def _refused(code: int, reason: str) -> Iterator[_Said]:
    """Expect a refusal; what it said is there after the block."""
    said = _Said()
    with pytest.raises(Refusal) as refused:
        yield said
    assert (refused.value.code, refused.value.reason) == (code, reason)
    said.message = refused.value.message


def test_an_object_is_kept_across_a_restart(store: Store, kept: Objects) -> None:
    shown = kept.create("experiments", _experiment(a=1, b=2))
    assert Objects(store, "desk", ()).get("experiments", "e") == {
        key: value for key, value in shown.items() if key != "status"
    }


def test_a_new_object_is_stamped_once_and_a_changed_one_again(
    kept: Objects, recorder: Recorder
) -> None:
    first, created = kept.replace("experiments", "e", _experiment(a=1))
    assert created
    metadata = first["metadata"]
    assert (metadata["generation"], metadata["namespace"]) == (1, "desk")
    same, created = kept.replace("experiments", "e", _experiment(a=1))
    assert (same, created) == (first, False)
    changed, _ = kept.replace("experiments", "e", _experiment(a=2))
    assert changed["metadata"]["generation"] == 2
    assert int(changed["metadata"]["resourceVersion"]) > int(metadata["resourceVersion"])
    for field in ("uid", "creationTimestamp"):
        assert changed["metadata"][field] == metadata[field]
    assert recorder.heard == [("changed", "e")] * 2


def test_what_the_server_owns_is_not_taken_from_a_manifest(kept: Objects) -> None:
    manifest = _experiment(a=1)
    manifest["metadata"] |= {
        "generation": 77,
        "creationTimestamp": "1999-01-01T00:00:00Z",
        "managedFields": [{"manager": "kubectl"}],
        "finalizers": ["seldon.experiment.finalizer"],
    }
    manifest["status"] = {"conditions": []}
    shown = kept.create("experiments", manifest)
    assert shown["metadata"]["generation"] == 1
    assert not shown["metadata"]["creationTimestamp"].startswith("1999")
    assert {"managedFields", "finalizers"}.isdisjoint(shown["metadata"])
    assert shown["status"] == {"observedGeneration": 1}


def test_a_merge_patch_replaces_lists_merges_objects_and_removes_nulls(kept: Objects) -> None:
    manifest = _experiment(a=1, b=1)
    manifest["spec"] |= {"default": "a", "mirror": {"name": "c", "percent": 5}}
    kept.create("experiments", manifest)
    patch = {
        "metadata": {"labels": {"team": "desk"}},
        "spec": {
            "candidates": [{"name": "a", "weight": 9}],
            "mirror": {"percent": 7},
            "default": None,
        },
        "status": {"conditions": "ignored"},
    }
    shown = kept.patch("experiments", "e", patch)
    assert shown["spec"] == {
        "candidates": [{"name": "a", "weight": 9}],
        "mirror": {"name": "c", "percent": 7},
    }
    assert shown["metadata"]["labels"] == {"team": "desk"}
    kept.patch("experiments", "e", {"metadata": {"labels": {"team": None}}})
    assert not kept.get("experiments", "e")["metadata"].get("labels")


@pytest.mark.parametrize(
    ("target", "patch", "wanted"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": "foo"}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ],
)
def test_the_examples_of_rfc_7386_hold(
    target: object, patch: dict[str, Any], wanted: dict[str, Any]
) -> None:
    assert objects.merged(target, patch) == wanted


def test_a_patch_is_checked_like_an_object(kept: Objects, recorder: Recorder) -> None:
    kept.create("experiments", _experiment(a=1))
    with _refused(400, "BadRequest") as refused:
        kept.patch("experiments", "e", {"spec": {"wieghts": []}})
    assert 'unknown field "spec.wieghts"' in refused.message
    with _refused(422, "Invalid"):
        kept.patch("experiments", "e", {"spec": {"candidates": [{"name": "a", "weight": 0}]}})
    with _refused(400, "BadRequest"):
        kept.patch("experiments", "e", {"metadata": {"name": "other"}})
    assert kept.get("experiments", "e")["spec"]["candidates"] == [{"name": "a", "weight": 1}]
    assert recorder.heard == [("changed", "e")]


def test_a_stale_resource_version_or_uid_is_a_conflict(kept: Objects) -> None:
    stale = kept.create("experiments", _experiment(a=1))
    kept.patch("experiments", "e", {"spec": {"candidates": [{"name": "a", "weight": 2}]}})
    with _refused(409, "Conflict") as refused:
        kept.replace("experiments", "e", stale)
    assert "the object has been modified" in refused.message
    for field, value in (("resourceVersion", "1"), ("uid", "another")):
        with _refused(409, "Conflict"):
            kept.patch("experiments", "e", {"metadata": {field: value}})
        with _refused(409, "Conflict"):
            kept.delete("experiments", "e", {"preconditions": {field: value}})
    current = kept.get("experiments", "e")
    assert kept.replace("experiments", "e", current)[0] == current


def test_an_object_that_was_deleted_is_not_brought_back_by_a_late_writer(kept: Objects) -> None:
    read = kept.create("experiments", _experiment(a=1))
    kept.delete("experiments", "e")
    with _refused(409, "Conflict"):
        kept.replace("experiments", "e", read)
    with _refused(404, "NotFound"):
        kept.get("experiments", "e")


def test_a_model_in_use_is_neither_deleted_nor_broken(kept: Objects, tmp_path: Path) -> None:
    (tmp_path / "model-settings.json").write_text("{}")
    kept.create("models", _model("a", str(tmp_path)))
    kept.create("experiments", _experiment(a=1))
    with _refused(409, "Conflict") as refused:
        kept.delete("models", "a")
    assert "used by experiment e (candidate)" in refused.message
    for spec in ({"storageUri": "/gone"}, {"requirements": ["x"]}, {"replicas": 0}):
        with _refused(409, "Conflict") as refused:
            kept.patch("models", "a", {"spec": spec})
        assert "used by experiment e (candidate)" in refused.message
    kept.patch("models", "a", {"spec": {"memory": "1Gi"}})
    kept.delete("experiments", "e")
    kept.patch("models", "a", {"spec": {"storageUri": "/gone"}})
    assert kept.delete("models", "a")["status"] == "Success"


def test_the_last_server_that_a_model_needs_stays(kept: Objects) -> None:
    server = _manifest("Server", "s", serverConfig="mlserver", extraCapabilities=["lightgbm"])
    kept.create("servers", server)
    kept.create("models", _model("a", requirements=["lightgbm", "mlserver"]))
    changes: tuple[dict[str, Any], ...] = (
        {"extraCapabilities": None},
        {"capabilities": []},
        {"serverConfig": "triton"},
    )
    for change in changes:
        with _refused(409, "Conflict") as refused:
            kept.patch("servers", "s", {"spec": change})
        assert "no server would be left for model a" in refused.message
    with _refused(409, "Conflict"):
        kept.delete("servers", "s")
    kept.delete("models", "a")
    kept.delete("servers", "s")
    assert kept.servers == {"mlserver": ("mlserver",)}


def test_a_dry_run_says_what_would_be_and_changes_nothing(
    store: Store, kept: Objects, recorder: Recorder
) -> None:
    shown = kept.create("experiments", _experiment(a=1), dry_run=True)
    assert shown["metadata"]["generation"] == 1
    kept.create("experiments", _experiment("other", a=1))
    before = store.resource_version()
    kept.patch("experiments", "other", {"spec": {"default": "a"}}, dry_run=True)
    kept.delete("experiments", "other", dry_run=True)
    with _refused(422, "Invalid"):
        kept.patch("experiments", "other", {"spec": {"candidates": []}}, dry_run=True)
    assert [each["metadata"]["name"] for each in kept.list("experiments")["items"]] == ["other"]
    assert "default" not in kept.get("experiments", "other")["spec"]
    assert store.resource_version() == before
    assert recorder.heard == [("changed", "other")]


def test_a_list_is_sorted_and_carries_a_resource_version(kept: Objects) -> None:
    for name in ("b", "a"):
        kept.create("models", _model(name))
    listed = kept.list("models")
    assert (listed["kind"], listed["metadata"]) == ("ModelList", {"resourceVersion": "2"})
    assert [each["metadata"]["name"] for each in listed["items"]] == ["a", "b"]


def test_a_new_object_needs_a_name_and_no_resource_version(kept: Objects) -> None:
    with _refused(422, "Invalid"):
        kept.create("models", _model(""))
    manifest = _model("a")
    manifest["metadata"]["resourceVersion"] = "1"
    with _refused(400, "BadRequest"):
        kept.create("models", manifest)
    kept.create("models", _model("a"))
    with _refused(409, "AlreadyExists"):
        kept.create("models", _model("a"))


def _pipeline(name: str, *steps: str, **spec: Any) -> dict[str, Any]:
    return _manifest("Pipeline", name, steps=[{"name": each} for each in steps], **spec)


def test_a_pipeline_is_kept_listed_changed_and_removed_as_other_kinds_are(
    store: Store, kept: Objects, recorder: Recorder
) -> None:
    kept.replace("pipelines", "p", _pipeline("p", "a"))
    patched = kept.patch("pipelines", "p", {"spec": {"output": {"steps": ["a"]}}})
    assert patched["metadata"]["generation"] == 2
    again = Objects(store, "desk", ())
    assert [each["spec"] for each in again.list("pipelines")["items"]] == [patched["spec"]]
    kept.delete("pipelines", "p")
    assert recorder.heard == [("changed", "p"), ("changed", "p"), ("removed", "p")]
    assert not kept.pipelines


def test_a_pipeline_whose_models_are_missing_is_taken(kept: Objects) -> None:
    assert kept.replace("pipelines", "p", _pipeline("p", "ghost"))[1]


def test_a_pipeline_that_seldon_refuses_leaves_the_one_before_as_it_is(kept: Objects) -> None:
    kept.replace("pipelines", "p", _pipeline("p", "a"))
    with _refused(422, "Invalid") as said:
        kept.replace("pipelines", "p", _pipeline("p", "a", "a"))
    assert said.message == "pipeline p has repeated step a"
    assert kept.get("pipelines", "p")["spec"]["steps"] == [{"name": "a"}]


def test_a_pipelines_name_is_checked_in_seldons_words(kept: Objects) -> None:
    with _refused(422, "Invalid") as said:
        kept.replace("pipelines", "v.9", _pipeline("v.9", "a"))
    assert said.message == (
        "pipeline v.9 does not have a valid name - "
        "it must be alphanmumeric and cannot contain dots (.)"
    )


def test_a_step_without_the_field_that_is_meant_is_told_the_right_one(kept: Objects) -> None:
    body = _manifest("Pipeline", "p", steps=[{"name": "a", "input": ["p"]}])
    with _refused(400, "BadRequest") as said:
        kept.replace("pipelines", "p", body)
    assert said.message.endswith(
        'unknown field "spec.steps[0].input", did you mean "spec.steps[0].inputs"?'
    )


def test_a_model_that_a_pipeline_uses_can_neither_go_nor_stop(kept: Objects) -> None:
    kept.replace("models", "a", _model("a"))
    kept.replace("pipelines", "p", _pipeline("p", "a"))
    with _refused(409, "Conflict") as said:
        kept.delete("models", "a")
    assert "used by pipeline p (step): remove it there first" in said.message
    with _refused(409, "Conflict") as said:
        kept.patch("models", "a", {"spec": {"replicas": 0}})
    assert "used by pipeline p (step), and replicas: 0 would stop it" in said.message
    kept.delete("pipelines", "p")
    kept.delete("models", "a")


def test_a_pipeline_that_is_a_candidate_or_an_input_cannot_go(kept: Objects) -> None:
    kept.replace("pipelines", "p", _pipeline("p", "a"))
    fed = _pipeline("q", "b", input={"externalInputs": ["p.outputs"]})
    kept.replace("pipelines", "q", fed)
    over = _experiment("e", p=1)
    over["spec"]["resourceType"] = "pipeline"
    kept.replace("experiments", "e", over)
    with _refused(409, "Conflict") as said:
        kept.delete("pipelines", "p")
    assert "used by experiment e (candidate) and pipeline q (input)" in said.message
    kept.delete("experiments", "e")
    kept.delete("pipelines", "q")
    kept.delete("pipelines", "p")
