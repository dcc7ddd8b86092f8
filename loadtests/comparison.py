"""A run beside its baseline: by how much it is slower, and whether that is more than noise.

Requests of a run hang together (a pause hits all that are under way), so the error of a
percentile is taken from a bootstrap over blocks of time (Künsch 1989), in logarithms.
Runs differ by more than that: the variance between them is moderated, `PRIOR_RUNS` runs' worth of
what is assumed and the rest from the baseline's own runs (Smyth 2004), and an interval is
of Student's t with their degrees of freedom.
All comparisons of a report share one level (Bonferroni): 5 % of reports about two equal runs may
call something slower.
"""

import dataclasses
import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from loadtests import baseline, itinerary, plan, summary

Array = NDArray[np.float64]
Verdict = Literal["slower", "faster", "same", "unknown"]

MEASURES = {"p50": 0.5, "p95": 0.95}
"""What is judged; the 99th percentile of a short run is a handful of requests."""

RUN_TO_RUN = {"p50": 0.10, "p95": 0.20}
"""Standard deviation of a percentile's logarithm between equal runs: what is assumed of a machine
that others use as well, and corrected by the baseline's own runs."""

PRIOR_RUNS = 10
SMALLEST = 1.10
"""Less than a tenth is not called slower or faster, however sure it is."""

FEWER_ANSWERS = 0.02
"""A drop of the answered share of what was due that is called slower, if it is beyond chance."""

LEVEL = 0.05
RESAMPLES = 400
_BLOCKS = 60


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One measure of one journey; `ratio` is this run's over the baseline's, with its interval."""

    journey: str
    measure: str
    before: float | None
    now: float | None
    ratio: float | None
    low: float | None
    high: float | None
    verdict: Verdict


@dataclasses.dataclass(frozen=True, slots=True)
class Comparison:
    """All measures; the slower ones first."""

    baseline: str
    runs: int
    rows: tuple[Row, ...]

    @property
    def slower(self) -> tuple[Row, ...]:
        """What is slower than noise explains."""
        return tuple(row for row in self.rows if row.verdict == "slower")

    @property
    def regressions(self) -> tuple[str, ...]:
        """What is slower, a sentence each."""
        return tuple(sentence(row) for row in self.slower)

    def document(self) -> dict[str, Any]:
        """Write it for programs."""
        return dataclasses.asdict(self) | {"regressions": self.regressions}


def sentence(row: Row) -> str:
    """Say what a row says."""
    unit = "" if row.measure in _SHARES else " ms"
    before, now = (
        "-" if value is None else f"{value:.3g}{unit}" for value in (row.before, row.now)
    )
    times = "" if row.ratio is None else f" (×{row.ratio:.2f}"
    if row.ratio is not None:
        times += f" [{row.low:.2f}, {row.high:.2f}])" if row.low is not None else ")"
    return f"{row.journey}: {row.measure} {before} → {now}{times}"


_SHARES = ("error rate", "answered share")
_ORDER = {"slower": 0, "unknown": 1, "faster": 2, "same": 3}


def compare(of: plan.Plan, kept: baseline.Baseline) -> Comparison:
    """Compare a run with a baseline's."""
    now = _Run(of)
    before = [_Run(each) for each in kept.runs]
    parts = of.journey.parts
    level = LEVEL / (len(parts) * (len(MEASURES) + len(_SHARES)))
    rows = [
        row
        for part in parts
        for row in (
            *(_latency(part, measure, now, before, level) for measure in MEASURES),
            _errors(part, now, before, level),
            _answered(part, now, before, level),
        )
    ]
    rows.sort(key=lambda row: (_ORDER[row.verdict], -(row.ratio or 0.0)))
    return Comparison(kept.name, len(kept.runs), tuple(rows))


