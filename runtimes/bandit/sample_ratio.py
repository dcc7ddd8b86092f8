"""Does traffic split as the weights say? A sample-ratio check of one weight epoch.

Pearson's chi-squared test of the decisions by arm against the weights (Fabijan et al. 2019,
"Diagnosing sample ratio mismatch in online controlled experiments"). A mismatch says that
propensities are not what was logged: an arm that fails, decisions that are lost, callers who
choose their arm, weights that somebody else has changed.

Epochs are many: at 288 a day, one in 35 days is a false alert at the usual level of 1e-4.
"""

import dataclasses
import math
from collections.abc import Mapping

SIGNIFICANCE = 1e-4
FEWEST_EXPECTED = 5.0
"""Arms of fewer expected decisions are counted together: the test's approximation needs them."""

STRAY_SHARE = 0.01
"""Decisions of arms without weight that requests on their way at the change explain."""

_STEPS = 20
"""In which a share that is carried over is looked for."""


@dataclasses.dataclass(frozen=True, slots=True)
class SampleRatio:
    """What one epoch's check found."""

    decisions: int
    expected: dict[str, float]
    observed: dict[str, int]
    statistic: float
    degrees: int
    """Of freedom; 0 where too few decisions were made to judge."""
    p_value: float
    stray: dict[str, int]
    """Decisions of arms that had no weight."""
    alert: bool
    reason: str
    """In words and numbers, for a person; what an alert says."""


def check(
    observed: Mapping[str, int],
    weights: Mapping[str, float],
    *,
    before: Mapping[str, float] | None = None,
    carried: float = 0.0,
    significance: float = SIGNIFICANCE,
) -> SampleRatio:
    """Check the decisions by arm of an epoch against its weights, relative to their sum.

    Up to a share `carried` of them may still have been made by the weights `before`: requests that
    were on their way when the weights changed. The share that fits best is taken.

    Raises ValueError for counts or weights that are negative, and for weights that are all 0.
    """
    if any(count < 0 for count in observed.values()):
        raise ValueError(f"observed: expected counts, got {dict(observed)}")
    shares = _shares("weights", weights)
    found = _checked(observed, shares, significance)
    if before is None or carried <= 0 or not found.alert:
        return found
    old = _shares("before", before)
    arms = dict.fromkeys((*shares, *old))
    for step in range(1, _STEPS + 1):
        part = min(carried, 1.0) * step / _STEPS
        mixed = {arm: (1 - part) * shares.get(arm, 0.0) + part * old.get(arm, 0.0) for arm in arms}
        other = _checked(observed, mixed, significance)
        if (other.alert, -other.p_value) < (found.alert, -found.p_value):
            found = other
    return found


def _shares(name: str, weights: Mapping[str, float]) -> dict[str, float]:
    total = sum(weights.values())
    if any(value < 0 or not math.isfinite(value) for value in weights.values()) or not total > 0:
        raise ValueError(f"{name}: expected numbers from 0, not all of them 0, got {dict(weights)}")
    return {arm: weight / total for arm, weight in weights.items()}


def _checked(
    observed: Mapping[str, int], shares: Mapping[str, float], significance: float
) -> SampleRatio:
    stray = {arm: count for arm, count in observed.items() if count and not shares.get(arm)}
    counted = {arm: observed.get(arm, 0) for arm, share in shares.items() if share}
    decisions = sum(counted.values())
    expected = {arm: decisions * shares[arm] for arm in counted}
    statistic, degrees = _statistic(counted, expected)
    p_value = survival(statistic, degrees)
    strays = sum(stray.values())
    too_many = strays > STRAY_SHARE * (decisions + strays)
    return SampleRatio(
        decisions=decisions + strays,
        expected=expected,
        observed=counted,
        statistic=statistic,
        degrees=degrees,
        p_value=p_value,
        stray=stray,
        alert=p_value < significance or too_many,
        reason=_reason(counted, expected, p_value, stray),
    )


def survival(statistic: float, degrees: int) -> float:
    """Give the probability that chi-squared of `degrees` of freedom exceeds `statistic`.

    Abramowitz and Stegun 1964, 26.4.4 and 26.4.5: finite sums. 1 for 0 degrees.
    """
    if degrees <= 0 or statistic <= 0:
        return 1.0
    half = statistic / 2
    if degrees % 2:
        term, total = math.sqrt(half) / math.gamma(1.5), 0.0
        for step in range(1, (degrees + 1) // 2):
            total += term
            term *= half / (step + 0.5)
        return min(1.0, math.erfc(math.sqrt(half)) + math.exp(-half) * total)
    term, total = 1.0, 0.0
    for step in range(1, degrees // 2 + 1):
        total += term
        term *= half / step
    return min(1.0, math.exp(-half) * total)


def _statistic(observed: Mapping[str, int], expected: Mapping[str, float]) -> tuple[float, int]:
    """Give Pearson's statistic and its degrees of freedom, with small arms counted together."""
    cells = [(observed[arm], each) for arm, each in expected.items() if each >= FEWEST_EXPECTED]
    few = [(observed[arm], each) for arm, each in expected.items() if each < FEWEST_EXPECTED]
    if few:
        together = (sum(count for count, _ in few), sum(each for _, each in few))
        if together[1] < FEWEST_EXPECTED and cells:
            # Too few still: with the smallest of the others.
            smallest = min(range(len(cells)), key=lambda at: cells[at][1])
            count, each = cells.pop(smallest)
            together = (together[0] + count, together[1] + each)
        if together[1] >= FEWEST_EXPECTED:
            cells.append(together)
    if len(cells) < 2:  # noqa: PLR2004  one cell has nothing to be compared with
        return 0.0, 0
    return sum((count - each) ** 2 / each for count, each in cells), len(cells) - 1


def _reason(
    observed: Mapping[str, int],
    expected: Mapping[str, float],
    p_value: float,
    stray: Mapping[str, int],
) -> str:
    arms = ", ".join(f"{arm} {observed[arm]} for {expected[arm]:.1f}" for arm in expected)
    also = "".join(f"; {arm} has no weight and decided {count}" for arm, count in stray.items())
    return f"decisions by arm, for expected: {arms} (p = {p_value:.2g}){also}"
