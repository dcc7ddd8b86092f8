"""Finds the models: every folder beside this file that holds a `model.py`."""

import importlib
import pathlib

from . import declaration

ROOM = pathlib.Path(__file__).parent


class UnknownModelError(LookupError):
    """A model was asked for that has no folder."""


def folders(room: pathlib.Path = ROOM) -> dict[str, pathlib.Path]:
    """Give every model's folder by name; models that combine others come last."""
    found = {path.parent.name: path.parent for path in sorted(room.glob("*/model.py"))}
    return dict(sorted(found.items(), key=lambda item: declared(item[0]).combines))


def declared(name: str) -> declaration.Declaration:
    """Give the declaration of the model `name`, without importing what fits it."""
    module = importlib.import_module(f"models.{name}")
    found = getattr(module, "DECLARATION", None)
    if not isinstance(found, declaration.Declaration):
        raise TypeError(
            f"models/{name}/__init__.py: has no DECLARATION = declaration.Declaration(…); "
            "every folder with a model.py needs one"
        )
    return found


def members(name: str) -> tuple[str, ...]:
    """Give the models that `name` is fitted over: none, unless it combines others."""
    if not declared(name).combines:
        return ()
    return tuple(other for other in folders() if not declared(other).combines)


def select(names: str | None) -> tuple[str, ...]:
    """Give the models of a comma-separated list, all of them for None, in training order."""
    known = tuple(folders())
    if names is None:
        return known
    wanted = {name.strip() for name in names.split(",") if name.strip()}
    if unknown := sorted(wanted - set(known)):
        raise UnknownModelError(
            f"there is no model {', '.join(map(repr, unknown))}; models are {', '.join(known)}"
        )
    return tuple(name for name in known if name in wanted)
