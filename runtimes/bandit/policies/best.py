"""P(best): how probable it is that an arm's mean is the largest, by quadrature.

In a world the arms are independent, so P(a is best) = ∫ f_a(x) Π F_b(x) dx, b ≠ a;
worlds are summed with their weights. No draws: the same belief gives the same numbers.
"""

import operator

import numpy as np

from runtimes.bandit.policies import beliefs, conjugate, special
from runtimes.bandit.policies.batch import Floats

_LEAST_WEIGHT = 1e-3
"""Of a law, or of a world: what weighs less is left out."""

_CORE = np.linspace(-3.0, 3.0, 9)
"""Standard deviations around an arm's weightiest laws."""

_BACKBONE = 25
"""Points over the whole range of what is possible."""

_REACH = 5.0

_CELLS = 150_000
"""Of the largest array: lanes are taken in pieces that fit into the processor's cache."""


def probabilities(mixture: beliefs.Mixture) -> Floats:
    """Give P(best) [L, K]; each row sums to 1."""
    weights = mixture.weights
    lanes, arms, runs = weights.shape
    cells = arms * runs * (arms * 2 * len(_CORE) + _BACKBONE)
    step = max(1, _CELLS // cells)
    found = np.empty((lanes, arms))
    for begin in range(0, lanes, step):
        piece = slice(begin, begin + step)
        laws = mixture.laws.map(operator.itemgetter(piece))
        found[piece] = _of(mixture.worlds[piece], mixture.runs[piece], laws, weights[piece])
    return found


def _of(worlds: Floats, runs: Floats, laws: conjugate.Posterior, weights: Floats) -> Floats:
    grid = _grid(laws.mean, laws.sd, weights)
    active = weights > _LEAST_WEIGHT
    chosen = np.nonzero(active)
    flat = laws.map(lambda values: values[chosen][:, None])
    below = np.zeros((*weights.shape, grid.shape[1]))
    below[chosen] = flat.cdf(grid[chosen[0]])
    lane, world = np.nonzero(worlds > _LEAST_WEIGHT)
    kept = np.where(active[lane], runs[lane, world], 0.0)
    kept /= np.maximum(kept.sum(axis=-1, keepdims=True), 1e-300)
    cdf = np.empty((len(lane), weights.shape[1], grid.shape[1]))
    ends = np.searchsorted(lane, np.arange(len(worlds) + 1))
    for each in range(len(worlds)):
        of_lane = slice(ends[each], ends[each + 1])
        # [K, W, R] @ [K, R, X]: all the worlds of a lane at once
        cdf[of_lane] = (kept[of_lane].transpose(1, 0, 2) @ below[each]).transpose(1, 0, 2)
    best = _largest(cdf) * worlds[lane, world][:, None]
    found = np.add.reduceat(best, ends[:-1], axis=0)
    total: Floats = found / found.sum(axis=1, keepdims=True)
    return total


def _grid(means: Floats, sds: Floats, weights: Floats) -> Floats:
    """Give points [L, X], in order: dense where laws of weight are, sparse over all of them."""
    lanes = len(means)
    order = np.argsort(-weights, axis=2, kind="stable")[:, :, :2]
    core_mean = np.take_along_axis(means, order, 2)[..., None]
    core_sd = np.take_along_axis(sds, order, 2)[..., None]
    core = (core_mean + core_sd * _CORE).reshape(lanes, -1)
    active = weights > _LEAST_WEIGHT
    low = np.where(active, means - _REACH * sds, np.inf).min(axis=(1, 2))
    high = np.where(active, means + _REACH * sds, -np.inf).max(axis=(1, 2))
    share = np.linspace(0.0, 1.0, _BACKBONE)
    backbone = low[:, None] + (high - low)[:, None] * share
    return np.sort(np.concatenate([core, backbone], axis=1), axis=1)


def _largest(cdf: Floats) -> Floats:
    """Integrate P(best) from laws [.., K, X] on a grid; what is outside of it belongs to its ends."""
    whole = np.empty((*cdf.shape[:-1], cdf.shape[-1] + 1))
    whole[..., :-1] = cdf
    whole[..., -1] = 1.0
    mass = np.diff(whole, axis=-1, prepend=0.0)
    middle = whole - 0.5 * mass
    arms = cdf.shape[-2]
    chance = np.empty(cdf.shape[:-1])
    after = np.ones_like(middle)
    for arm in range(arms - 2, -1, -1):
        np.multiply(after[..., arm + 1, :], middle[..., arm + 1, :], out=after[..., arm, :])
    before = np.ones_like(middle[..., 0, :])
    for arm in range(arms):
        chance[..., arm] = (mass[..., arm, :] * before * after[..., arm, :]).sum(axis=-1)
        before *= middle[..., arm, :]
    return chance


def of_normals(means: Floats, sds: Floats) -> Floats:
    """Give P(best) [K] of independent normal laws."""
    laws = means[None, :, None], np.maximum(sds, 1e-12)[None, :, None]
    grid = _grid(*laws, np.ones((1, len(means), 1)))[0]
    below = special.normal_cdf((grid - laws[0][0]) / laws[1][0])
    chance = _largest(below)
    total: Floats = chance / chance.sum()
    return total
