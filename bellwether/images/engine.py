"""What builds and runs images: docker or podman where one answers, else buildah and runc."""

import collections.abc
import contextlib
import dataclasses
import os
import pathlib
import shutil
import subprocess
import typing


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """What a build is told."""

    dockerfile: pathlib.Path
    context: pathlib.Path
    tag: str
    arguments: collections.abc.Mapping[str, str]
    labels: collections.abc.Mapping[str, str]
    fresh: bool
    """Whether nothing that was kept of an earlier build is used."""
    log: pathlib.Path


@dataclasses.dataclass(frozen=True, slots=True)
class Configuration:
    """What an image says of itself."""

    user: str
    command: tuple[str, ...]
    environment: tuple[str, ...]
    health: tuple[str, ...]
    """The command of its HEALTHCHECK."""
    labels: collections.abc.Mapping[str, str]
    folder: str

    @classmethod
    def read(cls, found: collections.abc.Mapping[str, typing.Any]) -> "Configuration":
        """Read Docker's form of it."""
        test = (found.get("Healthcheck") or {}).get("Test") or ["NONE"]
        return cls(
            found.get("User") or "",
            (*(found.get("Entrypoint") or ()), *(found.get("Cmd") or ())),
            tuple(found.get("Env") or ()),
            tuple(test[1:]) if test[0] == "CMD" else (),
            dict(found.get("Labels") or {}),
            found.get("WorkingDir") or "/",
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How a container is run: as Kubernetes would, with a read-only root and no capabilities."""

    name: str
    user: int
    command: tuple[str, ...] = ()
    """Instead of the image's own."""
    environment: collections.abc.Mapping[str, str] = dataclasses.field(default_factory=dict)
    mounts: collections.abc.Mapping[pathlib.Path, str] = dataclasses.field(default_factory=dict)
    """Folders of this machine, to read."""
    scratch: collections.abc.Mapping[pathlib.Path, str] = dataclasses.field(default_factory=dict)
    """Folders of this machine, to write."""
    log: pathlib.Path


class Container(typing.Protocol):
    """A container that runs, in this machine's network."""

    def execute(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command inside it."""

    def ended(self) -> int | None:
        """Give its exit status, or None while it runs."""

    def wait(self, seconds: float) -> int:
        """Wait for its end; give its exit status."""


class Engine(typing.Protocol):
    """What builds and runs."""

    name: str

    def build(self, wanted: Build) -> None:
        """Build an image. Raises catalogue.ImageError."""

    def identity(self, reference: str) -> str | None:
        """Give an image's id, `sha256:…`; None if it is not here."""

    def configuration(self, reference: str) -> Configuration:
        """Read what an image says of itself."""

    def root(self, reference: str) -> contextlib.AbstractContextManager[pathlib.Path]:
        """Give an image's files as a folder."""

    def run(self, reference: str, wanted: Run) -> contextlib.AbstractContextManager[Container]:
        """Run a container until the block ends."""

    def push(self, reference: str, target: str) -> str:
        """Push an image; give the digest that the registry has it under."""


def answering() -> str | None:
    """Find an engine that answers: docker, then podman."""
    for name in ("docker", "podman"):
        if shutil.which(name):
            asked = subprocess.run([name, "info"], capture_output=True, check=False)
            if asked.returncode == 0:
                return name
    return None


def certificates() -> pathlib.Path | None:
    """Find the file of certificates that this machine is told to trust, for a build's downloads."""
    for variable in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        found = os.environ.get(variable)
        if found and pathlib.Path(found).is_file():
            return pathlib.Path(found)
    return None


def why_not() -> str | None:
    """Say why no image can be built here, or None."""
    if answering() or os.geteuid() == 0:
        return None
    return "neither docker nor podman answers, and buildah in their stead needs root"
