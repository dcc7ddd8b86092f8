"""What a served model was trained on, as its card says.

A model answers with its artifact's digest; the artifact's card lies beside it, on this machine.
"""

import dataclasses
import json

import numpy as np

from models import cache, card


@dataclasses.dataclass(frozen=True, slots=True)
class Past:
    """The days of a symbol that a model was fitted on, both included."""

    first: np.datetime64
    last: np.datetime64


def past(artifact: str, symbol: str) -> Past | None:
    """Give the days of `symbol` that the model with this digest saw; None where no card tells."""
    for path in cache.artifacts().glob(f"*/{artifact}/{card.DOCUMENT}"):
        span = json.loads(path.read_text(encoding="utf-8"))["data"]["symbols"].get(symbol)
        if span and span["from"]:
            return Past(np.datetime64(span["from"], "D"), np.datetime64(span["to"], "D"))
    return None
