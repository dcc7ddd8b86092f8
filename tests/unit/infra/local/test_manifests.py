import textwrap

import pytest

from infra import paths, settings
from infra.local import manifests

MODEL = """
apiVersion: mlops.seldon.io/v1alpha1
kind: Model
metadata:
  name: {name}
spec:
  storageUri: gs://bucket/{name}
  requirements: [mlserver]
"""

PIPELINE = """
apiVersion: mlops.seldon.io/v1alpha1
kind: Pipeline
metadata:
  name: {name}
spec:
  steps:
  - name: iris
  output:
    steps: [iris]
"""


@pytest.fixture
def write(tmp_path):
    def written(content, name="given.yaml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(content))
        return path

    return written


def _refused(*places):
    with pytest.raises(settings.SettingsError) as refused:
        manifests.read(places)
    return str(refused.value)


def test_a_file_of_many_documents_gives_each_object_as_it_is(write):
    path = write(
        "# a comment\n---" + MODEL.format(name="iris") + "---\n---" + PIPELINE.format(name="p")
    )
    model, pipeline = manifests.read([path])
    assert (model.kind, model.name, model.where) == ("Model", "iris", f"{path}, document 1")
    assert model.object.spec.storage_uri == "gs://bucket/iris"
    assert (pipeline.kind, pipeline.where) == ("Pipeline", f"{path}, document 3")


def test_a_folder_is_read_whole_and_whatever_the_files_order_sources_come_first(write, tmp_path):
    write(
        PIPELINE.format(name="last") + "  input:\n    externalInputs: [first.outputs]\n", "a.yaml"
    )
    write(PIPELINE.format(name="first"), "b.yml")
    write(MODEL.format(name="iris"), "deep/er/c.yaml")
    write(
        """
        apiVersion: mlops.seldon.io/v1alpha1
        kind: Experiment
        metadata: {name: split}
        spec:
          resourceType: pipeline
          candidates: [{name: first, weight: 1}]
        """,
        "0.yaml",
    )
    write("not YAML: [", "notes.txt")
    assert [each.name for each in manifests.read([tmp_path])] == ["iris", "first", "last", "split"]


def test_what_a_cluster_wrote_into_an_object_is_left_out(write):
    path = write(
        """
        apiVersion: mlops.seldon.io/v1alpha1
        kind: Model
        metadata:
          name: iris
          namespace: seldon-mesh
          uid: 1-2-3
          resourceVersion: "77"
          generation: 4
          creationTimestamp: "2026-01-01T00:00:00Z"
          labels: {team: desk}
          annotations: {note: kept}
          managedFields: [{manager: kubectl}]
        spec: {storageUri: /artifact}
        status: {replicas: 1}
        """
    )
    (given,) = manifests.read([path])
    metadata = given.object.metadata
    assert metadata.model_dump(exclude_none=True) == {
        "name": "iris", "labels": {"team": "desk"}, "annotations": {"note": "kept"},
    }  # fmt: skip
    assert given.object.status is None


def test_an_error_names_file_document_path_and_the_nearest_right_field(write):
    content = (
        MODEL.format(name="iris") + "---" + PIPELINE.format(name="p").replace("- name", "- nme")
    )
    path = write(content)
    said = _refused(path)
    assert (
        f'{path}, document 2: unknown field "spec.steps[0].nme", did you mean "spec.steps[0].name"?'
        in said
    )
    assert f"{path}, document 2: spec.steps[0].name: Required value" in said


def test_every_wrong_file_is_named_at_once(write, tmp_path):
    broken = write("a: [", "broken.yaml")
    scalar = write("hello", "scalar.yaml")
    (tmp_path / "empty").mkdir()
    said = _refused(broken, scalar, tmp_path / "nosuch", tmp_path / "empty")
    assert f"{broken}: is no valid YAML" in said
    assert f"{scalar}, document 1: expected a mapping, got str" in said
    assert f"{tmp_path}/nosuch: there is no such file or folder" in said
    assert f"{tmp_path}/empty: the folder holds no .yaml or .yml" in said


def test_a_file_inside_the_checkout_is_named_from_there():
    assert "  - no/such.yaml: there is no such file" in _refused(paths.ROOT / "no" / "such.yaml")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("SeldonRuntime", "kind: SeldonRuntime is for a cluster"),
        ("ServerConfig", "one server configuration, `mlserver`"),
        ("Pipelne", "did you mean 'Pipeline'?"),
        ("Deployment", "'Deployment' is not one of Model, Experiment, Pipeline, Server"),
    ],
)
def test_a_kind_that_the_mesh_has_not_is_refused_with_a_reason(write, kind, said):
    path = write(MODEL.format(name="iris").replace("kind: Model", f"kind: {kind}"))
    assert said in _refused(path)


def test_an_object_of_the_catalogue_is_refused_and_both_places_are_named(write):
    path = write(MODEL.format(name="baseline-predictor"))
    assert (
        f"{path}, document 1: Model baseline-predictor is declared in infra/catalogue/models.py as well"
    ) in _refused(path)
    path = write(PIPELINE.format(name="financial-prediction-pipeline"))
    assert "declared in infra/catalogue/pipelines.py as well" in _refused(path)


def test_an_object_that_is_given_twice_is_refused_and_both_places_are_named(write):
    path = write(MODEL.format(name="iris") + "---" + MODEL.format(name="iris"))
    assert f"{path}, document 2: Model iris is declared in {path}, document 1 as well" in _refused(
        path
    )


def test_a_file_that_is_named_twice_is_read_once(write, tmp_path):
    path = write(MODEL.format(name="iris"))
    assert len(manifests.read([path, tmp_path])) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            PIPELINE.format(name="iris"),
            "spec.steps[0].name: pipeline iris must not have a step name with the same name",
        ),
        (MODEL.format(name="a.b"), "metadata.name: Model a.b does not have a valid name"),
        (MODEL.format(name=""), "metadata.name"),
        (
            """
            apiVersion: mlops.seldon.io/v1alpha1
            kind: Experiment
            metadata: {name: e}
            spec: {candidates: [{name: a, weight: 1}, {name: a, weight: 1}]}
            """,
            "spec.candidates[1].name: each candidate and mirror must be unique",
        ),
    ],
)
def test_what_the_mesh_would_refuse_is_told_before_anything_is_changed(write, content, said):
    path = write(content)
    assert f"{path}, document 1: {said}" in _refused(path)
