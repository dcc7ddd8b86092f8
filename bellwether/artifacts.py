"""`bellwether artifacts push`: what was trained, into the bucket that a cluster's stack reads.

By rclone, with which Seldon's agents fetch. Credentials come from the environment, as AWS's tools
read them (`AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, or a role).
"""

import collections.abc
import dataclasses
import os
import pathlib
import subprocess
import sys

from bellwether import training
from infra import paths
from infra.cluster import artifacts
from infra.cluster import settings as cluster_settings


class ArtifactsError(Exception):
    """The bucket could not be filled; the message says what rclone said, and what to do."""


@dataclasses.dataclass(frozen=True)
class Pushed:
    """One artifact in the bucket."""

    artifact: str
    uri: str
    files: int
    new: bool
    """Whether it was not there before."""


def push(
    stack: str, said: collections.abc.Callable[[int, str], None] = lambda _count, _name: None
) -> list[Pushed]:
    """Copy every trained artifact to its URI; what is there already is compared, never changed.

    `said` is called before each artifact with how many there are, and its name.

    Raises:
        settings.SettingsError: the stack's configuration is wrong.
        ArtifactsError: something is not trained, or rclone failed.

    """
    wanted = cluster_settings.read(paths.ROOT / f"Pulumi.{stack}.yaml")
    folders = training.states(wanted.data, wanted.seed)
    if stale := sorted(name for name, folder in folders.items() if folder is None):
        raise ArtifactsError(
            f"to be trained first, as their code or data is new: {', '.join(stale)}; "
            f"`uv run bellwether train --stack {stack}` does it"
        )
    uris = artifacts.uris(wanted, training.provenances(wanted.data, wanted.seed))
    remote = _Remote(wanted)
    made = []
    for name, folder in sorted(folders.items()):
        said(len(folders), name)
        if folder is not None:
            made.append(_pushed(remote, name, folder, uris[name]))
    return made


class _Remote:
    """Rclone, told of the stack's bucket by its environment: no file, no argument holds a secret."""

    def __init__(self, stack: cluster_settings.Cluster) -> None:
        prefix = f"RCLONE_CONFIG_{artifacts.REMOTE.upper()}_"
        self._environment = {
            **os.environ,
            "RCLONE_CONFIG": os.devnull,
            f"{prefix}TYPE": "s3",
            f"{prefix}PROVIDER": "Other",
            f"{prefix}ENV_AUTH": "true",
            f"{prefix}ENDPOINT": stack.artifacts.endpoint,
            f"{prefix}REGION": stack.artifacts.region,
            # The bucket is somebody's: it is not made here, nor asked for at each file.
            f"{prefix}NO_CHECK_BUCKET": "true",
        }

    def run(self, *arguments: str) -> str:
        """Run rclone and give its output; raise ArtifactsError."""
        program = pathlib.Path(sys.prefix) / "bin" / "rclone"
        done = subprocess.run(
            [program, "--retries=2", "--low-level-retries=3", *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            lines = done.stderr.strip().splitlines()
            raise ArtifactsError(
                f"rclone {arguments[0]} failed: {lines[-1] if lines else 'without a word'}; "
                "are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY the bucket's, and is it there?"
            )
        return done.stdout


def _pushed(remote: _Remote, name: str, folder: pathlib.Path, uri: str) -> Pushed:
    place = uri.replace("://", ":", 1)
    files = sum(1 for path in folder.rglob("*") if path.is_file())
    before = len(remote.run("lsf", "--recursive", "--files-only", place).splitlines())
    if before < files:
        remote.run("copy", "--immutable", "--checksum", str(folder), place)
    try:
        remote.run("check", "--download", str(folder), place)
    except ArtifactsError as error:
        raise ArtifactsError(
            f"{uri} holds other bytes than {folder}: an artifact is never changed behind its URI. "
            "Train on the machine that made it, or remove it there if nothing serves it"
        ) from error
    return Pushed(name, uri, files, before < files)
