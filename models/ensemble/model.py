"""Stacking: weights that are not negative and add up to one, on out-of-sample forecasts."""

import dataclasses
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import optimize

from models import fitting
from runtimes.predictor import artifact, forecast_ensemble

SUM_TO_ONE = 1e3
"""How strongly the least squares problem is told that the weights add up to one."""

FEWEST = 0.02
"""A member below this share in both means is left out: it would cost time and change nothing."""

SERVED_ALONE = ("model-settings.json", "card.json", "CARD.md")
"""What a member's folder leaves behind: a server would take it for a model of its own."""


@dataclasses.dataclass(frozen=True, slots=True)
class FittedEnsemble:
    """A fitted ensemble."""

    ensemble: forecast_ensemble.Ensemble
    folders: Mapping[str, pathlib.Path | None]

    kind = "ensemble"

    def estimate(
        self, features: fitting.Array, history: fitting.Array
    ) -> tuple[fitting.Array, fitting.Array]:
        """See `artifact.Estimator`."""
        return self.ensemble.estimate(features, history)

    def save(self, folder: pathlib.Path) -> Mapping[str, Any]:
        """See `fitting.Fitted`; copies the members' artifacts."""
        for name, origin in self.folders.items():
            if origin is None:
                raise ValueError(f"member {name!r} has no artifact that could be copied")
            shutil.copytree(
                origin,
                folder / forecast_ensemble.MEMBERS / name,
                ignore=shutil.ignore_patterns(*SERVED_ALONE),
            )
        return {
            forecast_ensemble.MEMBERS: {
                member.name: {
                    "volatility": member.volatility_weight,
                    "direction": member.direction_weight,
                }
                for member in self.ensemble.members
            }
        }


def fit(task: fitting.Task) -> fitting.Fitted:
    """Learn the weights on the members' ledgers."""
    if task.outcomes is None or not task.members:
        raise ValueError("an ensemble is fitted over members and what came out for their ledgers")
    ledgers = [member.ledger for member in task.members.values()]
    volatility = simplex(
        np.column_stack([ledger.log_volatility for ledger in ledgers]),
        task.outcomes.log_volatility,
    )
    direction = simplex(
        np.column_stack([ledger.direction for ledger in ledgers]), task.outcomes.rise
    )
    used = np.maximum(volatility, direction) >= FEWEST
    volatility = _shares(np.where(used, volatility, 0.0))
    direction = _shares(np.where(used, direction, 0.0))
    chosen = [name for name, kept in zip(task.members, used, strict=True) if kept]
    places = np.flatnonzero(used)
    return FittedEnsemble(
        ensemble=forecast_ensemble.Ensemble(
            members=tuple(
                forecast_ensemble.Member(
                    name=name,
                    estimator=task.members[name].estimator,
                    volatility_weight=float(volatility[place]),
                    direction_weight=float(direction[place]),
                )
                for name, place in zip(chosen, places, strict=True)
            )
        ),
        folders={name: task.members[name].folder for name in chosen},
    )


def simplex(forecasts: artifact.Array, actual: artifact.Array) -> artifact.Array:
    """Give the weights [k], >= 0 with sum 1, of the best mean of `forecasts` [n, k]."""
    # Centring on the even mean makes the problem well posed: members differ by little.
    centre = forecasts.mean(axis=1)
    rows = len(actual)
    design = np.vstack(
        [(forecasts - centre[:, None]) / np.sqrt(rows), np.full(forecasts.shape[1], SUM_TO_ONE)]
    )
    target = np.append((actual - centre) / np.sqrt(rows), SUM_TO_ONE)
    weights, _ = optimize.nnls(design, target)
    return _shares(weights)


def _shares(weights: artifact.Array) -> artifact.Array:
    return np.array([float(f"{share:.6g}") for share in weights / weights.sum()])
