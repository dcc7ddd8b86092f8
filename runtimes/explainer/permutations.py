"""Shapley values by sampled orders, over groups: every feature, and every channel of the history.

Features join in a random order; what the output moves by when one joins is its marginal
contribution, and the mean over orders estimates its Shapley value (Castro, Gómez and Tejada 2009,
"Polynomial calculation of the Shapley value based on sampling").
Each order is played backwards, too (antithetic; Mitchell et al. 2022): exact where features
interact in pairs at most.
What has not joined is taken from a reference day, the mean is over the same few reference days for
every coalition, so that contributions add up to `output - base` whatever was sampled.
"""

import dataclasses

import numpy as np
import numpy.typing as npt

from runtimes.predictor import artifact

from . import bundle

Array = artifact.Array
Mask = npt.NDArray[np.bool_]


@dataclasses.dataclass(frozen=True, slots=True)
class Sampling:
    """How much is sampled: `2 * orders * (groups - 1) * references` forecasts a row, about."""

    orders: int
    """Each is played in both directions."""
    references: int
    seed: int


@dataclasses.dataclass(frozen=True, slots=True)
class Values:
    """What a game came to."""

    base: float
    """Mean output over the reference days."""
    output: float
    mean: Array
    """[G]: the Shapley values."""
    error: Array
    """[G]: their standard errors over orders; infinite if there was one order alone."""


@dataclasses.dataclass(frozen=True, slots=True)
class Game:
    """The game of one estimator; its orders are drawn once, so that equal rows are explained alike."""

    estimator: artifact.Estimator
    features: Array
    """[K, F]: of the reference days."""
    history: Array
    """[K, T, C]"""
    orders: npt.NDArray[np.intp]
    """[P, G]"""
    coalitions: Mask
    """[S, G]: which groups are in; the empty one comes first."""
    places: npt.NDArray[np.intp]
    """[2P, G - 1]: where in `coalitions` the steps of each order lie."""

    @classmethod
    def over(
        cls, estimator: artifact.Estimator, background: bundle.Background, sampling: Sampling
    ) -> "Game":
        """Draw the orders, and choose the reference days; see `references`."""
        groups = background.features.shape[1] + background.history.shape[2]
        random = np.random.default_rng(sampling.seed)
        forward = np.array([random.permutation(groups) for _ in range(sampling.orders)])
        both = np.concatenate([forward, forward[:, ::-1]])
        # After the first, the second, … joined; the full coalition is the row itself.
        steps = np.zeros((len(both), groups - 1, groups), dtype=bool)
        for position in range(groups - 1):
            steps[:, position:, :][np.arange(len(both)), :, both[:, position]] = True
        coalitions, places = np.unique(
            np.concatenate([np.zeros((1, groups), dtype=bool), steps.reshape(-1, groups)]),
            axis=0,
            return_inverse=True,
        )
        days = references(estimator, background, sampling.references)
        return cls(
            estimator=estimator,
            features=background.features[days],
            history=background.history[days],
            orders=both,
            coalitions=coalitions,
            places=places.reshape(-1)[1:].reshape(len(both), groups - 1),
        )

    def play(self, features: Array, history: Array) -> Values:
        """Give the Shapley values of one row: `features` [1, F], `history` [1, T, C]."""
        # The row itself as it is served, alone: the output is the forecast's to the last bit.
        output = float(self.estimator.estimate(features, history)[0][0])
        worth = coalition_values(
            self.estimator, self.coalitions, (features, history), (self.features, self.history)
        )
        base = float(worth[0])
        rows = len(self.orders)
        path = np.concatenate(
            [np.full((rows, 1), base), worth[self.places], np.full((rows, 1), output)], axis=1
        )
        gains = np.empty_like(path[:, 1:])
        np.put_along_axis(gains, self.orders, np.diff(path, axis=1), axis=1)
        half = rows // 2
        pairs = (gains[:half] + gains[half:]) / 2
        spread = pairs.std(axis=0, ddof=1) if half > 1 else np.full(len(pairs[0]), np.inf)
        return Values(base=base, output=output, mean=pairs.mean(axis=0), error=spread / half**0.5)


def references(
    estimator: artifact.Estimator, background: bundle.Background, count: int
) -> npt.NDArray[np.intp]:
    """Give `count` days, evenly spaced in the order of their forecasts.

    Their mean forecast is near the whole background's, which that of as many random days is not.
    """
    log_volatility, _ = estimator.estimate(background.features, background.history)
    order = np.argsort(log_volatility, kind="stable")
    days = min(count, len(order))
    chosen: npt.NDArray[np.intp] = order[((np.arange(days) + 0.5) / days * len(order)).astype(int)]
    return chosen


def coalition_values(
    estimator: artifact.Estimator,
    coalitions: Mask,
    row: tuple[Array, Array],
    references: tuple[Array, Array],
) -> Array:
    """Give the mean log volatility [S] over the references of each of `coalitions` [S, G]."""
    features, history = mixed(coalitions, row, references)
    log_volatility, _ = estimator.estimate(features, history)
    values: Array = log_volatility.reshape(len(coalitions), -1).mean(axis=1)
    return values


def mixed(
    coalitions: Mask, row: tuple[Array, Array], references: tuple[Array, Array]
) -> tuple[Array, Array]:
    """Give [S * K, …] rows: what is in a coalition from `row`, the rest from each reference."""
    (features, history), (other_features, other_history) = row, references
    width = features.shape[1]
    of_features = coalitions[:, None, :width]
    of_history = coalitions[:, None, None, width:]
    chosen = np.where(of_features, features[None], other_features[None])
    past = np.where(of_history, history[None], other_history[None])
    return chosen.reshape(-1, width), past.reshape(-1, *history.shape[1:])
