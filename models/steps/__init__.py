"""What the prediction pipeline's other steps are given: one folder a step.

A step's `__init__.py` may name `PACKAGES`, libraries beside numpy and pandas whose versions decide
the bytes; its `build.py` has one function, `build(task: Task, folder: pathlib.Path) -> Mapping[str, Any]`.
It writes what the step's runtime reads into `folder`, and gives the content of
`model-settings.json`; see `settings` for the usual one.
Steps are built after the models, because they may learn from the models' forecasts,
and like them only when code, data, seed or a model has changed.
"""

import dataclasses
import importlib
import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    # A step is named and described without the libraries that build it.
    from models import dataset, index, sources

ROOM = pathlib.Path(__file__).parent


@dataclasses.dataclass(frozen=True, slots=True)
class Task:
    """What a step is built from."""

    data: "dataset.Dataset"
    source: "sources.Source"
    seed: int
    models: "Mapping[str, index.Record]"
    """Every trained model, by its folder's name; see `index.Record` for artifact and ledger."""


class Builder(Protocol):
    """A step's module `build`."""

    def build(self, task: Task, folder: pathlib.Path) -> Mapping[str, Any]:
        """Write the files; give the content of `model-settings.json`."""


def folders(room: pathlib.Path = ROOM) -> dict[str, pathlib.Path]:
    """Give every step's folder by name."""
    return {path.parent.name: path.parent for path in sorted(room.glob("*/build.py"))}


def builder(name: str) -> Builder:
    """Import what builds the step `name`, with the libraries that it needs."""
    found: Any = importlib.import_module(f"models.steps.{name}.build")
    return found  # type: ignore[no-any-return]  # a module that follows the protocol


def packages(name: str) -> tuple[str, ...]:
    """Give the step's `PACKAGES` as its folder declares them, without importing its builder."""
    declared: tuple[str, ...] = getattr(
        importlib.import_module(f"models.steps.{name}"), "PACKAGES", ()
    )
    return declared


def settings(name: str, implementation: str, **extra: str) -> dict[str, Any]:
    """Give the usual `model-settings.json`: a runtime, and the folder itself as its artifact."""
    return {
        "name": name,
        "implementation": implementation,
        "parameters": {"uri": ".", "extra": extra},
    }
