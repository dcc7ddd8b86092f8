"""The base that images are built on where no registry can be reached: Debian's packages, no more."""

import fcntl
import hashlib
import os
import pathlib

from bellwether import steps
from bellwether.images import buildah, debian_tools, process

SUITE = "bookworm"
PACKAGES = ("ca-certificates", "libgomp1", "python3.11")
"""Beside what every Debian has and apt; libgomp1 is LightGBM's."""

_LEFT_OUT = ("doc", "man", "locale", "info", "lintian")


def key() -> str:
    """Give what decides the base: its recipe."""
    recipe = "\n".join((SUITE, *PACKAGES, *_LEFT_OUT))
    return hashlib.sha256(recipe.encode()).hexdigest()[:16]


def tag() -> str:
    """Give the base's name in buildah's storage."""
    return f"localhost/bellwether/base:{key()}"


def make(engine: buildah.Buildah, *, fresh: bool = False) -> str:
    """Give the base's id, made if it is not there; `fresh` takes Debian's newest packages.

    Raises:
        catalogue.ImageError: Debian's packages cannot be had, or this is not root.

    """
    with (debian_tools.home() / "base.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = engine.identity(tag())
        if found is None or fresh:
            with steps.step("base of Debian's packages") as step:
                archive = debian_tools.home() / f"base-{key()}.tar"
                _unpack(archive)
                step.note = f"{archive.stat().st_size / 1e6:.0f} MB"
                engine.add(archive, tag())
                archive.unlink()
            found = engine.identity(tag())
        if found is None:
            raise RuntimeError(f"buildah made {tag()} and does not list it")
        return found


def _unpack(archive: pathlib.Path) -> None:
    archive.unlink(missing_ok=True)
    command = [debian_tools.program("mmdebstrap"), "--mode=root", "--variant=minbase", "--quiet"]
    command += [f"--include={','.join(PACKAGES)}"]
    command += [f"--dpkgopt=path-exclude=/usr/share/{each}/*" for each in _LEFT_OUT]
    command += ["--dpkgopt=path-include=/usr/share/doc/*/copyright"]
    path = os.pathsep.join((str(debian_tools.folder() / "usr" / "bin"), os.environ["PATH"]))
    process.run([*command, SUITE, str(archive)], env={**os.environ, "PATH": path})
