"""Run the mesh: `python -m infra.local.mesh CONFIG.json`, see `settings.Settings`."""

import asyncio
import contextlib
import logging
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import uvicorn
import uvloop

from infra.local.mesh import settings as mesh_settings
from infra.local.mesh.changes import Changes
from infra.local.mesh.gateway import Gateway
from infra.local.mesh.http import Api
from infra.local.mesh.model_server_client import ModelServerClient
from infra.local.mesh.objects import Objects
from infra.local.mesh.policies import Policies
from infra.local.mesh.reconciler import Reconciler
from infra.local.mesh.store import Store, StoreError

ARGUMENTS = 2
ANSWER_SECONDS = 5
"""How long MLServer and Envoy may take for what is answered at once."""


class _Server(uvicorn.Server):  # type: ignore[misc]  # uvicorn is in the serving environment
    """Ends the watches before it waits for requests to end."""

    def __init__(self, changes: Changes, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._changes = changes

    async def shutdown(self, sockets: Any = None) -> None:
        self._changes.close()
        await super().shutdown(sockets)


async def serve(settings: mesh_settings.Settings) -> None:
    """Serve until told to stop."""
    store = Store(settings.database)
    settings.repository.mkdir(parents=True, exist_ok=True)
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        gateway = Gateway(settings, session)
        changes = Changes(store.resource_version())
        objects = Objects(store, settings.namespace, settings.capabilities, changes)
        reconciler = Reconciler(
            settings, store, objects, gateway, ModelServerClient(settings, session)
        )
        objects.follow(reconciler)
        api = Api(
            objects,
            reconciler,
            gateway,
            Policies(store, settings.namespace, changes),
            changes,
            namespace=settings.namespace,
            max_object_bytes=settings.max_object_bytes,
        )

        @contextlib.asynccontextmanager
        async def lifespan(_: Any) -> AsyncIterator[None]:
            reconciler.start()
            running = asyncio.create_task(reconciler.run())
            yield
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running

        await _Server(
            changes,
            uvicorn.Config(
                api.app(lifespan),
                host=mesh_settings.HOST,
                port=settings.ports.mesh,
                access_log=False,
                log_level="warning",
                timeout_keep_alive=75,
                timeout_graceful_shutdown=5,
            ),
        ).serve()
    store.close()


def main(arguments: list[str]) -> int:
    """Read the settings and serve."""
    if len(arguments) != ARGUMENTS:
        sys.stderr.write("usage: python -m infra.local.mesh CONFIG.json\n")
        return 2
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    settings = mesh_settings.read(mesh_settings.Settings, Path(arguments[1]))
    try:
        uvloop.run(serve(settings))
    except StoreError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
