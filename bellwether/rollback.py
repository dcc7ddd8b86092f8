"""Which state of a stack was good, and the way back to it.

What was good is kept as tags of the stack, beside its state: the commit, and the images' digests,
which `pin` may have written into a checkout without a commit of their own.
"""

import dataclasses
import os
import pathlib
import re
import subprocess

from bellwether import deployment, environment, revision, steps
from infra import paths, settings
from infra.cluster import settings as cluster_settings

PREFIX = "bellwether:good."
_COMMIT = f"{PREFIX}commit"
_REGISTRY = f"{PREFIX}registry"
_IMAGE = f"{PREFIX}image."


class RollbackError(Exception):
    """There is no way back; the message says why, and what to do instead."""


@dataclasses.dataclass(frozen=True, slots=True)
class State:
    """What a stack was deployed from."""

    commit: str
    registry: str
    digests: dict[str, str]

    def tags(self) -> dict[str, str]:
        """Write it as tags: each is short, as Pulumi Cloud wants them."""
        images = {f"{_IMAGE}{name}": digest for name, digest in sorted(self.digests.items())}
        return {_COMMIT: self.commit, _REGISTRY: self.registry, **images}

    @classmethod
    def read(cls, tags: dict[str, str]) -> "State | None":
        """Read a stack's tags; None if nothing was good yet."""
        if _COMMIT not in tags:
            return None
        digests = {
            name.removeprefix(_IMAGE): value
            for name, value in tags.items()
            if name.startswith(_IMAGE)
        }
        return cls(tags[_COMMIT], tags.get(_REGISTRY, ""), digests)


def mark_good(stack: environment.Stack) -> State:
    """Remember what the checkout holds, and what was deployed from it, as good.

    Raises:
        settings.SettingsError: the stack's configuration is wrong.
        deployment.NotReadyError: something that the stack needs is missing.
        revision.RevisionError: this is no checkout of git.

    """
    images = cluster_settings.read(stack.file).images
    state = State(
        revision.commit(),
        images.registry,
        {str(name): value for name, value in images.digests.items()},
    )
    with (
        steps.step(f"`{stack.name}` is good") as step,
        deployment.selected(stack) as (handle, _),
    ):
        for name, value in state.tags().items():
            handle.set_tag(name, value)
        step.note = state.commit[:12]
    return state


def last_good(stack: environment.Stack) -> State:
    """Read what was good last; for the errors see `mark_good`.

    Raises:
        RollbackError: nothing was.

    """
    with deployment.selected(stack) as (handle, _):
        found = State.read(dict(handle.list_tags()))
    if found is None:
        raise RollbackError(
            f"nothing of `{stack.name}` was good yet, so there is nothing to go back to: mend it and "
            f"run `bellwether up -s {stack.name}`; `bellwether mark-good` remembers what works"
        )
    return found


def run(stack: environment.Stack) -> State:
    """Deploy again what was good last, by its own program and with its images.

    Raises:
        RollbackError: nothing was good yet, or the deployment failed; the message says what was said.
        revision.RevisionError: the good commit is not in this clone.

    """
    state = last_good(stack)
    with (
        steps.step(f"`{stack.name}` back to {state.commit[:12]}"),
        revision.worktree(state.commit) as place,
    ):
        pin(place / stack.file.name, state.registry, state.digests)
        _deploy(place, stack)
    return state


def _deploy(place: pathlib.Path, stack: environment.Stack) -> None:
    # Where the backend is the checkout's own folder, the other checkout has it too.
    backend = f"file://{paths.ROOT / '.bellwether' / 'state'}"
    os.environ.setdefault("PULUMI_BACKEND_URL", backend)
    ended: subprocess.CompletedProcess[str] = revision.bellwether(place, "up", "-s", stack.name)
    if ended.returncode:
        raise RollbackError(
            f"going back failed, so `{stack.name}` is between two states; `pulumi stack -s "
            f"{stack.name}` says what is there:\n{ended.stderr.strip()}"
        )


def pin(file: pathlib.Path, registry: str, digests: dict[str, str]) -> None:
    """Write images into a stack's file, and leave everything else of it as it is.

    Raises:
        settings.SettingsError: the file has no such image, or would not be in order afterwards.

    """
    before = file.read_text()
    text = before
    if registry:
        text = _replaced(text, "registry", r"\S+", registry, file)
    for name, digest in sorted(digests.items()):
        text = _replaced(text, name, r"sha256:[0-9a-f]{64}", digest, file)
    file.write_text(text)
    try:
        cluster_settings.read(file)
    except settings.SettingsError:
        file.write_text(before)
        raise


def _replaced(text: str, key: str, old: str, new: str, file: pathlib.Path) -> str:
    """Replace the one value of a key below `bellwether:images`."""
    head, found, rest = text.partition(f"{settings.PROJECT}:images:\n")
    block = re.match(r"(?:[ ]{4,}.*\n|\s*\n)*", rest)
    inner = block[0] if block else ""
    changed, count = re.subn(
        rf"^(\s+{re.escape(key)}:\s+){old}\s*$", rf"\g<1>{new}", inner, flags=re.MULTILINE
    )
    if not found or count != 1:
        raise settings.SettingsError(
            f"{file.name} has no line `{key}: …` below `{settings.PROJECT}:images` to write {new} into"
        )
    return head + found + changed + rest[len(inner) :]
