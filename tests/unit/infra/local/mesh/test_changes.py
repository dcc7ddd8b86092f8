import asyncio
from pathlib import Path
from typing import Any

from infra.local.mesh.changes import Changes
from infra.local.mesh.objects import Objects
from infra.local.mesh.store import Store


def _shown(name: str) -> dict[str, Any]:
    return {"kind": "Model", "metadata": {"name": name}}


def _told(changes: Changes, since: int, seconds: float = 0.05) -> list[dict[str, Any]]:
    async def read() -> list[dict[str, Any]]:
        return [each async for each in changes.watch("models", since, seconds)]

    return asyncio.run(read())


def test_a_watch_gives_what_came_after_its_version_of_its_kind_alone():
    told = {}
    for since in (0, 1):
        changes = Changes()
        changes.add("ADDED", "models", 1, _shown("a"))
        changes.add("ADDED", "experiments", 2, _shown("e"))
        changes.add("DELETED", "models", 3, _shown("a"))
        told[since] = _told(changes, since)
    assert [each["type"] for each in told[0]] == ["ADDED", "DELETED"]
    (last,) = told[1]
    assert last["object"]["metadata"] == {"name": "a", "resourceVersion": "3"}


def test_a_watch_from_a_version_that_is_forgotten_is_told_to_list_again():
    changes = Changes(version=7, kept=2)
    (told,) = _told(changes, 6)
    assert (told["type"], told["object"]["code"]) == ("ERROR", 410)
    for since, wanted in ((7, ["ERROR"]), (8, ["MODIFIED", "MODIFIED"])):
        changes = Changes(version=7, kept=2)
        for version in (8, 9, 10):
            changes.add("MODIFIED", "models", version, _shown("a"))
        assert [each["type"] for each in _told(changes, since)] == wanted


def test_a_watch_hears_at_once_and_ends_when_the_mesh_does():
    async def heard() -> list[str]:
        changes = Changes()
        names: list[str] = []

        async def watch() -> None:
            async for each in changes.watch("models", 0):
                names.append(each["object"]["metadata"]["name"])
                changes.close()

        watching = asyncio.create_task(watch())
        await asyncio.sleep(0)
        changes.add("ADDED", "models", 1, _shown("a"))
        await asyncio.wait_for(watching, 5)
        return names

    assert asyncio.run(heard()) == ["a"]


def test_every_write_of_an_object_is_a_change(tmp_path: Path):
    store, changes = Store(tmp_path / "mesh.sqlite3"), Changes()
    kept = Objects(store, "desk", ("mlserver",), changes)
    body = {"metadata": {"name": "m"}, "spec": {"storageUri": "/a"}}
    kept.create("models", body)
    kept.replace("models", "m", body)
    kept.patch("models", "m", {"spec": {"storageUri": "/b"}})
    kept.delete("models", "m")
    store.close()
    told = _told(changes, 0)
    assert [each["type"] for each in told] == ["ADDED", "MODIFIED", "DELETED"]
    versions = [int(each["object"]["metadata"]["resourceVersion"]) for each in told]
    assert versions == sorted(set(versions))
