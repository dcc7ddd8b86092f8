"""Whether what was measured of a journey keeps its limits."""

import typing

from loadtests import itinerary, thresholds

if typing.TYPE_CHECKING:
    from loadtests import summary


def verdicts(
    part: "summary.Part", limits: thresholds.Limits, split: "summary.Split | None"
) -> list[thresholds.Verdict]:
    """Compare each measure of a journey with its limit."""
    least = limits.offered_share * part.offered_per_second

    def at_most(
        measure: str, limit: float, measured: float | None, form: str
    ) -> thresholds.Verdict:
        return thresholds.Verdict(
            part.journey,
            measure,
            f"at most {limit:{form}}",
            "nothing was answered" if measured is None else f"{measured:{form}}",
            measured is not None and measured <= limit,
        )

    found = [
        at_most("error rate", limits.error_rate, part.error_rate, ".4f"),
        at_most("p50, ms", limits.p50_ms, part.p50_ms, ".1f"),
        at_most("p95, ms", limits.p95_ms, part.p95_ms, ".1f"),
        at_most("p99, ms", limits.p99_ms, part.p99_ms, ".1f"),
        thresholds.Verdict(
            part.journey,
            "requests/s",
            f"at least {least:.1f}",
            f"{part.requests_per_second:.1f}",
            part.requests_per_second >= least and part.requests > 0,
        ),
    ]
    if part.peak_p99_ms is not None and limits.peak_p99_ms is not None:
        found.append(at_most("p99 in the spike, ms", limits.peak_p99_ms, part.peak_p99_ms, ".1f"))
    if part.growth is not None and limits.growth is not None:
        found.append(at_most("last third's median / first's", limits.growth, part.growth, ".2f"))
    if split and part.journey == itinerary.Journey.EXPERIMENT and limits.split_p is not None:
        tested = split.p_value is not None
        found.append(
            thresholds.Verdict(
                part.journey,
                "split, p-value",
                f"at least {limits.split_p:g}",
                f"{split.p_value:.4f}" if split.p_value is not None else split.note,
                (split.p_value or 0.0) >= limits.split_p if tested else None,
            )
        )
    return found
