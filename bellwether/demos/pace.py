"""Spreads work evenly over a demo's time, and ends when the time is over."""

import collections.abc
import dataclasses
import math
import time

FRAME_SECONDS = 0.25
"""How often there is something new to see."""

CATCH_UP = 2
"""How many times the usual work one frame may hold after a slow one."""


@dataclasses.dataclass(frozen=True, slots=True)
class Clock:
    """What a demo tells the time by."""

    now: collections.abc.Callable[[], float] = time.monotonic
    sleep: collections.abc.Callable[[float], None] = time.sleep


class Pace:
    """Gives `count` pieces of work, in order, so that they fill `seconds`.

    What is not done when the time is over is left out: `done` says how far it came.
    """

    def __init__(self, count: int, seconds: float, clock: Clock | None = None) -> None:
        self.count = count
        self.seconds = seconds
        self.done = 0
        self._clock = clock or Clock()
        self._began = self._clock.now()

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return self._clock.now() - self._began

    @property
    def left(self) -> float:
        """Seconds until the end."""
        return max(0.0, self.seconds - self.elapsed)

    def frames(self) -> collections.abc.Iterator[slice]:
        """Give what is due now, again and again; a frame is done when the next one is asked for."""
        each = self.seconds / max(self.count, 1)
        frame = max(FRAME_SECONDS, each)
        most = max(1, math.ceil(CATCH_UP * frame / each))
        while self.done < self.count and self.elapsed <= self.seconds + frame:
            due = min(self.count, math.floor(self.elapsed / each) + 1, self.done + most)
            if due > self.done:
                began = self.elapsed
                yield slice(self.done, due)
                self.done = due
                self._clock.sleep(max(0.0, frame - (self.elapsed - began)))
            else:
                self._clock.sleep(max(0.0, self.done * each - self.elapsed) + 1e-4)
