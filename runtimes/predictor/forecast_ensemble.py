"""Ensemble artifacts: a weighted mean of members, whose artifacts lie inside the folder."""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np

from . import artifact

MEMBERS = "members"
"""The folder inside the artifact that holds one folder for each member."""


@dataclasses.dataclass(frozen=True, slots=True)
class Member:
    """One member with its weights in the two means."""

    name: str
    estimator: artifact.Estimator
    volatility_weight: float
    direction_weight: float


@dataclasses.dataclass(frozen=True, slots=True)
class Ensemble:
    """The estimator of an ensemble: log volatilities and probabilities are averaged by weight."""

    members: Sequence[Member]

    def estimate(
        self, features: artifact.Array, history: artifact.Array
    ) -> tuple[artifact.Array, artifact.Array]:
        """See `artifact.Estimator`."""
        log_volatility = np.zeros(len(features))
        direction = np.zeros(len(features))
        for member in self.members:
            volatility_of_member, direction_of_member = member.estimator.estimate(features, history)
            log_volatility += member.volatility_weight * volatility_of_member
            direction += member.direction_weight * direction_of_member
        return log_volatility, direction


def load(folder: pathlib.Path, manifest: artifact.Manifest) -> Ensemble:
    """Load every member that the manifest's parameters name with its weights."""
    members = []
    for name, weights in manifest.parameters[MEMBERS].items():
        inner = folder / MEMBERS / name
        member = artifact.read_manifest(inner)
        if (member.feature_names, member.history_length, member.history_channels) != (
            manifest.feature_names,
            manifest.history_length,
            manifest.history_channels,
        ):
            raise artifact.ArtifactError(
                f"{inner}: takes other inputs than the ensemble that contains it; train both again"
            )
        members.append(
            Member(
                name=name,
                estimator=artifact.load_estimator(inner, member),
                volatility_weight=float(weights["volatility"]),
                direction_weight=float(weights["direction"]),
            )
        )
    return Ensemble(members=tuple(members))
