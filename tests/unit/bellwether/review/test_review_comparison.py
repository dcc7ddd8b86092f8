"""Two renderings, file by file and object by object."""

import pytest
import yaml

from bellwether.review import comparison
from infra.cluster import recording, rendering

CANARY = "canary-4711"


@pytest.fixture(scope="module")
def dev():
    """Everything that the repository's own stack `dev` registers."""
    return recording.record("dev")


def write(folder, **documents):
    folder.mkdir(exist_ok=True)
    for name, document in documents.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(document))


def document(kind="ConfigMap", **more):
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": "a"}} | more


def test_the_same_rendering_has_no_difference(dev, tmp_path):
    for name in ("base", "head"):
        rendering.write(dev, tmp_path / name)
    assert comparison.compare(tmp_path / "base", tmp_path / "head") == ()


def test_where_there_was_nothing_everything_is_created(dev, tmp_path):
    count = rendering.write(dev, tmp_path / "head")
    files = comparison.compare(tmp_path / "nowhere", tmp_path / "head")
    found = comparison.Rendered(stack="dev", base="b", files=files)
    assert found.counts == {"create": count}
    assert {each.operation for each in found.changes} == {"create"}


def test_a_changed_line_is_shown_with_its_surroundings(tmp_path):
    write(tmp_path / "base", a=document(data={"x": "1", "y": "2"}))
    write(tmp_path / "head", a=document(data={"x": "1", "y": "3"}))
    (file,) = comparison.compare(tmp_path / "base", tmp_path / "head")
    assert (file.operation, file.added, file.removed) == ("update", 1, 1)
    assert "-  y: '2'\n+  y: '3'" in file.diff
    assert "---" not in file.diff


def test_of_several_documents_in_a_file_only_what_differs_is_a_change(tmp_path):
    charts = [{"chart": "a", "version": "1"}, {"chart": "b", "version": "1"}]
    for name, version in (("base", "1"), ("head", "2")):
        (tmp_path / name).mkdir()
        charts[1]["version"] = version
        (tmp_path / name / "charts.yaml").write_text(yaml.safe_dump_all(charts))
    files = comparison.compare(tmp_path / "base", tmp_path / "head")
    found = comparison.Rendered(stack="dev", base="b", files=files)
    assert [(each.operation, each.title) for each in found.changes] == [("update", "Chart b")]


def test_what_a_secret_holds_is_hidden_also_where_the_renderer_did_not(tmp_path):
    write(tmp_path / "base", a=document("Secret", stringData={"password": CANARY}))
    write(tmp_path / "head", a=document("Secret", stringData={"password": CANARY, "b": CANARY}))
    (file,) = comparison.compare(tmp_path / "base", tmp_path / "head")
    assert CANARY not in file.model_dump_json()
    assert "+  b: '[secret]'" in file.diff
