"""LightGBM artifacts: gradient-boosted trees for log volatility, and others for direction."""

import dataclasses
import pathlib

import lightgbm
import numpy as np

from . import artifact

LOG_VOLATILITY = "log_volatility.txt"
DIRECTION = "direction.txt"


@dataclasses.dataclass(frozen=True, slots=True)
class Trees:
    """The estimator of a LightGBM artifact.

    One thread: a row takes microseconds, and a server has other requests for the other cores.
    """

    log_volatility: lightgbm.Booster
    direction: lightgbm.Booster

    def estimate(
        self, features: artifact.Array, history: artifact.Array
    ) -> tuple[artifact.Array, artifact.Array]:
        """See `artifact.Estimator`; the history is not used."""
        del history
        return (
            np.asarray(self.log_volatility.predict(features, num_threads=1), dtype=np.float64),
            np.asarray(self.direction.predict(features, num_threads=1), dtype=np.float64),
        )


def load(folder: pathlib.Path, manifest: artifact.Manifest) -> Trees:
    """Load both boosters, and check that they were fitted on the manifest's features."""
    boosters = {}
    for name in (LOG_VOLATILITY, DIRECTION):
        booster = lightgbm.Booster(model_file=str(folder / name))
        if tuple(booster.feature_name()) != manifest.feature_names:
            raise artifact.ArtifactError(
                f"{folder / name}: was fitted on {booster.feature_name()}, "
                f"{artifact.MANIFEST} names {list(manifest.feature_names)}"
            )
        boosters[name] = booster
    return Trees(log_volatility=boosters[LOG_VOLATILITY], direction=boosters[DIRECTION])
