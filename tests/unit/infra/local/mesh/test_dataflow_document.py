import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from infra.local.mesh import dataflow
from infra.local.mesh.executor import Executor
from infra.local.mesh.model_server_errors import ModelServerGoneError, ReloadError


class _ModelServer:
    """Reads the document as the model server does, and answers when it is let."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.read: list[dataflow.Document] = []
        self.failures: list[Exception] = []
        self.free = asyncio.Event()
        self.free.set()
        self.answered = asyncio.Event()

    async def reload_pipelines(self) -> None:
        document = dataflow.Document.model_validate_json(self._path.read_bytes())
        await self.free.wait()
        if self.failures:
            raise self.failures.pop(0)
        self.read.append(document)
        self.answered.set()


def _document(version: int) -> dataflow.Document:
    step = dataflow.Step(name="a", inputs=("p.inputs",))
    pipeline = dataflow.Pipeline(name="p", version=version, steps=(step,))
    return dataflow.Document(pipelines=(pipeline,))


def _run(
    folder: Path,
    scene: Callable[[Executor, _ModelServer, list[dataflow.Document]], Awaitable[None]],
) -> None:
    async def play() -> None:
        repository = folder / "repository"
        acting: list[dataflow.Document] = []
        server = _ModelServer(dataflow.path_of(repository))

        async def act(document: dataflow.Document) -> None:
            acting.append(document)

        await scene(Executor(repository, server, act), server, acting)

    asyncio.run(play())


def test_a_document_acts_once_the_model_server_has_read_it(tmp_path: Path) -> None:
    async def scene(
        executor: Executor, server: _ModelServer, acting: list[dataflow.Document]
    ) -> None:
        server.free.clear()
        executor.write(_document(1), up=True)
        await asyncio.sleep(0)
        assert not acting
        server.free.set()
        await executor.acts()
        assert acting == server.read == [_document(1)]
        executor.write(_document(1), up=True)
        await executor.acts()
        assert len(server.read) == 1, "what acts already is not asked for again"

    _run(tmp_path, scene)


def test_what_changes_meanwhile_acts_before_the_wait_is_over(tmp_path: Path) -> None:
    async def scene(
        executor: Executor, server: _ModelServer, acting: list[dataflow.Document]
    ) -> None:
        server.free.clear()
        for version in (1, 2, 3):
            executor.write(_document(version), up=True)
            await asyncio.sleep(0)
        server.free.set()
        await executor.acts()
        assert acting[-1] == server.read[-1] == _document(3)

    _run(tmp_path, scene)


def test_a_model_server_that_comes_back_is_asked_again(tmp_path: Path) -> None:
    async def scene(
        executor: Executor, server: _ModelServer, acting: list[dataflow.Document]
    ) -> None:
        executor.write(_document(1), up=False)
        await executor.acts()
        assert not server.read
        server.failures.append(ModelServerGoneError("gone"))
        executor.restarted()
        await executor.acts()
        assert not acting
        for _ in range(2):
            executor.restarted()
            await executor.acts()
        assert server.read == [_document(1), _document(1)]

    _run(tmp_path, scene)


def test_a_refused_document_is_told_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.local.mesh.executor._RETRY_SECONDS", 0.001)

    async def scene(
        executor: Executor, server: _ModelServer, acting: list[dataflow.Document]
    ) -> None:
        server.failures.append(ReloadError("no such join"))
        executor.write(_document(1), up=True)
        with pytest.raises(ReloadError, match="no such join"):
            await executor.acts()
        assert executor.problem == "no such join"
        await server.answered.wait()
        await executor.acts()
        assert acting == [_document(1)]
        assert executor.problem is None

    _run(tmp_path, scene)


def test_what_could_not_be_followed_is_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.local.mesh.executor._RETRY_SECONDS", 0.001)
    repository, tries = tmp_path / "repository", []

    async def play() -> None:
        server = _ModelServer(dataflow.path_of(repository))

        async def follow(document: dataflow.Document) -> None:
            tries.append(document)
            if len(tries) == 1:
                raise TimeoutError("Envoy is busy")

        executor = Executor(repository, server, follow)
        executor.write(_document(1), up=True)
        await executor.acts()

    asyncio.run(play())
    assert tries == [_document(1), _document(1)]


def test_without_any_document_there_is_nothing_to_ask_for(tmp_path: Path) -> None:
    async def scene(
        executor: Executor, server: _ModelServer, acting: list[dataflow.Document]
    ) -> None:
        executor.write(dataflow.Document(), up=True)
        executor.restarted()
        await executor.acts()
        assert not server.read

    _run(tmp_path, scene)


def test_what_an_earlier_mesh_left_is_taken_back_when_nothing_is_declared(tmp_path: Path) -> None:
    dataflow.path_of(tmp_path / "repository").write_text(_document(1).model_dump_json())

    async def scene(
        executor: Executor, server: _ModelServer, acting: list[dataflow.Document]
    ) -> None:
        executor.write(dataflow.Document(), up=True)
        await executor.acts()
        assert server.read == [dataflow.Document()]

    _run(tmp_path, scene)
