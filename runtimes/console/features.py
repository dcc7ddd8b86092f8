"""Features as they are in use: how fresh, how spread, how far from what training saw."""

import dataclasses
import datetime as dt
import json
from collections.abc import Mapping, Sequence

from .doors import prometheus, store, topics

RECORDS = 1500
"""How many of the last enriched requests are read."""

ALERTS = 30
MONITORING = "feature-monitoring"
DRIFT = "drift"
SCORES = "bellwether:drift:scores"
"""Valkey's hash from a symbol to its drift score."""

BARS_AGE = "bellwether_feature_stream_newest_bar_age_seconds"
LAG = "bellwether_feature_stream_lag"
RATIO = "bellwether_drift_ratio"


@dataclasses.dataclass(frozen=True, slots=True)
class Enriched:
    """One enriched request."""

    time: float
    symbol: str
    date: str
    quality: float
    base: int
    """How many features the caller gave instead of the store's."""
    features: Mapping[str, float]


@dataclasses.dataclass(frozen=True, slots=True)
class Drift:
    """A symbol's drift score."""

    symbol: str
    score: float
    days: int
    time: float
    drifted: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Alert:
    """What the drift watcher told."""

    time: str
    kind: str
    symbol: str
    score: float
    features: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Watched:
    """What the parts that watch features know, by symbol."""

    ages: Mapping[str, float]
    """Seconds of the market's clock since the newest bar."""
    lag: Mapping[str, float]
    """Records that the feature stream has not read yet, by topic."""
    ratios: Mapping[str, Mapping[str, float]]
    """Distance from training over its critical value, by symbol and feature."""


async def requests(door: topics.Topics) -> tuple[Enriched, ...]:
    """Give the last enriched requests, oldest first."""
    records = await door.newest((MONITORING,), RECORDS)
    return tuple(_enriched(json.loads(each.value)) for each in records)


async def drift(door: store.Store) -> tuple[Drift, ...]:
    """Give each symbol's drift score."""
    found = await door.hash(SCORES)
    return tuple(_drift(symbol, json.loads(value)) for symbol, value in sorted(found.items()))


async def alerts(door: topics.Topics) -> tuple[Alert, ...]:
    """Give the drift watcher's last alerts, the newest first."""
    records = await door.newest((DRIFT,), ALERTS)
    return tuple(_alert(json.loads(each.value)) for each in reversed(records))


async def watched(door: prometheus.Prometheus) -> Watched:
    """Ask Prometheus for ages, lags and distances."""
    ages, lag = await door.now(BARS_AGE), await door.now(f"sum by (topic) ({LAG})")
    ratios: dict[str, dict[str, float]] = {}
    for each in await door.now(RATIO):
        ratios.setdefault(each.labels["symbol"], {})[each.labels["feature"]] = each.value
    return Watched(
        ages={each.labels["symbol"]: each.value for each in ages},
        lag={each.labels.get("topic", "all"): each.value for each in lag},
        ratios=ratios,
    )


def by_day(found: Sequence[Enriched], symbol: str) -> tuple[Enriched, ...]:
    """Give a symbol's last record of each trading day, in the order of days."""
    days = {each.date: each for each in found if each.symbol == symbol and each.date}
    return tuple(days[date] for date in sorted(days))


def histogram(values: Sequence[float], bins: int = 24) -> tuple[list[float], list[float]]:
    """Count values in bins of the same width: edges (one more than bins), and counts."""
    low, high = min(values), max(values)
    if low == high:
        low, high = low - 0.5, high + 0.5
    width = (high - low) / bins
    counts = [0.0] * bins
    for each in values:
        counts[min(int((each - low) / width), bins - 1)] += 1
    return [low + width * at for at in range(bins + 1)], counts


def _enriched(document: Mapping[str, object]) -> Enriched:
    features = document.get("features")
    given = features if isinstance(features, dict) else {}
    return Enriched(
        time=dt.datetime.fromisoformat(str(document["time"])).timestamp(),
        symbol=str(document["symbol"]),
        date=str(document.get("date") or ""),
        quality=float(str(document.get("quality_score") or 0.0)),
        base=int(str(document.get("base") or 0)),
        features={
            str(name): float(value)
            for name, value in given.items()
            if isinstance(value, int | float)
        },
    )


def _drift(symbol: str, document: Mapping[str, object]) -> Drift:
    drifted = document.get("drifted")
    return Drift(
        symbol=symbol,
        score=float(str(document["score"])),
        days=int(str(document["days"])),
        time=float(str(document["time"])),
        drifted=tuple(map(str, drifted)) if isinstance(drifted, list) else (),
    )


def _alert(document: Mapping[str, object]) -> Alert:
    features = document.get("features")
    named = features if isinstance(features, list) else []
    return Alert(
        time=str(document["time"]),
        kind=str(document["kind"]),
        symbol=str(document["symbol"]),
        score=float(str(document["score"])),
        features=tuple(str(each["name"]) for each in named),
    )
