"""What the drift watcher remembers of a symbol: its last days, and whether it is in alarm."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from . import records, windows

Kind = Literal["drifted", "repeated", "ended"]


@dataclasses.dataclass(frozen=True, slots=True)
class Alarms:
    """When a score is an alarm, and how often that is said."""

    threshold: float
    """A score above it begins an episode."""
    ends_below: float
    """A score below it ends the episode: less than the threshold, so that none flickers."""
    repeat_seconds: float
    """An episode that lasts is told again after so long."""


@dataclasses.dataclass(slots=True)
class Episode:
    """From the first score above the threshold to the first below `ends_below`."""

    since: float
    """Seconds since 1970."""
    told: float
    """When it was told last."""


@dataclasses.dataclass(frozen=True, slots=True)
class Told:
    """Something to tell of an episode."""

    kind: Kind
    since: float
    """When it began, in seconds since 1970."""


class Watch:
    """The distinct days of one symbol that came last, and what follows from them.

    A day that comes again replaces what it said before, and stays in its place:
    thousands of requests for one day say no more about the market than one.
    """

    def __init__(
        self, symbol: str, reference: windows.Reference, limits: windows.Limits, alarms: Alarms
    ) -> None:
        self.symbol = symbol
        self.verdict: windows.Verdict | None = None
        self.episode: Episode | None = None
        self._reference = reference
        self._limits = limits
        self._alarms = alarms
        self._days: dict[str, tuple[windows.Array, windows.Array]] = {}
        """Date -> values [F] and ranks [2, F], in the order in which the dates came first."""
        self._judged = True

    @property
    def days(self) -> int:
        """How many days there are, at most those of the longest window."""
        return len(self._days)

    @property
    def newest(self) -> str | None:
        """The day that came last."""
        return next(reversed(self._days), None)

    @property
    def changed(self) -> bool:
        """Whether something came since `judge`."""
        return not self._judged

    def add(self, day: records.Day) -> bool:
        """Take a day; say whether it brought anything new."""
        known = self._days.get(day.date)
        if known is not None and np.array_equal(known[0], day.features):
            return False
        ranks = self._reference.ranks(day.features[None])[:, 0]
        self._days[day.date] = (day.features, ranks)
        while len(self._days) > self._limits.longest:
            del self._days[next(iter(self._days))]
        self._judged = False
        return True

    def judge(self) -> windows.Verdict | None:
        """Judge the window; None while there are too few days."""
        if not self._judged:
            ranks = np.stack([ranks for _, ranks in self._days.values()], axis=1)
            self.verdict = self._limits.judge(ranks)
            self._judged = True
        return self.verdict

    def tell(self, now: float) -> Told | None:
        """Give what there is to tell of the verdict at the time `now`, if anything."""
        score = self.verdict.score if self.verdict is not None else 0.0
        episode = self.episode
        if episode is None:
            if score <= self._alarms.threshold:
                return None
            self.episode = Episode(since=now, told=now)
            return Told("drifted", now)
        if score < self._alarms.ends_below:
            self.episode = None
            return Told("ended", episode.since)
        if now - episode.told >= self._alarms.repeat_seconds:
            episode.told = now
            return Told("repeated", episode.since)
        return None

    def evidence(self, features: Sequence[str]) -> list[dict[str, Any]]:
        """Give the features that drifted, the furthest beyond its critical value first."""
        verdict = self.verdict
        if verdict is None:
            return []
        values = np.array([values for values, _ in self._days.values()])
        order = np.argsort(-verdict.statistic / verdict.critical, kind="stable")
        return [
            {
                "name": features[place],
                "statistic": float(verdict.statistic[place]),
                "critical": float(verdict.critical[place]),
                "days": int(verdict.days[place]),
                "mean_before": float(self._reference.mean[place]),
                "mean_after": float(values[-verdict.days[place] :, place].mean()),
            }
            for place in order.tolist()
            if verdict.drifted[place]
        ]

    def dump(self) -> bytes:
        """Give what `restore` reads."""
        return json.dumps(
            {
                "days": {date: values.tolist() for date, (values, _) in self._days.items()},
                "episode": None if self.episode is None else dataclasses.asdict(self.episode),
            },
            separators=(",", ":"),
        ).encode()

    def restore(self, dumped: bytes | str) -> None:
        """Go on where another process stopped; raise ValueError if that cannot be read.

        Days of another number of features belong to another artifact, and are left out.
        """
        try:
            document = json.loads(dumped)
            width = len(self._reference.mean)
            days = [
                records.Day(self.symbol, str(date), np.array(values, dtype=np.float64))
                for date, values in document["days"].items()
                if len(values) == width
            ]
            episode = document["episode"]
            known = Episode(float(episode["since"]), float(episode["told"])) if episode else None
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"no window: {dumped[:80]!r} ({error!r})") from error
        for day in days:
            self.add(day)
        self.episode = known
