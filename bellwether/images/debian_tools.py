"""Debian's programs for images, unpacked beside the system rather than installed (docs/adr/0004).

buildah builds them, runc runs them, mmdebstrap makes a base from packages.
"""

import contextlib
import fcntl
import os
import pathlib
import shutil
import subprocess
import tempfile

from bellwether.images import catalogue, process
from infra import paths

_PACKAGES = (
    "buildah",
    "golang-github-containers-common",  # the policy that buildah reads
    "libassuan0",
    "libdevmapper1.02.1",
    "libgpgme11",
    "libseccomp2",
    "mmdebstrap",
    "patchelf",
    "runc",
)
_LIBRARIES = ("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu")


def home() -> pathlib.Path:
    """Give the folder of all that has to do with images."""
    return paths.cache() / "images"


def folder() -> pathlib.Path:
    """Give the folder that the programs are unpacked into."""
    return home() / "debian"


def program(name: str) -> str:
    """Find a program of `install`."""
    for place in ("usr/bin", "usr/sbin"):
        if (found := folder() / place / name).exists():
            return str(found)
    raise catalogue.ImageError(f"{name} is not in {folder()}: remove that folder and try again")


def install() -> None:
    """Unpack the programs, once.

    Raises:
        catalogue.ImageError: this is no Debian, or its packages cannot be had.

    """
    if (folder() / ".complete").exists():
        return
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise catalogue.ImageError(
            "there is neither docker nor podman here, and no Debian to take buildah from: "
            "install one of them"
        )
    home().mkdir(parents=True, exist_ok=True)
    with (home() / "install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder() / ".complete").exists():
            return
        shutil.rmtree(folder(), ignore_errors=True)
        folder().mkdir()
        with tempfile.TemporaryDirectory() as temporary:
            _download(pathlib.Path(temporary))
            for archive in sorted(pathlib.Path(temporary).glob("*.deb")):
                process.run(["dpkg-deb", "-x", str(archive), str(folder())])
        # buildah starts itself anew without its environment: where its libraries are is written into it.
        libraries = ":".join(str(folder() / each) for each in _LIBRARIES)
        for name in ("buildah", "runc"):
            process.run([program("patchelf"), "--set-rpath", libraries, program(name)])
        (folder() / ".complete").touch()


def _download(into: pathlib.Path) -> None:
    command = ["apt-get", "-o", "APT::Sandbox::User=root", "download", "-qq", *_PACKAGES]
    try:
        process.run(command, cwd=into)
    except catalogue.ImageError:
        # A fresh machine has no package lists yet, or old ones.
        process.run(["apt-get", "update", "-qq"])
        process.run(command, cwd=into)


def environment() -> dict[str, str]:
    """Give the environment in which buildah finds its storage, and nothing of the machine's own."""
    configured = home() / "configuration"
    configured.mkdir(parents=True, exist_ok=True)
    temporary = home() / "temporary"
    temporary.mkdir(exist_ok=True)
    driver = _driver()
    storage = (
        f'[storage]\ndriver = "{driver}"\n'
        f'graphroot = "{home() / f"storage-{driver}"}"\nrunroot = "{home() / "run"}"\n'
    )
    for name, content in {"storage.conf": storage, "registries.conf": ""}.items():
        if not (configured / name).exists() or (configured / name).read_text() != content:
            (configured / name).write_text(content)
    return {
        **os.environ,
        "CONTAINERS_STORAGE_CONF": str(configured / "storage.conf"),
        "CONTAINERS_REGISTRIES_CONF": str(configured / "registries.conf"),
        "BUILDAH_ISOLATION": "chroot",
        "TMPDIR": str(temporary),
    }


def _driver() -> str:
    """Say how layers are kept: overlaid where the kernel does it here, else copied."""
    remembered = home() / "driver"
    if not remembered.exists():
        remembered.write_text("overlay" if _overlays() else "vfs")
    return remembered.read_text()


def _overlays() -> bool:
    with tempfile.TemporaryDirectory(dir=home()) as temporary:
        for name in ("lower", "upper", "work", "merged"):
            (pathlib.Path(temporary) / name).mkdir()
        options = "lowerdir=lower,upperdir=upper,workdir=work"
        command = ["mount", "-t", "overlay", "overlay", "-o", options, "merged"]
        mounted = subprocess.run(command, cwd=temporary, capture_output=True, check=False)
        if mounted.returncode == 0:
            with contextlib.suppress(subprocess.CalledProcessError):
                subprocess.run(["umount", "merged"], cwd=temporary, check=True)
        return mounted.returncode == 0
