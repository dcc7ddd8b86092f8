"""The epochs of a demo's policy, as its log tells them, and what its status says of the arms."""

import dataclasses
import threading
import typing

import numpy as np
import pydantic

from bellwether import demos
from models import dataset
from runtimes.contract import bandits

Array = dataset.Array


@dataclasses.dataclass(frozen=True, slots=True)
class Epoch:
    """An epoch that ended, and the shares [K] from then on."""

    number: int
    time: float
    """Seconds since 1970."""
    shares: Array
    applied: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Belief:
    """What is believed of the arms' mean rewards, [K] each, when so many rows were asked for.

    NaN for an arm that has had no reward yet.
    """

    row: int
    mean: Array
    sd: Array
    rewards: Array
    """Rewards learnt."""


class Epochs:
    """Collects both for one experiment."""

    def __init__(self, experiment: str, arms: tuple[str, ...]) -> None:
        self._experiment = experiment
        self._arms = arms
        self._lock = threading.Lock()
        self._epochs: list[Epoch] = []
        self.beliefs: list[Belief] = []

    def record(self, topic: str, document: typing.Any, at: float) -> None:
        """Take a record of `allocations`; what is not this experiment's is left out."""
        del topic, at
        if not isinstance(document, dict) or document.get("experiment") != self._experiment:
            return
        try:
            told = bandits.Allocation.model_validate(document, strict=False)
        except pydantic.ValidationError as error:
            raise demos.DemoError(f"a record of allocations cannot be read: {error}") from error
        weights = np.array([float(told.weights.get(arm, 0)) for arm in self._arms])
        shares = weights / (weights.sum() or 1.0)
        with self._lock:
            self._epochs.append(Epoch(told.epoch, told.time, shares, told.applied))

    def believe(self, row: int, status: dict[str, typing.Any]) -> None:
        """Take a policy's status; what says nothing of the arms is left out."""
        arms = {each["name"]: each for each in status.get("arms") or ()}
        if set(arms) != set(self._arms):
            return
        known = [arms[arm] for arm in self._arms]

        rewards = np.array([float(each.get("rewards") or 0) for each in known])

        def column(name: str) -> Array:
            told = [float((each.get("posterior") or {}).get(name, np.nan)) for each in known]
            # Before its first reward there is nothing to believe.
            found: Array = np.where(rewards > 0, told, np.nan)
            return found

        self.beliefs.append(Belief(row, column("mean"), column("sd"), rewards))

    @property
    def known(self) -> list[Epoch]:
        """The epochs so far whose weights acted."""
        with self._lock:
            return [each for each in self._epochs if each.applied]

    @property
    def learnt(self) -> int:
        """Rewards that the policy has learnt, by its newest status."""
        return int(self.beliefs[-1].rewards.sum()) if self.beliefs else 0

    def acting(self, moment: Array, first: Array) -> Array:
        """Give the shares [..., K] that acted at each `moment` [...]; `first` [K] at the beginning."""
        known = self.known
        table = np.vstack([first, *(each.shares for each in known)])
        found: Array = table[np.searchsorted([each.time for each in known], moment, side="right")]
        return found
