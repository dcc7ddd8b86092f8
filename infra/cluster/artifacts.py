"""The bucket of artifacts: how Seldon's agents and our own processes get what was trained.

Artifacts lie under `<prefix>/<model>/sha256-<provenance>`, the digest of code, data, seed and
library versions: new bytes always have a new URI, which Seldon needs to load them.
"""

import collections.abc
import dataclasses
import json
import urllib.parse

import pulumi

from infra import versions
from infra.cluster import component, manifest, network, settings, sizes, workload

SECRET = "artifacts-rclone"  # noqa: S105  a Secret's name
REMOTE = "s3"
"""The name of the bucket in rclone's configuration, and the scheme of a storage URI."""

_FOLDER = "/artifact"
CONFIGURATION = "/var/run/secrets/bellwether/artifacts"
_RCLONE_USER = 1000


def uris(stack: settings.Cluster, keys: collections.abc.Mapping[str, str]) -> dict[str, str]:
    """Give the URI of each artifact; `keys` maps its folder under `models/` to its provenance."""
    base = f"{REMOTE}://{stack.artifacts.bucket}/{stack.artifacts.prefix}"
    return {name: f"{base}/{name}/sha256-{key}" for name, key in sorted(keys.items())}


class Artifacts(component.Component):
    """The credentials of the bucket, as rclone reads them."""

    def __init__(self, site: component.Site, after: component.Resources) -> None:
        super().__init__(site, "artifacts", after)
        self.secret = self.add(_secret(site.settings))


def _parameters(stack: settings.Cluster, key: str, secret: str) -> dict[str, str]:
    return {
        "provider": "Other",
        "env_auth": "false",
        "access_key_id": key,
        "secret_access_key": secret,
        "endpoint": stack.artifacts.endpoint,
        "region": stack.artifacts.region,
    }


def rclone_configuration(stack: settings.Cluster, key: str, secret: str) -> str:
    """Write what rclone reads: the bucket under the name REMOTE."""
    given = {"type": "s3", **_parameters(stack, key, secret)}
    return f"[{REMOTE}]\n" + "".join(f"{name} = {value}\n" for name, value in given.items())


def _secret(stack: settings.Cluster) -> manifest.Manifest:
    credentials = stack.secret("artifacts_access_key"), stack.secret("artifacts_secret_key")
    agent = {"type": "s3", "name": REMOTE, "parameters": _parameters(stack, *credentials)}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET},
        "type": "Opaque",
        # The first is what Seldon's agent reads, the second what rclone reads itself.
        "stringData": {
            REMOTE: pulumi.Output.secret(json.dumps(agent)),
            "rclone.conf": pulumi.Output.secret(rclone_configuration(stack, *credentials)),
        },
    }


@dataclasses.dataclass(frozen=True, slots=True)
class Fetched:
    """An artifact that is fetched before a workload's own container starts."""

    path: str
    container: manifest.Manifest
    mounts: tuple[workload.Mount, ...]
    way: network.Way


def fetched(site: component.Site, name: str) -> Fetched:
    """Give what fetches the artifact of `models/<name>` into a workload."""
    source = site.storage[name].replace("://", ":", 1)
    digest = source.rpartition("/")[2]
    path = f"{_FOLDER}/{digest}"
    container: manifest.Manifest = {
        "name": "fetch-artifact",
        "image": versions.RCLONE_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["rclone", f"--config={CONFIGURATION}/rclone.conf", "copy", source, path],
        "env": [{"name": "RCLONE_CACHE_DIR", "value": _FOLDER}],
        "resources": sizes.Resources("50m", "128Mi").manifest(),
        "securityContext": workload.CONTAINER_SECURITY,
        "volumeMounts": [
            {"name": "artifact", "mountPath": _FOLDER},
            {"name": "bucket", "mountPath": CONFIGURATION, "readOnly": True},
        ],
    }
    return Fetched(
        path,
        container,
        (
            workload.Mount(_FOLDER, name="artifact", size="256Mi"),
            workload.Mount(CONFIGURATION, SECRET, keys=("rclone.conf",), name="bucket"),
        ),
        way(site.settings),
    )


def way(stack: settings.Cluster) -> network.Way:
    """Give the way to the bucket."""
    endpoint = urllib.parse.urlsplit(stack.artifacts.endpoint)
    port = endpoint.port or (443 if endpoint.scheme == "https" else 80)
    return network.Way("the artifacts' bucket", (port,), networks=stack.artifacts.networks)
