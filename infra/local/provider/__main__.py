"""The provider's process, started by the Pulumi engine through `pulumi-resource-bellwether-local`."""

import importlib.metadata
import os
import select
import sys
import threading

from pulumi.provider.experimental import server

from infra.local.provider import provider, registry


def _end_with(parent: int) -> None:
    """End this process when the engine is gone: one that was killed tells its providers nothing."""
    try:
        descriptor = os.pidfd_open(parent)
    except ProcessLookupError:
        os._exit(1)
    select.select([descriptor], [], [])
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    server.main(
        sys.argv[1:],
        importlib.metadata.version("bellwether"),
        provider.LocalProvider(registry.HANDLERS),
    )
