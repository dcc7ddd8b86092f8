"""The market's regime, day by day, and which branch the router chose for which request."""

import dataclasses
import datetime as dt
import json
from collections.abc import Mapping, Sequence

import numpy as np

from runtimes import contract
from runtimes.contract import regimes

from .doors import gateway, topics

CHOICES = 400
"""How many of the router's last choices are read."""

ENRICHMENT = "enrichment"
ROUTING = "routing"


@dataclasses.dataclass(frozen=True, slots=True)
class Choice:
    """One choice of the router."""

    id: str
    time: float
    symbol: str
    regime: str
    branch: str
    volatility: float
    trend: float
    reason: str
    propensity: float
    volatility_threshold: float
    trend_threshold: float


@dataclasses.dataclass(frozen=True, slots=True)
class Market:
    """A symbol's last days, as the models are given them."""

    symbol: str
    date: str
    """The newest day."""
    levels: tuple[float, ...]
    """Close by day, the first being 1."""
    volatility: tuple[float, ...]
    """Annualised, of `regimes.DAYS` days, by day from the first that has so many before it."""
    regimes: tuple[str, ...]
    """Regime by day, for the same days."""
    quality: float
    report: Mapping[str, object]


async def choices(door: topics.Topics) -> tuple[Choice, ...]:
    """Give the router's last choices, oldest first."""
    records = await door.newest((ROUTING,), CHOICES)
    return tuple(_choice(json.loads(each.value)) for each in records)


async def market(door: gateway.Gateway, symbol: str) -> Market:
    """Ask the feature store for a symbol's history, as the pipeline does."""
    answer = await door.infer(ENRICHMENT, [gateway.text(contract.SYMBOL, symbol)])
    channels = answer.shapes[contract.HISTORY][2]
    flat = [np.nan if each is None else each for each in answer.outputs[contract.HISTORY]]
    history = np.array(flat, dtype=np.float64).reshape(1, -1, channels)
    days = history.shape[1]
    known = range(regimes.DAYS, days + 1) if np.isfinite(history[..., 0]).all() else range(0)
    windows = [history[:, end - regimes.DAYS : end] for end in known]
    return Market(
        symbol=symbol,
        date=str(answer.outputs[contract.DATE][0]),
        levels=tuple(np.exp(np.cumsum(np.nan_to_num(history[0, :, 0]))).tolist()),
        volatility=tuple(float(regimes.volatility(each)[0]) for each in windows),
        regimes=tuple(str(regimes.of(each)[0]) for each in windows),
        quality=float(answer.outputs[contract.QUALITY_SCORE][0]),
        report=json.loads(answer.outputs[contract.QUALITY][0]),
    )


def symbols(found: Sequence[Choice]) -> tuple[str, ...]:
    """Give the symbols that the router was asked for, by name."""
    return tuple(sorted({each.symbol for each in found if each.symbol}))


def _choice(document: Mapping[str, object]) -> Choice:
    thresholds = document.get("thresholds")
    limits = thresholds if isinstance(thresholds, dict) else {}

    def number(name: str) -> float:
        return float(str(document.get(name) or 0.0))

    return Choice(
        id=str(document.get("id") or ""),
        time=dt.datetime.fromisoformat(str(document["time"])).timestamp(),
        symbol=str(document.get("symbol") or ""),
        regime=str(document["regime"]),
        branch=str(document["branch"]),
        volatility=number("volatility"),
        trend=number("trend"),
        reason=str(document.get("reason") or ""),
        propensity=number("propensity"),
        volatility_threshold=float(
            limits.get("volatility_threshold", regimes.VOLATILITY_THRESHOLD)
        ),
        trend_threshold=float(limits.get("trend_threshold", regimes.TREND_THRESHOLD)),
    )
