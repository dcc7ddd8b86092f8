"""Envoy, from the mesh's side: write what it reads, and ask how far it is."""

import asyncio
import contextlib
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import aiohttp
import pydantic_core

from infra.local.mesh import envoy
from infra.local.mesh.envoy import Routing, Upstream
from infra.local.mesh.settings import HOST, Settings

_POLL_SECONDS = (0.001, 0.001, 0.001, 0.002, 0.002, 0.005, 0.005, 0.01, 0.02, 0.05)
_REJECTION_CHECK_SECONDS = 0.5


class RejectedError(RuntimeError):
    """Envoy refused a document: a fault of ours."""


class Gateway:
    """Writes Envoy's documents and waits until they act.

    An Envoy that does not run counts as one that has taken everything:
    it reads the files when it starts.
    """

    def __init__(self, settings: Settings, session: aiohttp.ClientSession) -> None:
        self._settings = settings
        self._session = session
        self._version = 0
        self._clusters: tuple[Upstream, ...] | None = None
        self._clusters_version = 0
        self._routing: Routing | None = None
        self._routes_version = 0
        self._routes_acting = 0
        self._rejections = 0

    @property
    def routes_version(self) -> int:
        """The version of the routes that were written last."""
        return self._routes_version

    @property
    def routes_acting(self) -> int:
        """The version of the routes that are known to act."""
        return self._routes_acting

    def write_bootstrap(self) -> None:
        """Write what Envoy is started with, unless it is there."""
        document, path = envoy.bootstrap(self._settings), self._settings.bootstrap
        with contextlib.suppress(OSError, ValueError):
            if pydantic_core.from_json(path.read_bytes()) == document:
                return
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".new")
        temporary.write_bytes(pydantic_core.to_json(document, indent=2))
        temporary.replace(path)

    def write_clusters(self, upstreams: Iterable[Upstream]) -> int:
        """Write the clusters if they differ, and say their version."""
        wanted = tuple(sorted(upstreams, key=lambda each: each.internal_name))
        if wanted != self._clusters:
            self._clusters_version = self._next_version()
            version = str(self._clusters_version)
            document = envoy.clusters(wanted, self._settings, version)
            _replace(self._settings.clusters, document, self._clusters_version)
            self._clusters = wanted
        return self._clusters_version

    def write_routes(self, routing: Routing) -> int:
        """Write the routes if they differ, and say their version."""
        if routing != self._routing:
            self._routes_version = self._next_version()
            document = envoy.routes(routing, str(self._routes_version))
            _replace(self._settings.routes, document, self._routes_version)
            self._routing = routing
        return self._routes_version

    async def clusters_act(self, version: int) -> None:
        """Wait until Envoy knows these clusters.

        Raises `RejectedError`.
        """
        name = "cluster_manager.cds"
        rejected = await self._statistic(f"{name}.update_rejected")
        async for _ in _polls():
            text = await self._statistic(f"{name}.version_text")
            if text is None or int(text or 0) >= version:
                return
            if await self._statistic(f"{name}.update_rejected") != rejected:
                raise RejectedError(f"Envoy refused {self._settings.clusters}, see its log")

    async def routes_act(self, version: int) -> None:
        """Wait until requests are routed by these routes.

        Raises `RejectedError`.
        """
        started = time.monotonic()
        async for _ in _polls():
            acting = await self._acting()
            if acting is None:
                acting = version
            if acting >= version:
                self._routes_acting = max(self._routes_acting, acting)
                return
            if time.monotonic() - started > _REJECTION_CHECK_SECONDS:
                name = "http.gateway.rds.models.update_rejected"
                rejections = await self._statistic(name) or 0
                if rejections > self._rejections:
                    self._rejections = rejections
                    raise RejectedError(f"Envoy refused {self._settings.routes}, see its log")

    async def drained(self, upstream: Upstream) -> None:
        """Wait until no request is at a model version or pipeline."""
        names = f"{upstream.rest_cluster}|{upstream.grpc_cluster}"
        pattern = f"^cluster\\.({names})\\.upstream_rq_active$"
        async for _ in _polls():
            active = await self._statistics(pattern)
            if not any(active.values()):
                return

    async def answers(self) -> bool:
        """Say whether Envoy listens and, within a moment, routes by what are the newest routes."""
        version, started = self._routes_version, time.monotonic()
        async for _ in _polls():
            acting = await self._acting()
            if acting is None:
                return False
            if acting >= version:
                return True
            if time.monotonic() - started > _REJECTION_CHECK_SECONDS:
                return False
        raise AssertionError("polls do not end")

    async def _acting(self) -> int | None:
        """Ask for the version of the routes that act; None when Envoy does not answer."""
        url = f"http://{HOST}:{self._settings.ports.gateway}{envoy.ROUTES_PATH}"
        try:
            async with self._session.get(url) as response:
                return int(response.headers.get(envoy.ROUTES_VERSION_HEADER) or 0)
        except TimeoutError:
            return 0
        except aiohttp.ClientConnectionError:
            return None

    def _next_version(self) -> int:
        # Grows across restarts of the mesh, too.
        self._version = max(self._version + 1, time.time_ns())
        return self._version

    async def _statistic(self, name: str) -> Any:
        pattern = "^" + name.replace(".", "\\.") + "$"
        return (await self._statistics(pattern)).get(name)

    async def _statistics(self, pattern: str) -> dict[str, Any]:
        url = f"http://{HOST}:{self._settings.ports.envoy_admin}/stats"
        try:
            async with self._session.get(
                url, params={"filter": pattern, "format": "json"}
            ) as response:
                body = pydantic_core.from_json(await response.read())
        except aiohttp.ClientConnectionError:
            return {}
        return {each["name"]: each["value"] for each in body["stats"] if "name" in each}


async def _polls() -> Any:
    for pause in _POLL_SECONDS:
        yield None
        await asyncio.sleep(pause)
    while True:
        yield None
        await asyncio.sleep(_POLL_SECONDS[-1])


def _replace(path: Path, document: dict[str, Any], version: int) -> None:
    """Put a document in place at once: a new file, and a symbolic link renamed to point to it.

    Renaming the file itself would make ext4 write it to disk first, which can take milliseconds.
    """
    folder = path.parent.parent / "documents"
    for each in (folder, path.parent):
        each.mkdir(parents=True, exist_ok=True)
    target = folder / f"{path.stem}-{version}{path.suffix}"
    target.write_bytes(pydantic_core.to_json(document))
    link = folder / f".{path.name}"
    link.unlink(missing_ok=True)
    link.symlink_to(Path("..") / folder.name / target.name)
    link.replace(path)
    for old in folder.glob(f"{path.stem}-*{path.suffix}"):
        if old != target:
            old.unlink()
