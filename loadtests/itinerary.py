"""What users do in a load test, over which protocol."""

import enum
import fractions
import types
from collections.abc import Mapping


class Protocol(enum.StrEnum):
    """How the Open Inference Protocol is spoken."""

    REST = "rest"
    GRPC = "grpc"


class Journey(enum.StrEnum):
    """What a user does again and again; `mixed` is all of it side by side."""

    MODEL = "model"
    EXPERIMENT = "experiment"
    PIPELINE = "pipeline"
    EXPLANATION = "explanation"
    REWARD = "reward"
    MIXED = "mixed"

    @property
    def parts(self) -> tuple["Journey", ...]:
        """The journeys that are measured: all the others of a mixed one."""
        return tuple(SHARES) if self is Journey.MIXED else (self,)

    @property
    def pace(self) -> float:
        """How often it is done, relatively: a forecast is asked for more often than a reason."""
        return _PACES.get(self, 1.0)


SHARES: Mapping[Journey, int] = types.MappingProxyType(
    {
        Journey.MODEL: 2,
        Journey.EXPERIMENT: 4,
        Journey.PIPELINE: 2,
        Journey.EXPLANATION: 1,
        Journey.REWARD: 1,
    }
)
"""The users of a mixed journey, relatively."""

_PACES = {Journey.PIPELINE: 0.5, Journey.EXPLANATION: 0.1, Journey.REWARD: 0.5}

FEWEST_MIXED = sum(SHARES.values())
"""So many users have each journey at its share."""


def share(of: Journey, part: Journey) -> fractions.Fraction:
    """Return the share of the users of `of` that go on `part`."""
    if of is not Journey.MIXED:
        return fractions.Fraction(int(of is part))
    return fractions.Fraction(SHARES[part], FEWEST_MIXED)
