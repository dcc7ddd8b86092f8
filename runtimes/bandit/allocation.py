"""From shares to the integer weights of an experiment: vetoes, floor, largest step, rounding."""

import dataclasses
from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from runtimes.bandit.policies.batch import Floats

TOTAL = 10_000
"""What all weights add up to: a weight is in hundredths of a per cent."""

_BISECTIONS = 60
_LARGEST_FACTOR = 1e15


class AllocationError(ValueError):
    """Shares that cannot become weights."""


@dataclasses.dataclass(frozen=True, slots=True)
class Allocation:
    """An epoch's weights; `limited` names the arms that the largest step held back."""

    weights: dict[str, int]
    limited: tuple[str, ...]


def allocate(
    shares: Mapping[str, float],
    previous: Mapping[str, int] | None = None,
    *,
    floor: float = 0.0,
    max_step: float = 1.0,
    vetoed: Collection[str] = (),
) -> Allocation:
    """Turn shares (1 in all) into weights that add up to `TOTAL`.

    - A vetoed arm has 0 at once, whatever the largest step; the others share what it had.
    - Every other arm has at least `floor` (up to rounding), at once when its veto ends.
    - No share moves by more than `max_step` from `previous` (weights of any sum),
      except to make room for vetoes and floors.

    Raises:
        AllocationError: no arm, an unknown arm, all arms vetoed, shares that are no shares,
            negative weights, or floors that add up to more than one.

    """
    arms = tuple(shares)
    _check(arms, previous, vetoed, floor)
    wanted = np.array([[shares[arm] for arm in arms]], dtype=np.float64)
    if not (np.isfinite(wanted).all() and (wanted >= 0).all() and wanted.sum() > 0):
        raise AllocationError(f"shares have to be finite and not negative: {dict(shares)}")
    free = np.array([arm not in vetoed for arm in arms])
    before = None
    if previous is not None:
        before = np.array([[previous.get(arm, 0) for arm in arms]], dtype=np.float64)
        before = before / before.sum() if before.any() else None
    target, stepped = limit(wanted, before, floor=floor, max_step=max_step, free=free)
    weights = rounded(stepped)[0]
    held = np.abs(stepped - target)[0] > 1 / TOTAL
    return Allocation(
        {arm: int(weight) for arm, weight in zip(arms, weights, strict=True)},
        tuple(arm for arm, is_held in zip(arms, held, strict=True) if is_held),
    )


def limit(
    wanted: Floats,
    before: Floats | None,
    *,
    floor: float,
    max_step: float,
    free: NDArray[np.bool_],
) -> tuple[Floats, Floats]:
    """Give shares [L, K] within vetoes and floor, and those that the largest step allows of them.

    `before` [L, K] are the shares of the epoch before, `free` [K] says which arms have no veto.
    """
    low = np.broadcast_to(np.where(free, floor, 0.0), wanted.shape)
    high = np.broadcast_to(np.where(free, 1.0, 0.0), wanted.shape)
    target = _within(wanted, low, high, low)
    if before is None or max_step >= 1:
        return target, target
    least, most = np.clip(before - max_step, low, high), np.clip(before + max_step, low, high)
    return target, _within(target, least, most, low)


def rounded(shares: Floats) -> NDArray[np.int64]:
    """Round shares [L, K] to weights by largest remainder; of equal ones the first is served."""
    exact = shares * TOTAL
    whole = np.floor(exact + 1e-9).astype(np.int64)
    order = np.argsort(whole - exact, axis=1, kind="stable")
    rank = np.argsort(order, axis=1, kind="stable")
    weights: NDArray[np.int64] = whole + (rank < TOTAL - whole.sum(axis=1, keepdims=True))
    return weights


def _check(
    arms: tuple[str, ...],
    previous: Mapping[str, int] | None,
    vetoed: Collection[str],
    floor: float,
) -> None:
    if not arms:
        raise AllocationError("there is no arm to give traffic: the experiment has no candidates")
    if unknown := sorted(set(vetoed) - set(arms)):
        raise AllocationError(f"no arm is called {', '.join(unknown)}; there are {', '.join(arms)}")
    if len(set(vetoed)) == len(arms):
        raise AllocationError(
            "every arm is vetoed: none is left to give traffic, and weights stay as they are"
        )
    if not 0 <= floor * len(arms) <= 1 + 1e-9:
        raise AllocationError(
            f"a floor of {floor:g} under each of {len(arms)} arms adds up to {floor * len(arms):g}"
        )
    if previous is not None and any(weight < 0 for weight in previous.values()):
        raise AllocationError(f"a weight is never negative: {dict(previous)}")


def _within(wanted: Floats, low: Floats, high: Floats, floor: Floats) -> Floats:
    """Find the shares (1 in all) between bounds that keep the proportions of what is wanted.

    Where bounds cannot add up to 1, upper ones of arms that may have traffic give way evenly,
    and lower ones in proportion to what they are above the floor.
    """
    room = (high > 0).astype(np.float64)
    missing = np.maximum(1 - high.sum(axis=1, keepdims=True), 0)
    high = high + room * missing / room.sum(axis=1, keepdims=True)
    above = low - floor
    left = np.maximum(1 - floor.sum(axis=1, keepdims=True), 0)
    low = floor + above * np.minimum(1, left / np.maximum(above.sum(axis=1, keepdims=True), 1e-12))
    base = np.maximum(wanted, 1e-12) * room
    # Scaled by a common factor and clipped, the sum grows with the factor: bisection finds 1.
    small = np.zeros((len(wanted), 1))
    large = np.full((len(wanted), 1), _LARGEST_FACTOR)
    fits = np.clip(base, low, high).sum(axis=1, keepdims=True)
    small, large = np.where(fits < 1, 1.0, small), np.where(fits < 1, large, 1.0)
    for _ in range(_BISECTIONS):
        middle = np.where(
            large > 2 * small + 1, np.sqrt((small + 1e-15) * large), (small + large) / 2
        )
        enough = np.clip(base * middle, low, high).sum(axis=1, keepdims=True) >= 1
        small, large = np.where(enough, small, middle), np.where(enough, middle, large)
    found = np.clip(base * large, low, high)
    kept: Floats = found / found.sum(axis=1, keepdims=True)
    return kept
