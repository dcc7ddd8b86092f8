"""Predicts each arm's reward in each context: what the direct method and doubly robust ones need.

One kernel ridge regression an arm (Saunders, Gammerman and Vovk 1998): a Gaussian kernel over
standardised contexts, its width the median squared distance, on landmarks (Nystrom's method,
Williams and Seeger 2001); the penalty by the leave-one-out error in closed form (Allen's PRESS,
1974). Without contexts, the arm's mean. Cross-fitted: a row is predicted by models that have not
seen its reward (Chernozhukov et al. 2018).
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Arms = NDArray[np.integer]

FOLDS = 3
LANDMARKS = 200
FITTED_ROWS = 5000
"""The most rows that one arm's model is fitted to; of more, a sample."""

PENALTIES: Array = np.logspace(-5, 2, 15)
"""On features of length 1, tried in turn."""

_CHUNK = 20_000
_TINY = 1e-8


def cross_fitted(  # noqa: PLR0913  a log has these columns
    arms: Arms,
    rewards: Array,
    count: int,
    contexts: Array | None = None,
    *,
    folds: int = FOLDS,
    seed: int = 0,
) -> Array:
    """Predict the rewards [n, K] of `count` = K arms, from `arms` [n], `rewards` [n].

    `contexts` is [n, d]; a row with a number that is not finite has none, and is predicted by the
    arm's mean. An arm that no other fold has is predicted by the mean over all arms.
    """
    generator = np.random.default_rng(seed)
    known = _known(contexts, len(arms))
    kernel = (
        _Kernel.of(contexts[known], generator) if contexts is not None and known.any() else None
    )
    predicted = np.empty((len(arms), count))
    for held in np.array_split(generator.permutation(len(arms)), min(folds, len(arms))):
        rest = np.ones(len(arms), dtype=bool)
        rest[held] = len(arms) == 1  # a single row has nothing else to learn from
        usual = float(rewards[rest].mean())
        for arm in range(count):
            of_arm = rest & (arms == arm)
            predicted[held, arm] = rewards[of_arm].mean() if of_arm.any() else usual
            fitted, asked = np.flatnonzero(of_arm & known), held[known[held]]
            if contexts is None or kernel is None or not len(fitted):
                continue
            if len(fitted) > FITTED_ROWS:
                fitted = generator.choice(fitted, FITTED_ROWS, replace=False)
            ridge = _Ridge.fit(kernel.features(contexts[fitted]), rewards[fitted])
            for start in range(0, len(asked), _CHUNK):
                part = asked[start : start + _CHUNK]
                predicted[part, arm] = ridge.predict(kernel.features(contexts[part]))
    return predicted


def _known(contexts: Array | None, rows: int) -> NDArray[np.bool_]:
    if contexts is None or not contexts.shape[1]:
        return np.zeros(rows, dtype=np.bool_)
    return np.asarray(np.isfinite(contexts).all(axis=1), dtype=np.bool_)


@dataclasses.dataclass(frozen=True, slots=True)
class _Kernel:
    """Features [n, m] whose products are the Gaussian kernel's, as landmarks [m, d] span them."""

    centre: Array
    scale: Array
    landmarks: Array
    width: float
    root: Array

    @classmethod
    def of(cls, contexts: Array, generator: np.random.Generator) -> "_Kernel":
        centre, scale = contexts.mean(axis=0), contexts.std(axis=0)
        scale = np.where(scale > _TINY * np.maximum(1.0, abs(centre)), scale, 1.0)
        chosen = generator.permutation(len(contexts))[:LANDMARKS]
        landmarks = np.unique((contexts[chosen] - centre) / scale, axis=0)
        distances = _squared_distances(landmarks, landmarks)
        apart = distances[np.triu_indices(len(landmarks), 1)]
        width = float(np.median(apart)) if apart.size else 1.0
        values, vectors = np.linalg.eigh(np.exp(-distances / width))
        kept = values > _TINY * values[-1]
        root: Array = vectors[:, kept] / np.sqrt(values[kept])
        return cls(centre, scale, landmarks, width, root)

    def features(self, contexts: Array) -> Array:
        standard = (contexts - self.centre) / self.scale
        nearness = np.exp(-_squared_distances(standard, self.landmarks) / self.width)
        features: Array = nearness @ self.root
        return features


@dataclasses.dataclass(frozen=True, slots=True)
class _Ridge:
    """A line through features, with a free intercept."""

    centre: Array
    mean: float
    slopes: Array

    @classmethod
    def fit(cls, features: Array, rewards: Array) -> "_Ridge":
        centre, mean = features.mean(axis=0), float(rewards.mean())
        left, singular, right = np.linalg.svd(features - centre, full_matrices=False)
        projected = left.T @ (rewards - mean)
        shrunk = singular**2 / (singular**2 + PENALTIES[:, np.newaxis])
        residual = rewards - mean - (shrunk * projected) @ left.T
        leverage = shrunk @ (left**2).T + 1 / len(rewards)  # the intercept's is 1/n
        left_out = residual / np.maximum(1 - leverage, _TINY)
        best = PENALTIES[int(np.argmin((left_out**2).mean(axis=1)))]
        return cls(centre, mean, right.T @ (singular / (singular**2 + best) * projected))

    def predict(self, features: Array) -> Array:
        predicted: Array = self.mean + (features - self.centre) @ self.slopes
        return predicted


def _squared_distances(one: Array, other: Array) -> Array:
    distances: Array = np.maximum(
        (one**2).sum(axis=1)[:, np.newaxis] + (other**2).sum(axis=1) - 2 * one @ other.T, 0.0
    )
    return distances