class _Run:
    """A run's samples."""

    def __init__(self, of: plan.Plan) -> None:
        self.plan = of
        self.samples = summary.read_samples(of)
        self.due = summary.read_due(of)

    def latencies(self, part: itinerary.Journey) -> tuple[Array, NDArray[np.int64]]:
        """Give the milliseconds of a journey's good answers, and the block of time of each."""
        mine = self.samples[
            (self.samples["journey"] == part.value) & (self.samples["failure"] == "")
        ]
        judged = summary.judged(self.plan, mine)
        width = max(1.0, self.plan.seconds / _BLOCKS)
        blocks = (judged["at"].to_numpy(dtype=float) // width).astype(np.int64)
        return judged["milliseconds"].to_numpy(dtype=float), blocks

    def counts(self, part: itinerary.Journey) -> tuple[int, int, int]:
        """Give how many requests of a journey were sent, failed, and due."""
        mine = self.samples[self.samples["journey"] == part.value]
        wanted = self.due[
            (self.due["journey"] == part.value) & (self.due["second"] < self.plan.seconds)
        ]
        return len(mine), int((mine["failure"] != "").sum()), int(wanted["count"].sum())


def percentile(
    milliseconds: Array, blocks: NDArray[np.int64], quantile: float
) -> tuple[float, float]:
    """Give the logarithm of a percentile, and its standard error by a bootstrap over blocks."""
    order = np.argsort(milliseconds, kind="stable")
    values = np.log(milliseconds[order])
    found, places = np.unique(blocks[order], return_inverse=True)
    draw = np.random.default_rng(0)
    again = draw.multinomial(len(found), np.full(len(found), 1 / len(found)), size=RESAMPLES)
    resampled = np.empty(RESAMPLES)
    for number, counts in enumerate(again):
        weights = np.cumsum(counts[places])
        resampled[number] = values[np.searchsorted(weights, quantile * weights[-1])]
    estimate = float(np.quantile(values, quantile))
    return estimate, float(resampled.std(ddof=1))


def _latency(
    part: itinerary.Journey, measure: str, now: _Run, before: list[_Run], level: float
) -> Row:
    quantile = MEASURES[measure]
    given = [run.latencies(part) for run in (now, *before)]
    if any(len(milliseconds) == 0 for milliseconds, _ in given):
        return Row(part.value, measure, None, None, None, None, None, "unknown")
    (mine, error), *kept = [percentile(*each, quantile) for each in given]
    logs = np.array([value for value, _ in kept])
    # What one run's value varies by: never less than what its own bootstrap says.
    prior = RUN_TO_RUN[measure] ** 2 + float(np.mean([each**2 for _, each in kept]))
    spread = float(((logs - logs.mean()) ** 2).sum())
    freedom = PRIOR_RUNS - 1 + len(kept) - 1
    variance = ((PRIOR_RUNS - 1) * prior + spread) / freedom
    total = max(variance, error**2) + variance / len(kept)
    half = float(stats.t.ppf(1 - level / 2, freedom)) * math.sqrt(total)
    difference = mine - float(logs.mean())
    ratio, low, high = (math.exp(difference + each) for each in (0.0, -half, half))
    return Row(
        part.value,
        measure,
        math.exp(float(logs.mean())),
        math.exp(mine),
        ratio,
        low,
        high,
        _judged(ratio, low, high),
    )


def _judged(ratio: float, low: float, high: float) -> Verdict:
    if low > 1 and ratio >= SMALLEST:
        return "slower"
    if high < 1 and ratio <= 1 / SMALLEST:
        return "faster"
    return "same"


def _errors(part: itinerary.Journey, now: _Run, before: list[_Run], level: float) -> Row:
    """More failures than before: Fisher's exact test over all requests."""
    sent, failed, _ = now.counts(part)
    kept = [run.counts(part) for run in before]
    sent_before, failed_before = (sum(each[place] for each in kept) for place in (0, 1))
    if not sent or not sent_before:
        return Row(part.value, "error rate", None, None, None, None, None, "unknown")
    table = [[failed, sent - failed], [failed_before, sent_before - failed_before]]
    worse = float(stats.fisher_exact(table, alternative="greater").pvalue) < level
    return Row(
        part.value,
        "error rate",
        failed_before / sent_before,
        failed / sent,
        None,
        None,
        None,
        "slower" if worse else "same",
    )


def _answered(part: itinerary.Journey, now: _Run, before: list[_Run], level: float) -> Row:
    """Less of what was due was answered: the same test, and a drop that matters."""
    sent, failed, due = now.counts(part)
    kept = [run.counts(part) for run in before]
    due_before = sum(each[2] for each in kept)
    good_before = sum(each[0] - each[1] for each in kept)
    if not due or not due_before:
        return Row(part.value, "answered share", None, None, None, None, None, "unknown")
    good = min(sent - failed, due)
    good_before = min(good_before, due_before)
    table = [[due - good, good], [due_before - good_before, good_before]]
    chance = float(stats.fisher_exact(table, alternative="greater").pvalue)
    dropped = good_before / due_before - good / due >= FEWER_ANSWERS
    return Row(
        part.value,
        "answered share",
        good_before / due_before,
        good / due,
        None,
        None,
        None,
        "slower" if dropped and chance < level else "same",
    )
