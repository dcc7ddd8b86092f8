"""Where datasets, artifacts and the training index are kept, and how files get there.

Everything is named by a digest of what it was made of, and appears at once or not at all:
an interrupted run leaves nothing that looks finished.
"""

import contextlib
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

VARIABLE = "BELLWETHER_CACHE"


def root() -> pathlib.Path:
    """Give the cache's folder: `$BELLWETHER_CACHE`, else `~/.cache/bellwether`."""
    chosen = os.environ.get(VARIABLE)
    default = pathlib.Path.home() / ".cache" / "bellwether"
    return (pathlib.Path(chosen) if chosen else default).absolute()


def artifacts() -> pathlib.Path:
    """Give the folder of artifacts: `<model>/sha256-<digest>/`."""
    return root() / "artifacts"


def datasets() -> pathlib.Path:
    """Give the folder of computed datasets."""
    return root() / "datasets"


def index() -> pathlib.Path:
    """Give the folder of the training index."""
    return root() / "trained"


@contextlib.contextmanager
def new_file(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Give a temporary file beside `path` that takes its place if the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".new-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = pathlib.Path(name)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def new_folder(parent: pathlib.Path) -> Iterator[pathlib.Path]:
    """Give a temporary folder inside `parent`; what is left of it after the block is removed."""
    parent.mkdir(parents=True, exist_ok=True)
    temporary = pathlib.Path(tempfile.mkdtemp(prefix=".new-", dir=parent))
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
