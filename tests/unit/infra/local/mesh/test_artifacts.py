import json
from pathlib import Path
from typing import Any

import pytest

from infra import seldon
from infra.local.mesh import artifacts
from infra.local.mesh.artifacts import ArtifactError
from infra.local.mesh.envoy import ModelVersion


def _artifact(folder: Path, **settings: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"implementation": "package.Runtime", **settings}
    (folder / "model-settings.json").write_text(json.dumps(settings))
    return folder


def _spec(uri: object, **spec: Any) -> seldon.ModelSpec:
    return seldon.ModelSpec(storage_uri=str(uri), **spec)


@pytest.mark.parametrize("form", ["{}", "file://{}", "file://localhost{}"])
def test_an_artifact_is_found_by_path_and_by_uri(tmp_path: Path, form: str) -> None:
    folder = _artifact(tmp_path / "a model")
    uri = form.format(folder if form == "{}" else str(folder).replace(" ", "%20"))
    assert artifacts.folder_of(_spec(uri)) == folder


def test_the_highest_numbered_folder_is_taken_or_the_one_that_is_asked_for(tmp_path: Path) -> None:
    for name in ("1", "2", "10", "draft"):
        _artifact(tmp_path / name)
    (tmp_path / "11").mkdir()
    assert artifacts.folder_of(_spec(tmp_path)).name == "10"
    assert artifacts.folder_of(_spec(tmp_path, artifact_version=2)).name == "2"
    with pytest.raises(ArtifactError, match="no version 3, there are: 1, 2, 10"):
        artifacts.folder_of(_spec(tmp_path, artifact_version=3))
    _artifact(tmp_path)
    assert artifacts.folder_of(_spec(tmp_path, artifact_version=2)) == tmp_path


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("/nowhere/at/all", "there is no folder"),
        ("relative/path", "absolute path"),
        ("gs://bucket/model", "this machine only"),
        ("file://elsewhere/model", "this machine only"),
        ("", "absolute path"),
    ],
)
def test_an_artifact_that_is_not_here_says_why(uri: str, said: str) -> None:
    with pytest.raises(ArtifactError, match=said):
        artifacts.folder_of(_spec(uri))


def test_settings_are_rewritten_as_seldons_agent_does(tmp_path: Path) -> None:
    folder = _artifact(
        tmp_path / "artifact",
        name="whatever",
        platform="onnx",
        max_batch_size=8,
        max_batch_time=0.1,
        cache_enabled=True,
        inputs=[
            {
                "name": "INPUT",
                "shape": [-1],
                "datatype": "FP32",
                "parameters": {"content_type": "np"},
            }
        ],
        parameters={
            "version": "v7",
            "environment_path": "/env",
            "content_type": "np",
            "extra": {"factor": 10, "term": 1},
        },
    )
    parameters = (seldon.Parameter(name="factor", value="7"),)
    spec = _spec(folder, parameters=parameters)
    assert artifacts.rewritten_settings(spec, folder, ModelVersion("mul", 3)) == {
        "name": "mul_3",
        "implementation": "package.Runtime",
        "platform": "onnx",
        "inputs": [{"name": "INPUT", "shape": [-1], "datatype": "FP32"}],
        "parameters": {
            "uri": str(folder),
            "version": "1",
            "content_type": "np",
            "extra": {"factor": "7", "term": 1},
        },
    }


@pytest.mark.parametrize(
    ("uri", "wanted"),
    [
        ("./model.onnx", "{}/model.onnx"),
        ("weights", "{}/weights"),
        ("/abs/m", "/abs/m"),
        (None, "{}"),
    ],
)
def test_a_relative_uri_is_relative_to_the_artifact(
    tmp_path: Path, uri: str | None, wanted: str
) -> None:
    folder = _artifact(tmp_path, parameters={"uri": uri})
    settings = artifacts.rewritten_settings(_spec(folder), folder, ModelVersion("m", 1))
    assert settings["parameters"]["uri"] == wanted.format(folder)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"implementation": 7}'])
def test_settings_that_cannot_be_used_are_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "model-settings.json"
    path.write_text(text)
    with pytest.raises(ArtifactError, match=str(path)):
        artifacts.rewritten_settings(_spec(tmp_path), tmp_path, ModelVersion("m", 1))


def test_only_a_change_that_matters_makes_a_new_version() -> None:
    digest = artifacts.digest_of(_spec("/x", replicas=1))
    assert artifacts.digest_of(_spec("/x", replicas=3, min_replicas=1)) == digest
    assert artifacts.digest_of(_spec("/y", replicas=1)) != digest
    assert artifacts.digest_of(_spec("/x", requirements=("a",))) != digest


def test_a_folder_in_the_repository_comes_and_goes(tmp_path: Path) -> None:
    version = ModelVersion("m", 1)
    artifacts.write(tmp_path, version, {"name": "m_1"}, Path("/artifact"))
    written = json.loads((tmp_path / "m_1" / "model-settings.json").read_text())
    assert written == {"name": "m_1", "_artifact": "/artifact"}
    assert [each.name for each in (tmp_path / "m_1").iterdir()] == ["model-settings.json"]
    artifacts.remove(tmp_path, version)
    assert list(tmp_path.iterdir()) == []
    artifacts.remove(tmp_path, version)
