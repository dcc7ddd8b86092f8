"""What a fit is given and gives: the shape that every model shares.

A model's `model.py` has one function, `fit(task: Task) -> Fitted`; `models.procedure` calls it.
"""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from runtimes.predictor import artifact

from . import dataset

Array = dataset.Array


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """The rows that a fit may see."""

    feature_names: tuple[str, ...]
    features: Array
    """[n, F]"""
    history: Array
    """[n, T, C]"""
    log_volatility: Array
    """[n]"""
    rise: Array
    """[n], 0 or 1"""
    regime: npt.NDArray[np.str_]
    """[n]"""

    def emphasis(self, regime: str, weight: float) -> Array:
        """Give weights [n]: `weight` for the days of `regime`, 1 for the others."""
        return np.where(self.regime == regime, weight, 1.0)


@dataclasses.dataclass(frozen=True, slots=True)
class Ledger:
    """What a model forecast for rows that it had not been fitted on."""

    rows: dataset.Rows
    """[k], ascending by date"""
    log_volatility: Array
    direction: Array

    def append(self, later: "Ledger") -> "Ledger":
        """Give both, one after the other."""
        return Ledger(
            rows=np.concatenate([self.rows, later.rows]),
            log_volatility=np.concatenate([self.log_volatility, later.log_volatility]),
            direction=np.concatenate([self.direction, later.direction]),
        )

    def part(self, which: slice) -> "Ledger":
        """Give a stretch of it."""
        return Ledger(self.rows[which], self.log_volatility[which], self.direction[which])


class Fitted(artifact.Estimator, Protocol):
    """A model with its weights."""

    @property
    def kind(self) -> str:
        """One of `artifact.KINDS`."""
        ...

    def save(self, folder: pathlib.Path) -> Mapping[str, Any]:
        """Write the weights into `folder`; give the manifest's parameters."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Outcomes:
    """What came out for the rows of a ledger."""

    log_volatility: Array
    rise: Array


@dataclasses.dataclass(frozen=True, slots=True)
class Member:
    """A trained model, as one that combines it sees it."""

    estimator: artifact.Estimator
    ledger: Ledger
    folder: pathlib.Path | None = None
    """Its artifact, if it was saved."""


@dataclasses.dataclass(frozen=True, slots=True)
class Task:
    """What a fit is given."""

    sample: Sample
    seed: int
    start: Fitted | None = None
    """An earlier fit of the same model, on a part of the sample, to go on from."""
    members: Mapping[str, Member] = dataclasses.field(default_factory=dict)
    """For a model that combines others: these, with ledgers of the same rows."""
    outcomes: Outcomes | None = None
    """For a model that combines others: what came out for the rows of the ledgers."""


@dataclasses.dataclass(frozen=True, slots=True)
class Trained:
    """A model after training."""

    name: str
    fitted: Fitted
    interval: artifact.IntervalRule
    ledger: Ledger
    until: np.datetime64
    """The first day that training knew nothing of."""
