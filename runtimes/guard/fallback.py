"""The fallback: what is usual for a symbol, when its data cannot be trusted.

Set `implementation` to `runtimes.guard.fallback.Fallback` and `parameters.uri` to the folder that
`models.steps.fallback` built.
It needs the symbol alone: neither the feature store nor any other part has to be there.
"""

import dataclasses
import difflib
import hashlib
import json
import pathlib
import re
from collections.abc import Mapping

import numpy as np

from runtimes import contract
from runtimes.contract import step

DOCUMENT = "fallback.json"
SCHEMA = 1

_CONTENT_ADDRESS = re.compile("sha256-[0-9a-f]{64}")
_VERSIONED = re.compile(r".+_(?P<version>\d+)")


@dataclasses.dataclass(frozen=True, slots=True)
class Usual:
    """A symbol's long-run distribution of five-day volatility, and its share of rises."""

    volatility: float
    """Median, annualised."""
    lower: float
    upper: float
    direction: float

    def __post_init__(self) -> None:
        """Refuse what no distribution is."""
        if not 0.0 < self.lower <= self.volatility <= self.upper < float("inf"):
            raise ValueError(
                f"expected 0 < lower <= volatility <= upper, got {self.lower}, "
                f"{self.volatility}, {self.upper}"
            )
        if not 0.0 <= self.direction <= 1.0:
            raise ValueError(f"expected a direction between 0 and 1, got {self.direction}")


class Fallback(step.Step):
    """Answers a symbol with its long-run distribution.

    A symbol that it was not built with is the caller's mistake:
    there is nothing to forecast from, and a number of other assets would not be about it.
    """

    TAKES = (step.Tensor(contract.SYMBOL, "BYTES", (1,), "what is forecast"),)
    GIVES = (
        step.Tensor(
            contract.VOLATILITY, "FP64", (1,), "median over the symbol's history, annualised"
        ),
        step.Tensor(contract.DIRECTION, "FP64", (1,), "share of days after which it rose"),
        step.Tensor(contract.INTERVAL, "FP64", (1, 2), "10 % and 90 % quantile over its history"),
        step.Tensor(contract.MODEL, "BYTES", (1, 3), "name, version and artifact"),
    )

    def open(self, folder: pathlib.Path) -> None:
        """Read the artifact."""
        content = (folder / DOCUMENT).read_bytes()
        document = json.loads(content)
        if document["schema"] != SCHEMA:
            raise ValueError(
                f"{DOCUMENT} has schema {document['schema']!r}, this runtime reads {SCHEMA}; "
                "run `bellwether train`"
            )
        known = {
            symbol: Usual(
                volatility=float(entry["volatility"]),
                lower=float(entry["lower"]),
                upper=float(entry["upper"]),
                direction=float(entry["direction"]),
            )
            for symbol, entry in document["symbols"].items()
        }
        versioned = _VERSIONED.fullmatch(self.name)
        identity = [
            self.label,
            versioned["version"] if versioned else self.version or "",
            # As a predictor does: Seldon's agent gives the folder another name.
            folder.name
            if _CONTENT_ADDRESS.fullmatch(folder.name)
            else f"manifest-sha256-{hashlib.sha256(content).hexdigest()}",
        ]
        self._answers = {symbol: _answer(usual, identity) for symbol, usual in known.items()}

    async def run(
        self, inputs: Mapping[str, step.Value], asked: step.Asked
    ) -> Mapping[str, step.Value]:
        """Answer one request; raise InvalidRequest for a symbol that is not known."""
        del asked
        symbol = str(inputs[contract.SYMBOL][0])
        answer = self._answers.get(symbol)
        if answer is None:
            near = difflib.get_close_matches(symbol, self._answers, n=1)
            meant = f" (did you mean {near[0]!r}?)" if near else ""
            raise step.InvalidRequest(
                f"symbol {symbol!r} is unknown{meant}: it has no history to fall back on; "
                f"known are {', '.join(self._answers)}"
            )
        return answer


def _answer(usual: Usual, identity: list[str]) -> Mapping[str, step.Value]:
    return {
        contract.VOLATILITY: np.array([usual.volatility]),
        contract.DIRECTION: np.array([usual.direction]),
        contract.INTERVAL: np.array([[usual.lower, usual.upper]]),
        contract.MODEL: identity,
    }
