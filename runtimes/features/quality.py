"""How much of what a forecast needs is there, fresh and sane: one number, and what is wrong.

`score = share * usable`. The share is that of sound values: the history weighs `HISTORY_SHARE`,
the features that models are trained on share the rest evenly. A value is sound if it is there,
finite, within its declared bounds, and of a view whose event time is at most `max_age` old by the
market's clock (a value that the caller gave counts as fresh).
`usable` is `UNUSABLE` where a forecast stands on nothing: one of these values is missing or not
finite, or the view `market_data` is missing or stale; else 1.
What no model is trained on is named in the report and weighs nothing.
"""

import dataclasses
import datetime as dt
import json
import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from runtimes.features import definitions, online_row

HISTORY = "history"
MARKET_DATA = "market_data"

HISTORY_SHARE = 0.3
UNUSABLE = 0.5


@dataclasses.dataclass(frozen=True, slots=True)
class Quality:
    """A score 0..1, and what it is made of: features and views by name."""

    score: float
    missing: tuple[str, ...] = ()
    not_finite: tuple[str, ...] = ()
    out_of_range: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()
    """Views."""
    reason: str = "everything that a forecast needs is there, fresh and in range"

    def report(self) -> str:
        """Give it as JSON, without the score."""
        document = dataclasses.asdict(self)
        del document["score"]
        return json.dumps(document)


class Judge:
    """Judges rows of one set of definitions."""

    def __init__(self, declared: definitions.Definitions) -> None:
        self._views = {view.name: view for view in declared.views}
        self._max_age = {view.name: view.max_age.total_seconds() for view in declared.views}
        self._needed = {feature.name for feature in declared.model_features} | {HISTORY}
        each = (1 - HISTORY_SHARE) / len(declared.model_features)
        self._weights = dict.fromkeys(self._needed, each) | {HISTORY: HISTORY_SHARE}
        lowest = [channel.lowest for channel in definitions.CHANNELS]
        highest = [channel.highest for channel in definitions.CHANNELS]
        self._lowest = np.tile(lowest, definitions.HISTORY_DAYS)
        self._highest = np.tile(highest, definitions.HISTORY_DAYS)

    def stale(self, moments: Mapping[str, float], now: float) -> tuple[str, ...]:
        """Give the views whose event time is too old at `now`, the market's time in seconds."""
        return tuple(view for view, moment in moments.items() if now - moment > self._max_age[view])

    def judge(
        self,
        row: online_row.Row,
        stale: Sequence[str],
        given: Mapping[str, float],
        now: float | None = None,
    ) -> Quality:
        """Judge a row, with the values that the caller gave in place of its own."""
        missing: list[str] = []
        not_finite: list[str] = []
        out_of_range: list[str] = []
        needed = sound = 0.0
        for name, view in self._views.items():
            values = row.features[name]
            for feature in view.features:
                value = given.get(feature.name, values.get(feature.name))
                weight = self._weights.get(feature.name, 0.0)
                needed += weight
                if value is None:
                    missing.append(feature.name)
                elif not _finite(value):
                    not_finite.append(feature.name)
                elif not self._in_range(feature, value):
                    out_of_range.append(feature.name)
                elif name not in stale or feature.name in given:
                    sound += weight
        share = sound / needed
        absent = self._needed.intersection([*missing, *not_finite])
        unusable = bool(absent) or MARKET_DATA in stale or MARKET_DATA not in row.moments
        return Quality(
            score=share * UNUSABLE if unusable else share,
            missing=tuple(missing),
            not_finite=tuple(not_finite),
            out_of_range=tuple(out_of_range),
            stale=tuple(stale),
            reason=self._reason(row, absent, out_of_range, stale, now),
        )

    def unknown(self, reason: str) -> Quality:
        """Give the quality of nothing at all."""
        missing = tuple(feature.name for view in self._views.values() for feature in view.features)
        return Quality(score=0.0, missing=missing, reason=reason)

    def _in_range(self, feature: definitions.Feature, value: online_row.Number) -> bool:
        if feature.name == HISTORY:
            return bool(np.all(value >= self._lowest) and np.all(value <= self._highest))
        return bool(feature.lowest <= value <= feature.highest)

    def _reason(
        self,
        row: online_row.Row,
        absent: Collection[str],
        out_of_range: Collection[str],
        stale: Sequence[str],
        now: float | None,
    ) -> str:
        if not row.moments:
            return "the feature store has nothing of this symbol yet: no bar has come"
        said = []
        if absent:
            said.append(f"not known: {', '.join(sorted(absent))}")
        for view in stale:
            age = "" if now is None else f" {_days(now - row.moments[view])} old,"
            said.append(
                f"{view} is stale:{age} at most {_days(self._max_age[view])} by the market's clock"
            )
        if odd := sorted(self._needed.intersection(out_of_range)):
            said.append(f"out of range: {', '.join(odd)}")
        return "; ".join(said) or Quality(1.0).reason


def _finite(value: online_row.Number) -> bool:
    if isinstance(value, np.ndarray):
        return bool(np.isfinite(value).all())
    return math.isfinite(value)


def _days(seconds: float) -> str:
    return f"{seconds / dt.timedelta(days=1).total_seconds():.1f} days"
