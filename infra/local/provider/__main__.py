"""The provider's process, started by the Pulumi engine through `pulumi-resource-bellwether-local`."""

import importlib.metadata
import sys

from pulumi.provider.experimental import server

from infra.local.provider import provider, registry

if __name__ == "__main__":
    server.main(
        sys.argv[1:],
        importlib.metadata.version("bellwether"),
        provider.LocalProvider(registry.HANDLERS),
    )
