"""What the online store knows of a symbol."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Number = float | Array
"""A feature's value: a number, or an array of them."""


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """What the online store knows of a symbol."""

    features: Mapping[str, Mapping[str, Number]]
    """View -> feature -> value; a feature that the store does not have, or as null, is not in it."""
    moments: Mapping[str, float]
    """View -> its event time, in seconds since 1970 UTC; a view that was never written is not in it."""
