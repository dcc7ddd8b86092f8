import json
from pathlib import Path

import pytest

from infra.local.mesh import settings


def test_settings_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    given = settings.Settings(state_dir=tmp_path, ports=settings.Ports(mesh=1234), namespace="desk")
    path = tmp_path / "mesh.json"
    path.write_text(given.model_dump_json())
    assert settings.read(settings.Settings, path) == given


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"state_dir": "relative"}, "state_dir: Value error, relative must be absolute"),
        ({"state_dir": "/x", "port": 1}, "port: Extra inputs are not permitted"),
        ({"state_dir": "/x", "ports": {"mesh": 0}}, "ports.mesh"),
        ({}, "state_dir: Field required"),
    ],
)
def test_a_wrong_file_says_what_is_wrong_and_where(
    tmp_path: Path, content: dict[str, object], said: str
) -> None:
    path = tmp_path / "mesh.json"
    path.write_text(json.dumps(content))
    with pytest.raises(SystemExit) as refused:
        settings.read(settings.Settings, path)
    assert str(path) in str(refused.value)
    assert said in str(refused.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"nosuch\.json: cannot be read: No such file"):
        settings.read(settings.Settings, tmp_path / "nosuch.json")


def test_what_envoy_watches_is_alone_in_its_folder() -> None:
    given = settings.Settings(state_dir=Path("/state"))
    folders = [path.parent for path in (given.clusters, given.routes, given.bootstrap)]
    assert len(set(folders)) == 3
