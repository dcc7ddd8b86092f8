"""What the feature store has of each symbol, read by asking `enrichment` through the gateway."""

import dataclasses
import json
import math

from infra.catalogue import models as catalogue
from runtimes import contract

from . import gateway

MODEL = catalogue.ENRICHMENT.name

_BAD_REQUEST = 400


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """What the store gave for a symbol."""

    symbol: str
    date: str
    """Trading day of the newest bar, ISO 8601."""
    features: dict[str, float]
    quality: float
    findings: str
    """What is missing, stale, out of range or not finite: JSON, as `enrichment` says it."""
    came: float
    """Seconds since 1970."""
    seconds: float

    @property
    def reason(self) -> str:
        """Why the quality is what it is, in words."""
        return str(json.loads(self.findings).get("reason", ""))

    def document(self) -> dict[str, object]:
        """Give it as JSON's types; what is not finite is null."""
        return {
            "symbol": self.symbol,
            "date": self.date,
            "quality_score": self.quality,
            "quality": json.loads(self.findings),
            "features": {
                name: value if math.isfinite(value) else None
                for name, value in self.features.items()
            },
            "milliseconds": round(self.seconds * 1000, 2),
        }


class Shelf:
    """Rows of all symbols, the newest of each kept."""

    def __init__(self, asked: gateway.Gateway, symbols: tuple[str, ...]) -> None:
        self.asked = asked
        # Enrichment gives features in the order in which every predictor takes them.
        predictor = catalogue.MODELS[0].name
        self.columns = asked.columns(predictor, contract.FEATURES)
        self.channels = asked.columns(predictor, contract.HISTORY)
        self.symbols = symbols
        self.rows: dict[str, Row] = {}
        self.refusals: dict[str, str] = {}

    def read(self, symbol: str) -> Row | None:
        """Ask for a symbol's row; None, with the reason in `refusals`, if there is none.

        Raises:
            DemoError: nothing answers, or enrichment itself is at fault.

        """
        try:
            answer = self.asked.model(MODEL, {contract.SYMBOL: [symbol]})
        except gateway.Refused as refused:
            if refused.status != _BAD_REQUEST:
                raise
            self.refusals[symbol] = str(refused)
            self.rows.pop(symbol, None)
            return None
        values = answer.numbers(contract.FEATURES).ravel().tolist()
        row = Row(
            symbol=symbol,
            date=answer.text(contract.DATE),
            features={name: value for (name, _), value in zip(self.columns, values, strict=True)},
            quality=answer.number(contract.QUALITY_SCORE),
            findings=answer.text(contract.QUALITY),
            came=answer.came,
            seconds=answer.seconds,
        )
        self.refusals.pop(symbol, None)
        self.rows[symbol] = row
        return row
