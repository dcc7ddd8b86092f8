"""LightGBM artifacts: a line and gradient-boosted trees on its errors, and trees for direction.

Trees alone cannot forecast beyond the levels that they were fitted on; the line can.
"""

import dataclasses
import json
import pathlib

import lightgbm
import numpy as np

from . import artifact, forecast_linear

LINE = "line.json"
LOG_VOLATILITY = "log_volatility.txt"
DIRECTION = "direction.txt"


@dataclasses.dataclass(frozen=True, slots=True)
class Trees:
    """The estimator of a LightGBM artifact.

    One thread: a row takes microseconds, and a server has other requests for the other cores.
    """

    line: forecast_linear.Line
    log_volatility: lightgbm.Booster
    """What is added to the line."""
    direction: lightgbm.Booster

    def estimate(
        self, features: artifact.Array, history: artifact.Array
    ) -> tuple[artifact.Array, artifact.Array]:
        """See `artifact.Estimator`; the history is not used."""
        del history
        added = np.asarray(self.log_volatility.predict(features, num_threads=1), dtype=np.float64)
        direction = np.asarray(self.direction.predict(features, num_threads=1), dtype=np.float64)
        return self.line(features) + added, direction


def load(folder: pathlib.Path, manifest: artifact.Manifest) -> Trees:
    """Load the line and both boosters, and check that they take the manifest's features."""
    document = json.loads((folder / LINE).read_text(encoding="utf-8"))
    boosters = {}
    for name in (LOG_VOLATILITY, DIRECTION):
        booster = lightgbm.Booster(model_file=str(folder / name))
        if tuple(booster.feature_name()) != manifest.feature_names:
            raise artifact.ArtifactError(
                f"{folder / name}: was fitted on {booster.feature_name()}, "
                f"{artifact.MANIFEST} names {list(manifest.feature_names)}"
            )
        boosters[name] = booster
    return Trees(
        line=forecast_linear.Line.parse(document, manifest.feature_names),
        log_volatility=boosters[LOG_VOLATILITY],
        direction=boosters[DIRECTION],
    )
