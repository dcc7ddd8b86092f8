"""The contextual policy on real days: what it would have earned on forecasts of unseen days.

Each day of each symbol is a request; the four branches' forecasts were made by models that had not
seen the day (`models.unseen`). A reward, the realised utility, is learnt on the day on which it was
known, five trading days later, and only the taken branch's.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from bellwether import router_simulation as simulation
from infra.catalogue import bandits, pipelines
from models import dataset, gains, sources, unseen
from runtimes.bandit import declaration
from runtimes.contract import regimes

REPETITIONS = 10


@dataclasses.dataclass(frozen=True, slots=True)
class History:
    """What was earned, a share of wealth a year, with block-bootstrap intervals over the days."""

    first: str
    last: str
    rows: int
    gains: gains.Gains

    def document(self) -> dict[str, object]:
        """Give it as JSON's types."""
        return {
            "first": self.first,
            "last": self.last,
            "rows": self.rows,
            **self.gains.document(),
        }


def compare(
    source: sources.Source,
    seed: int,
    *,
    spec: declaration.BanditPolicySpec = bandits.REGIME_ROUTER.spec,
    repetitions: int = REPETITIONS,
    said: Callable[[], None] = lambda: None,
) -> History:
    """Let the contextual policy walk through the days, and compare it with rule and branches.

    What it earned is a mean over `repetitions`, which explore differently.

    Raises:
        sources.DataError: the branches' models are not trained on this data.

    """
    models = [
        pipelines.BRANCHES[branch].removesuffix("-predictor") for branch in simulation.BRANCHES
    ]
    found = unseen.load(source, seed, models)
    history = dataset.load(source).history(found.rows)
    markets = simulation.Markets(regimes.volatility(history), regimes.trend(history))
    epochs = _days(found)
    earned = []
    for repetition in range(repetitions):
        chances = simulation.walk(
            markets, epochs, lambda rows, arms: found.utility[rows, arms], spec, repetition
        )
        earned.append((chances * found.utility).sum(axis=1))
        said()
    order = np.arange(len(found))
    compared = {
        simulation.CONTEXTUAL: np.mean(earned, axis=0),
        simulation.RULE: found.utility[order, simulation.ruled(markets)],
        **{
            f"always {branch}": found.utility[:, place]
            for place, branch in enumerate(simulation.BRANCHES)
        },
    }
    return History(
        str(found.date.min()),
        str(found.date.max()),
        len(found),
        gains.compare(found.date, compared, seed),
    )


def _days(found: unseen.Unseen) -> list[tuple[simulation.Rows, simulation.Rows]]:
    """Give for each day its requests, and the earlier ones whose rewards became known on it."""
    days = np.unique(found.date)
    by_known = np.argsort(found.known, kind="stable")
    known = np.searchsorted(found.known[by_known], days, side="right")
    asked = np.searchsorted(found.date, [*days, days[-1] + 1])
    before = np.concatenate([[0], known[:-1]])
    return [
        (np.arange(begin, end), np.sort(by_known[low:high]))
        for begin, end, low, high in zip(asked[:-1], asked[1:], before, known, strict=True)
    ]
