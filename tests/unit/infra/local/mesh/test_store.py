import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from infra.local.mesh.envoy import ModelVersion
from infra.local.mesh.store import Store, StoreError


def test_what_was_written_is_there_after_the_writer_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "state" / "mesh.sqlite3"
    script = f"""
        import os, pathlib, signal
        from infra.local.mesh.envoy import ModelVersion
        from infra.local.mesh.store import Store
        store = Store(pathlib.Path({str(path)!r}))
        with store.transaction():
            store.next_resource_version()
            store.put_object("models", "m", "{{}}")
        store.add_version(ModelVersion("m", 1), "digest")
        store.set_live(ModelVersion("m", 1))
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert done.returncode == -9
    store = Store(path)
    assert store.objects() == [("models", "m", "{}")]
    assert store.resource_version() == 1
    (record,) = store.versions()
    assert (record.version, record.digest, record.live) == (ModelVersion("m", 1), "digest", True)


def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path / "mesh.sqlite3")

    def failing() -> None:
        with store.transaction():
            store.put_object("models", "m", "{}")
            store.next_resource_version()
            raise KeyError

    with pytest.raises(KeyError):
        failing()
    assert store.objects() == []
    assert store.resource_version() == 0


def test_one_version_of_a_model_is_live(tmp_path: Path) -> None:
    store = Store(tmp_path / "mesh.sqlite3")
    for number in (1, 2, 10):
        store.add_version(ModelVersion("m", number), str(number))
    store.add_version(ModelVersion("other", 1), "x")
    store.set_live(ModelVersion("other", 1))
    for number in (1, 10):
        store.set_live(ModelVersion("m", number))
        live = [each.version for each in store.versions() if each.live]
        assert live == [ModelVersion("m", number), ModelVersion("other", 1)]
    assert [each.version.version for each in store.versions()][:3] == [1, 2, 10]
    store.set_none_live("m")
    store.remove_version(ModelVersion("m", 2))
    assert [(each.version.model, each.version.version, each.live) for each in store.versions()] == [
        ("m", 1, False),
        ("m", 10, False),
        ("other", 1, True),
    ]


def test_a_second_mesh_on_the_same_state_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mesh.sqlite3"
    first = Store(path)
    with pytest.raises(StoreError, match="another mesh"):
        Store(path)
    first.close()
    Store(path).close()


def test_a_damaged_file_is_refused_with_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mesh.sqlite3"
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(StoreError, match=str(path)):
        Store(path)
