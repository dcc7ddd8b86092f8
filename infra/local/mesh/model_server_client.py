"""MLServer, from the mesh's side: its repository API, its pipelines, and whether it is there."""

import asyncio
import contextlib

import aiohttp
import pydantic_core

from infra.local.mesh import dataflow
from infra.local.mesh.envoy import ModelVersion
from infra.local.mesh.model_server_errors import LoadError, ModelServerGoneError, ReloadError
from infra.local.mesh.settings import HOST, Settings

_RETRY_SECONDS = 0.1


class ModelServerClient:
    """Calls MLServer."""

    def __init__(self, settings: Settings, session: aiohttp.ClientSession) -> None:
        self._port = settings.ports.mlserver_http
        self._base = f"http://{HOST}:{self._port}"
        self._session = session
        self._load_timeout = settings.load_timeout
        self._drain_timeout = settings.drain_timeout

    async def load(self, version: ModelVersion) -> None:
        """Load a model version that lies in the repository.

        Raises `LoadError` with MLServer's reason, `ModelServerGoneError`.
        """
        status, text = await self._post(f"/v2/repository/models/{version.internal_name}/load")
        if status != 200:  # noqa: PLR2004 - HTTP's OK
            raise LoadError(text)

    async def unload(self, version: ModelVersion) -> None:
        """Unload a model version; one that is not loaded is fine.

        Raises `LoadError` with MLServer's reason, `ModelServerGoneError`.
        """
        status, text = await self._post(f"/v2/repository/models/{version.internal_name}/unload")
        if status not in {200, 404}:
            raise LoadError(text)

    async def ready_models(self) -> frozenset[str]:
        """Ask which models can answer, by MLServer's names for them.

        Raises `ModelServerGoneError`.
        """
        status, text = await self._post("/v2/repository/index", {"ready": True})
        if status != 200:  # noqa: PLR2004 - HTTP's OK
            raise ModelServerGoneError(text)
        return frozenset(each["name"] for each in pydantic_core.from_json(text))

    async def reload_pipelines(self) -> None:
        """Have it act on the document of pipelines that lies there.

        Raises `ReloadError` with MLServer's reason, `ModelServerGoneError`.
        """
        try:
            status, text = await self._post(dataflow.RELOAD_PATH)
        except LoadError as error:
            raise ReloadError(str(error)) from error
        if status != 200:  # noqa: PLR2004 - HTTP's OK
            raise ReloadError(text)

    async def drain(self, version: ModelVersion) -> None:
        """Wait until no pipeline needs a model version any more.

        Raises `LoadError` with MLServer's reason, `ModelServerGoneError`.
        """
        path = f"{dataflow.DRAIN_PATH}/{version.internal_name}"
        status, text = await self._post(f"{path}?timeout={self._drain_timeout:g}")
        if status != 200:  # noqa: PLR2004 - HTTP's OK
            raise LoadError(text)

    async def started(self) -> "Presence":
        """Wait until MLServer has loaded what its repository holds."""
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection(HOST, self._port)
                if await self._ready(reader):
                    return Presence(reader, writer)
                writer.close()
            await asyncio.sleep(_RETRY_SECONDS)

    async def _ready(self, reader: asyncio.StreamReader) -> bool:
        while not reader.at_eof():
            try:
                async with self._session.get(f"{self._base}/v2/health/ready") as response:
                    if response.status == 200:  # noqa: PLR2004 - HTTP's OK
                        return True
            except TimeoutError:
                pass  # busy loading
            except aiohttp.ClientConnectionError:
                return False
            await asyncio.sleep(_RETRY_SECONDS)
        return False

    async def _post(self, path: str, body: object = None) -> tuple[int, str]:
        timeout = aiohttp.ClientTimeout(total=self._load_timeout)
        try:
            async with self._session.post(
                f"{self._base}{path}", json=body, timeout=timeout
            ) as response:
                text = await response.text()
        except TimeoutError as error:
            raise LoadError(f"no answer to {path} within {self._load_timeout:g} s") from error
        except aiohttp.ClientConnectionError as error:
            raise ModelServerGoneError(str(error)) from error
        with contextlib.suppress(ValueError, TypeError, KeyError):
            if response.status >= 400:  # noqa: PLR2004 - HTTP's errors begin here
                text = str(pydantic_core.from_json(text)["error"])
        return response.status, text


class Presence:
    """An idle connection to MLServer, which ends when the process does."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ended(self) -> None:
        """Wait until MLServer is gone."""
        with contextlib.suppress(OSError):
            while await self._reader.read(1):
                pass
        self._writer.close()
