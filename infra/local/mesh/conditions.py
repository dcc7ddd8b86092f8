"""Conditions as Seldon writes them into the status of its objects."""

import datetime as dt
from collections.abc import Callable
from typing import Any


def _now() -> str:
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Conditions:
    """Remembers since when each condition of each object has been what it is."""

    def __init__(self, clock: Callable[[], str] = _now) -> None:
        self._clock = clock
        self._since: dict[tuple[str, str], tuple[bool, str]] = {}

    def write(self, uid: str, kind: str, ok: bool, reason: str, message: str) -> dict[str, Any]:
        """Write one condition of the object with this uid."""
        before = self._since.get((uid, kind))
        if before is None or before[0] != ok:
            before = (ok, self._clock())
            self._since[(uid, kind)] = before
        return {
            "type": kind,
            "status": "True" if ok else "False",
            "reason": reason,
            "message": message,
            "lastTransitionTime": before[1],
        }

    def forget(self, uid: str) -> None:
        """Forget an object."""
        for key in [key for key in self._since if key[0] == uid]:
            del self._since[key]
