"""Other revisions of the checkout: compared with, and gone back to."""

import collections.abc
import contextlib
import os
import pathlib
import subprocess
import tempfile

from bellwether import steps
from bellwether.review import comparison
from infra import paths
from infra.local import toolchain


class RevisionError(Exception):
    """A revision is not there, or its program does not run; the message says what git or it said."""


def commit(revision: str = "HEAD", folder: pathlib.Path = paths.ROOT) -> str:
    """Give a revision's commit.

    Raises:
        RevisionError: there is none.

    """
    return _git(folder, "rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}")


@contextlib.contextmanager
def worktree(
    revision: str, folder: pathlib.Path = paths.ROOT
) -> collections.abc.Iterator[pathlib.Path]:
    """Give a folder with the files of a revision, until the block ends; errors as `commit`."""
    wanted = commit(revision, folder)
    with tempfile.TemporaryDirectory(prefix="bellwether-revision-") as temporary:
        place = pathlib.Path(temporary) / "checkout"
        _git(folder, "worktree", "add", "--detach", "--quiet", str(place), wanted)
        try:
            yield place
        finally:
            _git(folder, "worktree", "remove", "--force", str(place))


def bellwether(place: pathlib.Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a revision's own `bellwether`, in an environment of its own lock file."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in {"VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT", "PYTHONPATH"}
    }
    return subprocess.run(
        [toolchain.uv(), "run", "--quiet", "--frozen", "bellwether", *arguments],
        cwd=place,
        env=inherited,
        capture_output=True,
        text=True,
        check=False,
    )


def compare(
    stack: str, base: str, head: pathlib.Path, folder: pathlib.Path = paths.ROOT
) -> comparison.Rendered:
    """Compare what a stack registers here, rendered into `head`, with another revision.

    Raises:
        RevisionError: there is no such revision, or its program does not render.

    """
    name = f"Pulumi.{stack}.yaml"
    with (
        steps.step(f"`{stack}` at {base}") as step,
        worktree(base, folder) as place,
        tempfile.TemporaryDirectory() as temporary,
    ):
        out = pathlib.Path(temporary) / stack
        if (place / name).exists():
            ended = bellwether(place, "render", "-s", stack, "--out", str(out))
            if ended.returncode:
                raise RevisionError(
                    f"`bellwether render -s {stack}` of {base} fails:\n{ended.stderr.strip()}"
                )
        files = comparison.compare(out, head)
        step.note = f"{len(files)} files differ" if files else "the same manifests"
        return comparison.Rendered(stack=stack, base=commit(base, folder), files=files)


def _git(folder: pathlib.Path, *arguments: str) -> str:
    ended = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise RevisionError(f"`git {' '.join(arguments)}` fails: {ended.stderr.strip()}")
    return ended.stdout.strip()
