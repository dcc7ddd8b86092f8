"""How traffic was split when: the propensities that `allocations` has kept.

An epoch's weights act from its record's timestamp on, if they were applied; else what acted before
goes on. Where a record found other weights than the one before had left, somebody has changed them
at a time that nobody knows: what was decided in between has no propensity.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from runtimes.contract import bandits

Array = NDArray[np.float64]

_SAME = 1e-9
_BEGINNING = -(2**62)


@dataclasses.dataclass(frozen=True, slots=True)
class Splits:
    """Intervals of one experiment's split, oldest first.

    `starts` [m] are Kafka's timestamps in milliseconds, `shares` [m, K] what acted from there on,
    `vetoed` [m, K] which arms had lost their traffic, `known` [m] whether that split is certain.
    """

    arms: tuple[str, ...]
    starts: NDArray[np.int64]
    shares: Array
    vetoed: NDArray[np.bool_]
    known: NDArray[np.bool_]

    def at(self, times: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give the interval [n] in which each time lies."""
        place: NDArray[np.int64] = np.searchsorted(self.starts, times, side="right") - 1
        return place


def of(records: Iterable[tuple[int, bandits.Allocation]], experiment: str) -> Splits:
    """Read the splits from records with their timestamps, in the order of the topic.

    The arms are those of the last record. Raises `LookupError` if there is no record.
    """
    mine = [each for each in records if each[1].experiment == experiment]
    corrected = {
        (record.policy, record.epoch) for _, record in mine if record.details.get("corrects")
    }
    epochs = [each for each in mine if not each[1].details.get("corrects")]
    if not epochs:
        raise LookupError(
            f"nothing is known of how {experiment!r} split its traffic: `{bandits.ALLOCATIONS}` "
            "has no record of it; a BanditPolicy writes them, in mode shadow or frozen too"
        )
    arms = tuple(epochs[-1][1].weights)
    intervals = _Intervals(arms, epochs[0][1].previous)
    for time, record in epochs:
        applied = record.applied and (record.policy, record.epoch) not in corrected
        intervals.found(record.previous)
        intervals.begin(
            time,
            record.weights if applied else record.previous,
            [each.arm for each in record.vetoes],
        )
    return intervals.splits()


class _Intervals:
    def __init__(self, arms: tuple[str, ...], weights: Mapping[str, int]) -> None:
        self._arms = arms
        self._starts, self._shares = [_BEGINNING], [_shares(arms, weights)]
        self._vetoed: list[list[bool]] = [[False] * len(arms)]
        self._known = [True]

    def found(self, weights: Mapping[str, int]) -> None:
        """Take what acted at the running interval's end."""
        here = _shares(self._arms, weights)
        if not np.allclose(here, self._shares[-1], rtol=0, atol=_SAME, equal_nan=True):
            self._known[-1] = False

    def begin(self, time: int, weights: Mapping[str, int], vetoed: Sequence[str]) -> None:
        self._starts.append(max(time, self._starts[-1]))
        self._shares.append(_shares(self._arms, weights))
        self._vetoed.append([arm in vetoed for arm in self._arms])
        self._known.append(True)

    def splits(self) -> Splits:
        shares = np.array(self._shares)
        whole: NDArray[np.bool_] = np.asarray(np.isfinite(shares).all(axis=1))
        return Splits(
            self._arms,
            np.array(self._starts, dtype=np.int64),
            np.where(whole[:, np.newaxis], shares, 0.0),
            np.array(self._vetoed, dtype=np.bool_),
            np.array(self._known, dtype=np.bool_) & whole,
        )


def _shares(arms: tuple[str, ...], weights: Mapping[str, int]) -> Array:
    """Give each arm's share of what fell to these arms; NaN if nothing did."""
    mine = np.array([weights.get(arm, 0) for arm in arms], dtype=np.float64)
    total = mine.sum()
    return mine / total if total else np.full(len(arms), np.nan)
