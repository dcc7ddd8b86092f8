"""How many users there are over the time of a load test."""

import enum
import math

_STEPS = 10
_RISE = 0.8
_PEAK = (0.4, 0.6)
_BESIDE = 4


class Shape(enum.StrEnum):
    """The course of a load test.

    `steady` has all users from the start; `ramp` adds a tenth at a time until four fifths of the
    time are over; `spike` has a quarter of the users but for the middle fifth of the time;
    `soak` is steady for long, and latency has to stay where it was.
    """

    STEADY = "steady"
    RAMP = "ramp"
    SPIKE = "spike"
    SOAK = "soak"

    @property
    def duration(self) -> str:
        """How long it takes unless somebody says otherwise."""
        return {Shape.RAMP: "60s", Shape.SPIKE: "60s", Shape.SOAK: "30m"}.get(self, "30s")

    def users(self, most: int, second: float, seconds: float) -> int:
        """Return the users at a second of a test of `seconds`, of which there are `most` at a time."""
        if self is Shape.RAMP:
            step = min(_STEPS, 1 + math.floor(second / (_RISE * seconds) * _STEPS))
            return max(1, math.ceil(most * step / _STEPS))
        if self is Shape.SPIKE:
            began, ended = self.peak(seconds)
            return most if began <= second < ended else max(1, most // _BESIDE)
        return most

    def peak(self, seconds: float) -> tuple[float, float]:
        """Return from when to when there are more users than usual; an empty span for most shapes."""
        if self is not Shape.SPIKE:
            return (0.0, 0.0)
        return (_PEAK[0] * seconds, _PEAK[1] * seconds)
