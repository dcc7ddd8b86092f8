"""Drift scores on their way from the watcher to the guard: one small hash in Valkey.

Field: the symbol. Value: JSON of `Score`.
"""

import dataclasses
import json

KEY = "bellwether:drift:scores"


@dataclasses.dataclass(frozen=True, slots=True)
class Score:
    """A symbol's drift score as of a moment."""

    score: float
    """0..1, 0.5 is the border."""
    time: float
    """Seconds since 1970 when the watcher last stood by it."""
    days: int
    """Days in the window; fewer than the smallest calibrated window make no score."""
    drifted: tuple[str, ...]
    """The features that drifted."""

    def encode(self) -> bytes:
        """Give the hash's value."""
        return json.dumps(dataclasses.asdict(self), separators=(",", ":")).encode()

    @classmethod
    def decode(cls, value: bytes | str) -> "Score":
        """Read the hash's value; raise ValueError if it is none."""
        try:
            document = json.loads(value)
            return cls(
                score=float(document["score"]),
                time=float(document["time"]),
                days=int(document["days"]),
                drifted=tuple(document["drifted"]),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"no drift score: {value[:80]!r} ({error!r})") from error
