"""What the off-policy estimators are off by, on Open Bandit Pipeline's digits protocol.

Beside the published errors; see `loadtests.ope_digits` for the protocol. Needs no environment
that runs.
"""

import collections.abc
import math
import statistics
from typing import Any

from loadtests.benchmarks import benchmark, child

NAME = "ope"
ABOUT = "errors of the off-policy estimators on the digits set, beside the published ones"

RUNS = 30
PUBLISHED = {"dm": 0.436541, "ips": 0.030288, "snips": 0.022764, "dr": 0.016156, "sndr": 0.022082}
"""Mean relative errors of 30 runs: st-tech/zr-obp, examples/multiclass/README.md."""

_TITLES = {
    "dm": "direct method",
    "ips": "IPS",
    "snips": "SNIPS",
    "dr": "doubly robust",
    "sndr": "self-normalised doubly robust",
}


def run(context: benchmark.Context) -> benchmark.Result:
    """Do the protocol's runs."""
    with child.started(context, "loadtests.ope_digits") as measure:
        runs = []
        for number in range(RUNS):
            context.progress(number / RUNS, f"run {number + 1} of {RUNS}")
            runs.append(measure({"run": number}))
    return result(runs)


def result(runs: collections.abc.Sequence[dict[str, Any]]) -> benchmark.Result:
    """Sum up the runs."""
    found = {name: _summary(name, runs) for name in PUBLISHED}
    return benchmark.Result(
        tables=(
            benchmark.Table(
                f"relative error of the estimated value, mean of {len(runs)} runs (standard error)",
                ("estimator", "error", "published", "with the example's model", "interval held"),
                tuple(
                    (
                        _TITLES[name],
                        f"{each['error']:.4f} (±{each['standard_error']:.4f})",
                        f"{each['published']:.4f}",
                        f"{each['error_with_example_model']:.4f}",
                        f"{each['interval_held']:.0%}",
                    )
                    for name, each in found.items()
                ),
                note="published: st-tech/zr-obp, examples/multiclass, an older scikit-learn; "
                "95 % intervals; IPS and SNIPS use no reward model, so their columns are the same",
            ),
        ),
        document={
            "runs": len(runs),
            "rows": runs[0]["rows"],
            "effective_sample_size": statistics.mean(
                each["effective_sample_size"] for each in runs
            ),
            "estimators": found,
        },
    )


def _summary(name: str, runs: collections.abc.Sequence[dict[str, Any]]) -> dict[str, Any]:
    errors = [each["own"][name] for each in runs]
    error = statistics.mean(errors)
    spread = statistics.stdev(errors) / math.sqrt(len(errors)) if len(errors) > 1 else math.nan
    return {
        "error": error,
        "standard_error": spread,
        "published": PUBLISHED[name],
        "at_most_published": error <= PUBLISHED[name],
        "error_with_example_model": statistics.mean(each["example"][name] for each in runs),
        "interval_held": statistics.mean(float(each["held"][name]) for each in runs),
    }
