"""Gradient-boosted trees for log volatility and direction, the same for the same seed."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import lightgbm
import numpy as np

from runtimes.predictor import forecast_lightgbm

from . import fitting, linear

THREADS = 1
"""Fixed: sums over another number of threads may differ in the last bit."""


LEVEL = linear.LEVEL
"""The one feature that says how volatile an asset is altogether: the line's business.

Trees that split on it would learn which asset they see, and fail on others.
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Trees:
    """How the trees of log volatility grow."""

    rounds: int
    rate: float
    leaves: int
    fewest: int
    """Rows in a leaf, at least."""


@dataclasses.dataclass(frozen=True, slots=True)
class FittedTrees:
    """A fitted line with its trees."""

    feature_names: tuple[str, ...]
    trees: forecast_lightgbm.Trees

    kind = "lightgbm"

    def estimate(
        self, features: fitting.Array, history: fitting.Array
    ) -> tuple[fitting.Array, fitting.Array]:
        """See `artifact.Estimator`."""
        return self.trees.estimate(features, history)

    def save(self, folder: pathlib.Path) -> Mapping[str, Any]:
        """See `fitting.Fitted`."""
        line = json.dumps(self.trees.line.document(self.feature_names), indent=2, sort_keys=True)
        (folder / forecast_lightgbm.LINE).write_text(line + "\n", encoding="utf-8")
        for name, booster in (
            (forecast_lightgbm.LOG_VOLATILITY, self.trees.log_volatility),
            (forecast_lightgbm.DIRECTION, self.trees.direction),
        ):
            (folder / name).write_text(booster.model_to_string(), encoding="utf-8")
        return {}


def fit(task: fitting.Task, trees: Trees, weights: fitting.Array) -> FittedTrees:
    """Fit a line, `trees` on its errors, and for direction a few stumps near the base rate."""
    sample = task.sample
    line = linear.volatility(sample, sample.feature_names, weights)
    shared = {
        "seed": task.seed,
        "num_threads": THREADS,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
        "feature_contri": [float(name != LEVEL) for name in sample.feature_names],
    }
    volatility = {
        "objective": "regression",
        "learning_rate": trees.rate,
        "num_leaves": trees.leaves,
        "min_data_in_leaf": min(trees.fewest, max(len(sample.rise) // 5, 5)),
        "feature_fraction": 0.7,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "lambda_l2": 5.0,
    }
    direction = {
        "objective": "binary",
        "learning_rate": 0.02,
        "num_leaves": 2,
        "min_data_in_leaf": max(len(sample.rise) // 20, 5),
        "lambda_l2": 50.0,
    }
    return FittedTrees(
        feature_names=sample.feature_names,
        trees=forecast_lightgbm.Trees(
            line=line,
            log_volatility=lightgbm.train(
                {**shared, **volatility},
                _rows(sample, sample.log_volatility - line(sample.features), weights),
                num_boost_round=trees.rounds,
            ),
            direction=lightgbm.train(
                {**shared, **direction},
                _rows(sample, sample.rise, weights),
                num_boost_round=30,
            ),
        ),
    )


def _rows(sample: fitting.Sample, target: np.ndarray, weights: np.ndarray) -> lightgbm.Dataset:
    return lightgbm.Dataset(
        sample.features, target, weight=weights, feature_name=list(sample.feature_names)
    )
