"""Models' cards, as they lie beside what was trained."""

import json
import pathlib
import re
from collections.abc import Callable

from . import dossier

Cards = Callable[[str, str, str], dossier.Card]
"""Model, version, artifact -> its card."""

_ARTIFACT = re.compile(r"sha256-[0-9a-f]+")


def local(artifacts: pathlib.Path) -> Cards:
    """Read cards from a folder of artifacts: their names are their contents' digests."""

    def card(model: str, version: str, artifact: str) -> dossier.Card:
        found = sorted(artifacts.glob(f"*/{artifact}")) if _ARTIFACT.fullmatch(artifact) else []
        if not found:
            problem = "its artifact is not among those of this machine"
            return dossier.Card(model=model, version=version, artifact=artifact, problem=problem)
        text, document = found[0] / "CARD.md", found[0] / "card.json"
        return dossier.Card(
            model=model,
            version=version,
            artifact=artifact,
            text=text.read_text(encoding="utf-8") if text.is_file() else "",
            document=json.loads(document.read_bytes()) if document.is_file() else {},
            problem=None if text.is_file() else "it has none, because nothing is learnt for it",
        )

    return card
