"""`bellwether render`: manifests without a cluster."""

import dataclasses
import difflib
import pathlib

from infra import paths, settings
from infra.catalogue import capabilities
from infra.cluster import recording, rendering

ADVANCED = paths.ROOT / "k8s" / "advanced"
"""Where one capability's objects go unless another folder is named."""


@dataclasses.dataclass(frozen=True)
class Rendered:
    """What was written."""

    stack: str
    files: int
    out: str


def stack(name: str, out: pathlib.Path) -> Rendered:
    """Write everything that a stack registers below `out`.

    Raises:
        settings.SettingsError: the stack's configuration is wrong, or it is no cluster's.

    """
    return Rendered(name, rendering.write(recording.record(name), out), str(out))


def capability(name: str, wanted: str, out: pathlib.Path | None) -> Rendered:
    """Write one capability's objects into `<out>/<capability>.yaml`.

    Raises:
        settings.SettingsError: as `stack`, or there is no such capability.

    """
    known = {each.name: each for each in capabilities.CAPABILITIES}
    if wanted not in known:
        near = difflib.get_close_matches(wanted, known, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(known)}"
        raise settings.SettingsError(f"there is no capability {wanted!r}; {hint}")
    text = rendering.capability(recording.record(name), known[wanted])
    path = (out or ADVANCED) / f"{wanted}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return Rendered(name, 1, str(path))
