"""The executor of pipelines in the model server, from the mesh's side.

Writes the document that it reads, and has it act on it.
"""

import asyncio
import logging
import pathlib
from collections.abc import Awaitable, Callable
from typing import Protocol

from infra.local.mesh import dataflow
from infra.local.mesh.model_server_errors import ModelServerGoneError, ReloadError

logger = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0


class ModelServer(Protocol):
    """Who reads the document."""

    async def reload_pipelines(self) -> None:
        """Act on what lies there. Raises `ReloadError`, `ModelServerGoneError`."""


Acting = Callable[[dataflow.Document], Awaitable[None]]


class Executor:
    """Brings the model server to the newest document. Not for use from several threads.

    `acting` is called with every document that the model server has begun to act on.
    A model server that is away reads the newest document when it starts, and is asked once more.
    Without any document there are no pipelines, and nothing to ask for.
    """

    def __init__(self, repository: pathlib.Path, model_server: ModelServer, acting: Acting) -> None:
        self._path = dataflow.path_of(repository)
        self._model_server = model_server
        self._on_acting = acting
        self._written = _read(self._path)
        self._acting: dataflow.Document | None = None
        self._work: asyncio.Task[None] | None = None
        self._problem: str | None = None

    @property
    def problem(self) -> str | None:
        """Why the newest document does not act, if the model server refused it."""
        return self._problem

    def write(self, document: dataflow.Document, *, up: bool) -> None:
        """Put a document in place if it differs, and, with the model server up, have it act."""
        if document != self._written:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary = self._path.with_suffix(".new")
            temporary.write_text(document.model_dump_json())
            temporary.replace(self._path)
            self._written = document
        if up:
            self._begin()

    def restarted(self) -> None:
        """Take notice of a model server that has come back."""
        self._acting = None
        self._begin()

    async def acts(self) -> None:
        """Wait until the newest document acts, or the model server is gone.

        Raises `ReloadError` if the model server refuses it.
        """
        while self._work is not None and not self._work.done():
            if self._problem is not None:
                raise ReloadError(self._problem)
            await asyncio.wait({self._work}, timeout=_RETRY_SECONDS)

    def _begin(self) -> None:
        idle = self._work is None or self._work.done()
        if idle and self._acting is not self._written and self._path.exists():
            self._work = asyncio.create_task(self._bring_up_to_date())

    async def _bring_up_to_date(self) -> None:
        while self._acting is not self._written:
            document = self._written
            try:
                await self._model_server.reload_pipelines()
                self._problem = None
            except ModelServerGoneError:
                return
            except ReloadError as error:
                logger.exception("the model server refuses the document of pipelines")
                self._problem = str(error)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            self._acting = document
            try:
                await self._on_acting(document)
            except Exception:
                # What has to follow did not: it is done again, with the newest document.
                logger.exception("the document of pipelines acts, but is not followed")
                self._acting = None
                await asyncio.sleep(_RETRY_SECONDS)


def _read(path: pathlib.Path) -> dataflow.Document:
    """Read what an earlier mesh wrote; what cannot be read is written again."""
    try:
        return dataflow.Document.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return dataflow.Document()
    except ValueError:
        logger.exception("%s cannot be read, it is written again", path)
        path.unlink()
        return dataflow.Document()
