"""What is in an image, read from its files: size, packages, and what must not be there."""

import collections.abc
import dataclasses
import email.parser
import os
import pathlib
import re
import stat

from bellwether.images import catalogue

TOOLS = frozenset(
    {"cc", "gcc", "g++", "clang", "ld", "make", "cmake", "cargo", "rustc", "go", "git"}
    | {"uv", "uvx", "pip", "pip3", "buildah"}
)
"""Programs that build or install."""

_SITE = pathlib.PurePath(catalogue.ENVIRONMENT, "lib", "python3.11", "site-packages")
_PROGRAMS = ("bin", "sbin", "usr/bin", "usr/sbin", "usr/local/bin", f"{catalogue.ENVIRONMENT}/bin")
_LIBRARIES = (
    "usr/lib/python3/dist-packages",
    "usr/lib/python3.11",
    "usr/local/lib/python3.11",
    "usr/local/lib/python3.11/site-packages",
    "usr/local/lib/python3.11/dist-packages",
)
_MODULES = ("pip", "uv", "torch", "ensurepip")


@dataclasses.dataclass(frozen=True)
class Contents:
    """What an image holds."""

    bytes: int
    python: collections.abc.Mapping[str, str]
    """Python packages: name -> version."""
    debian: collections.abc.Mapping[str, str]
    """Debian packages: name -> version."""
    problems: tuple[str, ...]


def read(root: pathlib.Path, image: catalogue.Image, locked: str) -> Contents:
    """Look into an image's files below `root`; `locked` is what its packages have to be."""
    python, debian = _python(root), _debian(root)
    size = _size(root)
    problems = [
        *_over_budget(size, image),
        *_other_packages(python, pins(locked)),
        *_forbidden(root),
        *_code(root, image),
        *_bytecode(root),
        *_writable(root),
    ]
    return Contents(size, python, debian, tuple(problems))


def pins(locked: str) -> dict[str, str]:
    """Read name and version of each package of `uv export`."""
    found = re.findall(r"^([\w.-]+)(?:\[[^]]*\])?==([^\s;\\]+)", locked, re.MULTILINE)
    return {_normal(name): version for name, version in found}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _python(root: pathlib.Path) -> dict[str, str]:
    found = {}
    for path in sorted((root / _SITE).glob("*.dist-info/METADATA")):
        told = email.parser.Parser().parsestr(path.read_text(errors="replace"), headersonly=True)
        found[_normal(told["Name"])] = told["Version"]
    return found


def _debian(root: pathlib.Path) -> dict[str, str]:
    status = root / "var" / "lib" / "dpkg" / "status"
    found = {}
    for paragraph in status.read_text().split("\n\n") if status.exists() else ():
        fields = dict(re.findall(r"^(Package|Version|Status): (.*)$", paragraph, re.MULTILINE))
        if fields.get("Status", "").endswith(" installed"):
            found[fields["Package"]] = fields["Version"]
    return found


def _size(root: pathlib.Path) -> int:
    total = 0
    seen = set()
    for folder, _, names in os.walk(root):
        for name in names:
            found = os.lstat(f"{folder}/{name}")
            if stat.S_ISREG(found.st_mode) and (found.st_ino, found.st_dev) not in seen:
                seen.add((found.st_ino, found.st_dev))
                total += found.st_size
    return total


def _over_budget(size: int, image: catalogue.Image) -> collections.abc.Iterator[str]:
    if size > image.megabytes * 1_000_000:
        yield (
            f"its files are {size / 1e6:.0f} MB, its budget is {image.megabytes} MB: take out what is "
            "not used, or raise `megabytes` in bellwether/images/catalogue.py with a reason"
        )


def _other_packages(
    python: collections.abc.Mapping[str, str], wanted: collections.abc.Mapping[str, str]
) -> collections.abc.Iterator[str]:
    for name in sorted(wanted.keys() | python.keys()):
        if python.get(name) != wanted.get(name):
            yield (
                f"{name} is {python.get(name, 'not there')}, uv.lock has "
                f"{wanted.get(name, 'none of it for this image')}"
            )


def _forbidden(root: pathlib.Path) -> collections.abc.Iterator[str]:
    for folder in _PROGRAMS:
        path = root / folder
        if path.is_symlink() or not path.is_dir():  # /bin is /usr/bin
            continue
        for found in sorted(path.iterdir()):
            if re.sub(r"-?[\d.]+$", "", found.name) in TOOLS:
                yield f"/{folder}/{found.name} is there: it builds or installs, and serves nothing"
    for folder in (*_LIBRARIES, str(_SITE)):
        for module in _MODULES:
            if (root / folder / module / "__init__.py").exists():
                yield f"/{folder}/{module} is there: no image needs it"


def _code(root: pathlib.Path, image: catalogue.Image) -> collections.abc.Iterator[str]:
    code = root / catalogue.CODE / "runtimes"
    found = {path.name for path in code.iterdir() if path.is_dir()} - {"__pycache__"}
    wanted = {folder.rpartition("/")[2] for folder in image.folders}
    if found != wanted:
        yield f"its code is of {', '.join(sorted(found))}, expected {', '.join(sorted(wanted))}"


def _bytecode(root: pathlib.Path) -> collections.abc.Iterator[str]:
    for folder in (root / catalogue.CODE, root / _SITE):
        sources = [path for path in folder.rglob("*.py") if path.name.isascii()]
        bare = [
            path
            for path in sources
            if not (path.parent / "__pycache__" / f"{path.stem}.cpython-311.pyc").exists()
        ]
        # A few files of packages are templates that no Python compiles.
        if len(bare) > len(sources) // 200:
            yield (
                f"{len(bare)} of {len(sources)} files in /{folder.relative_to(root)} are not "
                f"compiled, such as {bare[0].relative_to(folder)}"
            )


def _writable(root: pathlib.Path) -> collections.abc.Iterator[str]:
    for folder, _, names in os.walk(root / "opt" / "bellwether"):
        for path in (folder, *(f"{folder}/{name}" for name in names)):
            mode = os.lstat(path).st_mode
            if mode & stat.S_IWOTH and not stat.S_ISLNK(mode):
                yield f"everybody may write /{pathlib.Path(path).relative_to(root)}"
