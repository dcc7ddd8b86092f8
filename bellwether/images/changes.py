"""What an image's content is decided by, as one digest; which images are others than at a commit."""

import dataclasses
import hashlib
import pathlib
import re
import subprocess
import tempfile

from bellwether.images import catalogue
from infra import paths
from infra.local import toolchain

_ARCHIVED = ("pyproject.toml", "uv.lock", "infra/versions.py", ".dockerignore", "tools", "runtimes")
_VERSIONS = re.compile(r'^(?:UV|BASE_IMAGE) = [(\s]*"([^"]+)"', re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Change:
    """One image, now and at a commit."""

    name: str
    digest: str
    before: str | None
    """None where the commit has no such image."""

    @property
    def changed(self) -> bool:
        """Whether it has to be built anew."""
        return self.digest != self.before


def locked(root: pathlib.Path, group: str) -> str:
    """Give the packages of a dependency group, as `root`'s uv.lock pins them."""
    return _exported(root, group, "requirements.txt", "--no-header", "--no-annotate")


def bill(root: pathlib.Path, group: str) -> str:
    """Give the packages of a dependency group as a CycloneDX document."""
    return _exported(root, group, "cyclonedx1.5", "--preview-features", "sbom-export")


def _exported(root: pathlib.Path, group: str, form: str, *more: str) -> str:
    command = [toolchain.uv(), "export", "--quiet", "--frozen", "--no-emit-project"]
    command += ["--only-group", group, "--format", form, *more]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise catalogue.ImageError(f"uv.lock cannot be read for {group!r}: {done.stderr.strip()}")
    return done.stdout


def digest(image: catalogue.Image, root: pathlib.Path = paths.ROOT) -> str:
    """Give the SHA-256 over all that decides an image's content: code, packages, base, build.

    Of the packages it takes those of the image's own group: another pin does not change it.
    """
    total = hashlib.sha256()
    for path in catalogue.files(root, image):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(root).as_posix()} {content}\n".encode())
    total.update(locked(root, image.group).encode())
    for version in _VERSIONS.findall((root / "infra" / "versions.py").read_text()):
        total.update(f"{version}\n".encode())
    return f"sha256:{total.hexdigest()}"


def since(reference: str, root: pathlib.Path = paths.ROOT) -> tuple[Change, ...]:
    """Compare every image with what it was at a commit.

    Raises:
        catalogue.ImageError: git does not know the commit.

    """
    found = subprocess.run(
        ["git", "rev-parse", "--verify", "--quiet", f"{reference}^{{commit}}"],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if found.returncode:
        raise catalogue.ImageError(
            f"git knows no commit {reference!r}; in CI, check out with its history (`fetch-depth: 0`)"
        )
    with tempfile.TemporaryDirectory() as temporary:
        before = pathlib.Path(temporary)
        _checked_out(root, found.stdout.strip(), before)
        return tuple(
            Change(
                image.name,
                digest(image, root),
                digest(image, before) if (before / image.dockerfile).is_file() else None,
            )
            for image in catalogue.IMAGES
        )


def names(changes: tuple[Change, ...]) -> list[str]:
    """Give the names of what changed."""
    return [each.name for each in changes if each.changed]


def _checked_out(root: pathlib.Path, commit: str, into: pathlib.Path) -> None:
    listed = subprocess.run(
        ["git", "ls-tree", "--name-only", commit, *_ARCHIVED],
        cwd=root, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    packed = subprocess.run(
        ["git", "archive", commit, *listed], cwd=root, capture_output=True, check=True
    ).stdout
    subprocess.run(["tar", "--extract", "--directory", into], input=packed, check=True)
