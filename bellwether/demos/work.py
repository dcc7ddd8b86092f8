"""What a request's features cost: read from the store, or computed of raw bars each time.

"Half the feature work" is said of feature stores; here it is two figures that can be checked.
The one is time: the enrichment step, asked through the gateway, against computing the same features
and history of the newest day from as many bars as they need, in this process.
The second leaves out what a service would have to do besides: read the bars, and take the request.
The other is declarations: one a feature, used for training, store and request,
against one for training and another for serving where each computes its own.
"""

import collections.abc
import dataclasses
import statistics
import time
import typing

from models import data, dataset, sources
from runtimes import contract

from . import gateway, shelf

STORE_REQUESTS = 200
COMPUTATIONS = 7


@dataclasses.dataclass(frozen=True, slots=True)
class Work:
    """Medians in milliseconds, and the rounds that they are of."""

    store_ms: float
    store_rounds: int
    computed_ms: float
    computed_rounds: int
    bars: int
    """Of each symbol: what the newest day's features and history need."""
    declarations: int
    """Features and channels of the history."""

    @property
    def ratio(self) -> float:
        """How many times as long computing takes."""
        return self.computed_ms / self.store_ms

    def document(self) -> dict[str, typing.Any]:
        """Give it as JSON's types."""
        return {
            "store_request_ms": round(self.store_ms, 3),
            "store_requests": self.store_rounds,
            "computed_from_bars_ms": round(self.computed_ms, 3),
            "computations": self.computed_rounds,
            "ratio": round(self.ratio, 2),
            "bars_of_each_symbol": self.bars,
            "declarations": self.declarations,
            "declarations_if_training_and_serving_each_had_their_own": 2 * self.declarations,
        }


def measure(of: shelf.Shelf, symbol: str, source: sources.Source) -> Work:
    """Measure both, one after the other.

    Raises:
        DemoError: the model does not answer.

    """
    asked = of.asked
    inputs: dict[str, gateway.Value] = {contract.SYMBOL: [symbol]}
    asked.model(shelf.MODEL, inputs)
    store = [asked.model(shelf.MODEL, inputs).seconds for _ in range(STORE_REQUESTS)]
    bars = contract.TRADING_DAYS + dataset.load(source).length
    frames = {name: frame.tail(bars) for name, frame in data.load(source).items()}
    computed = [_timed(lambda: dataset.build(frames)) for _ in range(COMPUTATIONS)]
    return Work(
        store_ms=statistics.median(store) * 1000,
        store_rounds=len(store),
        computed_ms=statistics.median(computed) * 1000,
        computed_rounds=len(computed),
        bars=bars,
        declarations=len(of.columns) + len(of.channels),
    )


def _timed(work: collections.abc.Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def sentences(work: Work) -> list[str]:
    """Say in words what came out."""
    time_ = (
        f"A request's features and history: {work.store_ms:.1f} ms from the store, through the "
        f"gateway; {work.computed_ms:.1f} ms computed from {work.bars} raw bars of each symbol, in this "
        f"process, without reading the bars, and with the code that makes training sets: "
        f"{work.ratio:.0f} times as long (medians of {work.store_rounds} and "
        f"{work.computed_rounds}). Code made for one row would be quicker; other work on the "
        "machine moves both."
    )
    declarations = (
        f"Declarations: {work.declarations}, one for each feature and channel, for training, store "
        f"and request; {2 * work.declarations} if training and serving each had their own. "
        "That half is a count of declarations; hours of work were not measured."
    )
    return [time_, declarations]
