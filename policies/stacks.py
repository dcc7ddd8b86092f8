"""Which stack is judged: its kind of environment, and the registries that its images may come from."""

import dataclasses
import functools
import pathlib
import typing

from infra import paths, settings
from infra.cluster import sizes

PUBLIC_REGISTRIES = (
    "docker.io/library/haproxy",
    "docker.io/rclone/rclone",
    "docker.io/seldonio/",
    "docker.io/valkey/valkey",
    "quay.io/prometheus/",
    "quay.io/prometheus-operator/",
    "quay.io/strimzi/",
)
"""Where others' images may come from; a stack's own registry is `bellwether:images.registry`."""

STRICTEST: sizes.Environment = "production"


@dataclasses.dataclass(frozen=True, slots=True)
class Stack:
    """A stack to judge."""

    name: str
    environment: sizes.Environment = STRICTEST
    registry: str | None = None
    """Of our own images: host and path."""

    @property
    def registries(self) -> tuple[str, ...]:
        """Prefixes of the images that it may run."""
        own = () if self.registry is None else (f"{self.registry.rstrip('/')}/",)
        return (*own, *PUBLIC_REGISTRIES)


@functools.cache
def read(name: str, folder: pathlib.Path = paths.ROOT) -> Stack:
    """Read what `Pulumi.<stack>.yaml` says; a stack that says nothing is judged as production is.

    Raises:
        settings.SettingsError: the file is no valid YAML.

    """
    file = folder / f"Pulumi.{name}.yaml"
    if not file.exists():
        return Stack(name)
    values = settings.configuration(file)
    if settings.target(values) == "local":
        return Stack(name, "dev")
    given = values.get(f"{settings.PROJECT}:environment")
    known: tuple[sizes.Environment, ...] = typing.get_args(sizes.Environment)
    environment = next((each for each in known if each == given), STRICTEST)
    images = values.get(f"{settings.PROJECT}:images")
    registry = images.get("registry") if isinstance(images, dict) else None
    return Stack(name, environment, registry)


def of_urn(urn: str) -> str:
    """Give the stack's name in `urn:pulumi:<stack>::<project>::…`."""
    return urn.removeprefix("urn:pulumi:").partition("::")[0]
