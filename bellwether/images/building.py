"""Building images: what is there already stays, what is made is looked into at once."""

import collections.abc
import dataclasses
import fcntl
import hashlib
import json
import pathlib
import re
import subprocess
import time

from bellwether import steps
from bellwether.images import (
    base,
    buildah,
    catalogue,
    changes,
    contents,
    debian_tools,
    docker,
    engine,
    sbom,
)
from infra import paths, versions

_PINNED = re.compile(r"^[^\s@]+@sha256:[0-9a-f]{64}$|^sha256:[0-9a-f]{64}$")
_PROJECT = "bellwether"


@dataclasses.dataclass(frozen=True)
class Built:
    """One image, as it is here."""

    name: str
    reference: str
    """Its name for the engine."""
    id: str
    content: str
    """The digest of what it was made of, see `changes.digest`."""
    base: str
    megabytes: float
    """Its files, unpacked."""
    budget: int
    seconds: float
    """What the build took; 0 where it was there."""
    sbom: str
    """The file of its bill of materials."""
    digest: str | None = None
    """Where it was pushed: what the registry has it under."""


def allowed() -> None:
    """Raise catalogue.ImageError if nothing can build here."""
    if reason := engine.why_not():
        raise catalogue.ImageError(
            f"no image can be built here: {reason}; install docker or podman, or run it as root"
        )


def chosen() -> engine.Engine:
    """Give what builds here.

    Raises:
        catalogue.ImageError: nothing does.

    """
    allowed()
    name = engine.answering()
    return buildah.Buildah() if name is None else docker.Docker(name)


def base_of(builder: engine.Engine, given: str | None) -> str:
    """Give the base to build on: the given one, the public one, or one of Debian's packages.

    Raises:
        catalogue.ImageError: the given one is not pinned.

    """
    if given is not None:
        if _PINNED.match(given) is None:
            raise catalogue.ImageError(
                f"the base {given!r} is not pinned: give NAME@sha256:DIGEST, since a tag can be "
                "moved, or the id of an image that is here, sha256:ID"
            )
        return given
    if isinstance(builder, buildah.Buildah):
        return base.make(builder)
    return versions.BASE_IMAGE


def build(
    builder: engine.Engine,
    images: collections.abc.Sequence[catalogue.Image],
    *,
    on: str | None = None,
    fresh: bool = False,
) -> list[Built]:
    """Build images that are not here yet, or all of them anew if `fresh`, and look into each.

    Raises:
        catalogue.ImageError: a build failed, or an image is not what it has to be.

    """
    bottom = base_of(builder, on)
    return [_built(builder, image, bottom, fresh=fresh) for image in images]


def pushed(builder: engine.Engine, made: Built, registry: str) -> Built:
    """Push an image to `<registry>/<name>`; give it with the digest that a stack's settings take.

    Raises:
        catalogue.ImageError: the registry does not take it.

    """
    with steps.step(f"push {made.name}") as step:
        version = made.reference.rpartition(":")[2]
        digest = builder.push(made.reference, f"{registry}/{made.name}:{version}")
        step.note = digest
    return dataclasses.replace(made, digest=digest)


def reference(image: catalogue.Image, content: str, bottom: str) -> str:
    """Give an image's name for the engine: a tag that its content and its base decide."""
    both = hashlib.sha256(f"{content} {bottom}".encode()).hexdigest()
    return f"localhost/{_PROJECT}/{image.name}:{both[:16]}"


def _built(builder: engine.Engine, image: catalogue.Image, bottom: str, *, fresh: bool) -> Built:
    content = changes.digest(image)
    tag = reference(image, content, bottom)
    folder = paths.home() / "images"
    folder.mkdir(parents=True, exist_ok=True)
    known = folder / f"{tag.rpartition(':')[2]}.json"

    def here() -> Built | None:
        found = _read(known) if known.exists() and not fresh else None
        return found if found and found.id == builder.identity(tag) else None

    if found := here():
        return found
    debian_tools.home().mkdir(parents=True, exist_ok=True)
    with (debian_tools.home() / "build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = here() or _build(builder, image, bottom, content, fresh=fresh)
    known.write_text(json.dumps(dataclasses.asdict(made)))
    return made


def _build(
    builder: engine.Engine, image: catalogue.Image, bottom: str, content: str, *, fresh: bool
) -> Built:
    tag = reference(image, content, bottom)
    folder = paths.home() / "images"
    with steps.step(f"image {image.name}") as step:
        began = time.monotonic()
        log = folder / f"{image.name}.log"
        builder.build(_wanted(image, bottom, tag, content, log, fresh=fresh))
        seconds = time.monotonic() - began
        if changes.digest(image) != content:
            raise catalogue.ImageError(
                f"files of {image.name} were changed while it was built: build it again"
            )
        identity = builder.identity(tag)
        if identity is None:
            raise catalogue.ImageError(
                f"{builder.name} built {tag} and does not have it; see {log}"
            )
        with builder.root(tag) as root:
            found = contents.read(root, image, changes.locked(paths.ROOT, image.group))
        problems = [*found.problems, *_configured(builder.configuration(tag))]
        if problems:
            raise catalogue.ImageError(
                f"the image {image.name} is not what it has to be:\n"
                + "\n".join(f"  - {each}" for each in problems)
            )
        bill = folder / f"{image.name}.cdx.json"
        bill.write_text(json.dumps(sbom.document(image, found, identity, content), indent=2) + "\n")
        megabytes = round(found.bytes / 1e6, 1)
        step.note = f"{megabytes:.0f} of {image.megabytes} MB"
    return Built(
        image.name, tag, identity, content, bottom, megabytes, image.megabytes, round(seconds, 1),
        str(bill),
    )  # fmt: skip


def _read(path: pathlib.Path) -> Built | None:
    try:
        kept = Built(**json.loads(path.read_text()))
    except (ValueError, TypeError):
        return None
    return dataclasses.replace(kept, seconds=0.0) if pathlib.Path(kept.sbom).exists() else None


def _wanted(  # noqa: PLR0913  each is a part of what a build is
    image: catalogue.Image, bottom: str, tag: str, content: str, log: pathlib.Path, *, fresh: bool
) -> engine.Build:
    name, _, digest = bottom.rpartition("@")
    labels = {
        "org.opencontainers.image.title": f"{_PROJECT}-{image.name}",
        "org.opencontainers.image.description": image.purpose,
        "org.opencontainers.image.version": content,
        "org.opencontainers.image.revision": _revision(),
        "org.opencontainers.image.base.name": name or "debian packages",
        "org.opencontainers.image.base.digest": digest,
    }
    return engine.Build(
        dockerfile=paths.ROOT / image.dockerfile,
        context=paths.ROOT,
        tag=tag,
        arguments={"BASE": bottom},
        labels=labels,
        fresh=fresh,
        log=log,
    )


def _revision() -> str:
    asked = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=paths.ROOT, capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or "unknown"


def _configured(said: engine.Configuration) -> collections.abc.Iterator[str]:
    if said.user != f"{catalogue.USER}:{catalogue.USER}":
        yield f"it runs as {said.user or 'root'!r}, expected {catalogue.USER}:{catalogue.USER}"
    if not said.health:
        yield "it has no HEALTHCHECK that is a list of words"
    if not said.command:
        yield "it has no CMD"
