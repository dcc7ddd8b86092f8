"""From shares to the integer weights of an experiment: vetoes, floor, largest step, rounding."""

import dataclasses
from collections.abc import Collection, Mapping

import numpy as np

from runtimes.bandit.policies.batch import Floats

TOTAL = 10_000
"""What all weights add up to: a weight is in hundredths of a per cent."""

_ROUNDS = 64


class AllocationError(ValueError):
    """Shares that cannot become weights."""


@dataclasses.dataclass(frozen=True, slots=True)
class Allocation:
    """An epoch's weights, and what the limits did.

    `limited` names the arms whose weight would have moved further without the largest step.
    """

    weights: dict[str, int]
    limited: tuple[str, ...]


def allocate(  # noqa: PLR0913  each is a limit of its own, named where it is given
    shares: Mapping[str, float],
    previous: Mapping[str, int] | None = None,
    *,
    floor: float = 0.0,
    max_step: float = 1.0,
    vetoed: Collection[str] = (),
    total: int = TOTAL,
) -> Allocation:
    """Turn shares (1 in all) into weights that add up to `total`.

    - A vetoed arm gets 0 at once, whatever the largest step; the others share what it had.
    - Every other arm keeps at least `floor`, and gets it at once when its veto ends.
    - Otherwise no arm's share moves by more than `max_step` from `previous`
      (weights of any sum), except to make room for vetoes and floors.
    - Largest remainder rounds; ties go to the arm that is named first.

    Raises:
        AllocationError: no arm, an unknown arm, all arms vetoed, shares that are no shares,
            or floors that add up to more than one.

    """
    arms = tuple(shares)
    _check(arms, previous, vetoed, floor)
    wanted = np.array([shares[arm] for arm in arms], dtype=np.float64)
    if not (np.isfinite(wanted).all() and (wanted >= 0).all() and wanted.sum() > 0):
        raise AllocationError(f"shares have to be finite and not negative: {dict(shares)}")
    free = np.array([arm not in vetoed for arm in arms])
    low = np.where(free, floor, 0.0)
    high = np.where(free, 1.0, 0.0)
    target = _within(np.where(free, wanted, 0.0), low, high)
    limited: tuple[str, ...] = ()
    if previous is not None and sum(previous.values()) > 0:
        before = np.array([previous.get(arm, 0) for arm in arms], dtype=np.float64)
        before = before / before.sum() if before.sum() > 0 else np.full(len(arms), 1 / len(arms))
        step_low = np.clip(before - max_step, low, high)
        step_high = np.clip(before + max_step, low, high)
        stepped = _within(target, step_low, step_high)
        limited = tuple(
            arm
            for arm, near, far in zip(arms, stepped, target, strict=True)
            if abs(near - far) > 1 / total
        )
        target = stepped
    least = np.ceil(low * total - 1e-9).astype(np.int64)
    rounded = _rounded(target * total, np.minimum(least, total // max(1, int(free.sum()))), total)
    return Allocation(dict(zip(arms, (int(w) for w in rounded), strict=True)), limited)


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
            "every arm is vetoed: there is none left to give traffic; weights stay as they are"
        )
    if not 0 <= floor * len(arms) <= 1 + 1e-9:
        raise AllocationError(
            f"a floor of {floor:g} under each of {len(arms)} arms adds up to {floor * len(arms):g}"
        )
    if previous is not None and any(weight < 0 for weight in previous.values()):
        raise AllocationError(f"weights are not negative: {dict(previous)}")


def _within(wanted: Floats, low: Floats, high: Floats) -> Floats:
    """Find the shares (1 in all) between bounds that keep the proportions of what is wanted.

    Bounds that cannot add up to 1 give way evenly: first the upper ones of arms that may have traffic.
    """
    if high.sum() < 1:
        room = np.where(high > 0, 1.0, 0.0)
        high = high + room * (1 - high.sum()) / room.sum()
    if low.sum() > 1:
        low = low / low.sum()
    # Scaling by a common factor and clipping is monotonous in the factor: bisection finds it.
    base = np.maximum(wanted, 1e-12) * (high > 0)
    small, large = 0.0, 1.0
    while np.clip(base * large, low, high).sum() < 1 - 1e-12 and large < 1e15:  # noqa: PLR2004
        large *= 2
    for _ in range(_ROUNDS):
        middle = (small + large) / 2
        if np.clip(base * middle, low, high).sum() < 1:
            small = middle
        else:
            large = middle
    found = np.clip(base * large, low, high)
    kept: Floats = found / found.sum()
    return kept


def _rounded(exact: Floats, least: np.ndarray, total: int) -> np.ndarray:
    whole = np.maximum(np.floor(exact + 1e-9).astype(np.int64), least)
    gap = total - int(whole.sum())
    order = np.argsort(-(exact - whole), kind="stable")
    while gap:
        for arm in order if gap > 0 else order[::-1]:
            if not gap:
                break
            if gap > 0 and exact[arm] > 0:
                whole[arm] += 1
                gap -= 1
            elif gap < 0 and whole[arm] > least[arm]:
                whole[arm] -= 1
                gap += 1
    return whole
