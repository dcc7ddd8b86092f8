"""What came out of a load test: throughput, percentiles, the split over the arms, verdicts."""

import collections
import dataclasses
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from loadtests import course, endpoints, itinerary, judging, mesh, plan, thresholds

WARM_UP_SECONDS = 2.0
"""Latency and throughput are taken after this; failures and the split over the whole run."""


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """One journey's numbers; latencies in milliseconds, None if nothing was answered."""

    journey: str
    users: int
    requests: int
    failed: int
    failures: dict[str, int]
    offered_per_second: float
    requests_per_second: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    peak_p99_ms: float | None
    """During a spike, which the other latencies leave out."""
    growth: float | None
    """A soak's last third's median over its first third's."""
    arms: dict[str, int]

    @property
    def error_rate(self) -> float:
        """Failed requests as a share."""
        return self.failed / self.requests if self.requests else 1.0


@dataclasses.dataclass(frozen=True, slots=True)
class Split:
    """How an experiment's answers fell on its arms, against the declared weights.

    `p_value` is that of Pearson's χ² test; None, with the reason in `note`, if it was not made.
    """

    arms: tuple[tuple[str, float, int], ...]
    """Name, declared share, answers."""
    chi_square: float | None
    p_value: float | None
    note: str


@dataclasses.dataclass(frozen=True, slots=True)
class Summary:
    """The whole of a load test."""

    journey: str
    shape: str
    protocol: str
    gateway: str
    users: int
    seconds: int
    rate: float
    warm_up_seconds: float
    parts: tuple[Part, ...]
    split: Split | None
    verdicts: tuple[thresholds.Verdict, ...]

    @property
    def holds(self) -> bool:
        """Whether every threshold that could be tested holds."""
        return all(verdict.holds is not False for verdict in self.verdicts)

    @property
    def broken(self) -> tuple[str, ...]:
        """The thresholds that do not hold, a sentence each."""
        return tuple(
            f"{verdict.journey}: {verdict.measure} is {verdict.measured}, "
            f"it has to be {verdict.limit}"
            for verdict in self.verdicts
            if verdict.holds is False
        )

    def document(self) -> dict[str, Any]:
        """Write the summary for programs."""
        return dataclasses.asdict(self) | {"holds": self.holds, "broken": self.broken}


def make(of: plan.Plan, limits: thresholds.Stack) -> Summary:
    """Sum up the samples of a plan."""
    samples, due = read_samples(of), read_due(of)
    parts = tuple(_part(of, part, samples, due) for part in of.journey.parts)
    split = None
    if itinerary.Journey.EXPERIMENT in of.journey.parts:
        answered = next(part for part in parts if part.journey == itinerary.Journey.EXPERIMENT)
        split = split_of(answered.arms, of.weights, _weights_now(of))
    verdicts = [
        verdict
        for part in parts
        for verdict in judging.verdicts(part, limits[itinerary.Journey(part.journey)], split)
    ]
    return Summary(
        journey=of.journey,
        shape=of.shape,
        protocol=of.protocol,
        gateway=of.gateway,
        users=of.users,
        seconds=of.seconds,
        rate=of.rate,
        warm_up_seconds=WARM_UP_SECONDS,
        parts=parts,
        split=split,
        verdicts=tuple(verdicts),
    )


def load(document: dict[str, Any]) -> Summary:
    """Read what `Summary.document` wrote."""
    known = {field.name for field in dataclasses.fields(Summary)}
    fields = {name: value for name, value in document.items() if name in known}
    split = fields["split"]
    return Summary(
        **fields
        | {
            "parts": tuple(Part(**part) for part in fields["parts"]),
            "split": split and Split(**split | {"arms": tuple(map(tuple, split["arms"]))}),
            "verdicts": tuple(thresholds.Verdict(**each) for each in fields["verdicts"]),
        }
    )


def read_samples(of: plan.Plan) -> pd.DataFrame:
    """Read every request of a load test, in the columns of `record.Sample`."""
    return pd.read_csv(of.samples, keep_default_na=False)


def read_due(of: plan.Plan) -> pd.DataFrame:
    """Read how many requests were due, in the columns second, journey, count."""
    return pd.read_csv(of.due)


def judged(of: plan.Plan, samples: pd.DataFrame) -> pd.DataFrame:
    """Leave the warm-up, the end and a spike out: latencies are taken of what remains."""
    began, ended = of.shape.peak(of.seconds)
    at = samples["at"]
    return samples[(at >= WARM_UP_SECONDS) & (at < of.seconds) & ~((at >= began) & (at < ended))]


def split_of(
    answered: dict[str, int], before: dict[str, int] | None, after: dict[str, int] | None
) -> Split:
    """Test the answers of each arm against the declared weights, if they stood still."""
    if before is None:
        counted = tuple((arm, 0.0, count) for arm, count in sorted(answered.items()))
        return Split(counted, None, None, "not tested: the declared weights are not known")
    total = sum(before.values())
    arms = tuple((arm, weight / total, answered.get(arm, 0)) for arm, weight in before.items())
    if before != after:
        note = f"not tested: the weights changed during the run, from {before} to {after}"
        return Split(arms, None, None, note)
    weighted = [(share, count) for _, share, count in arms if share > 0]
    answers = sum(count for _, count in weighted)
    if sum(answered.values()) != answers:
        return Split(arms, None, 0.0, "an arm of weight 0 answered")
    if len(weighted) == 1 or answers == 0:
        note = "not tested: " + ("nothing was answered" if answers == 0 else "one arm has it all")
        return Split(arms, None, None, note)
    result = stats.chisquare(
        [count for _, count in weighted], [share * answers for share, _ in weighted]
    )
    return Split(arms, float(result.statistic), float(result.pvalue), "")


def _part(of: plan.Plan, part: itinerary.Journey, samples: pd.DataFrame, due: pd.DataFrame) -> Part:
    mine = samples[samples["journey"] == part.value]
    failed, good = mine[mine["failure"] != ""], mine[mine["failure"] == ""]
    judged_ms = judged(of, good)["milliseconds"].to_numpy(dtype=float)
    p50, p95, p99, most = (
        np.percentile(judged_ms, [50, 95, 99, 100]).tolist() if len(judged_ms) else [None] * 4
    )
    steady = _within(good["at"], WARM_UP_SECONDS, of.seconds)
    wanted = due[
        (due["journey"] == part.value) & _within(due["second"], WARM_UP_SECONDS, of.seconds)
    ]
    seconds = of.seconds - WARM_UP_SECONDS
    return Part(
        journey=part.value,
        users=round(of.users * itinerary.share(of.journey, part)),
        requests=len(mine),
        failed=len(failed),
        failures=dict(collections.Counter(failed["failure"]).most_common(10)),
        offered_per_second=float(wanted["count"].sum()) / seconds,
        requests_per_second=int(steady.sum()) / seconds,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        max_ms=most,
        peak_p99_ms=_peak(of, good),
        growth=_growth(of, good),
        arms=dict(sorted(collections.Counter(good["arm"]).items())),
    )


def _within(values: "pd.Series[Any]", start: float, end: float) -> "pd.Series[bool]":
    return (values >= start) & (values < end)


def _peak(of: plan.Plan, good: pd.DataFrame) -> float | None:
    found = good[_within(good["at"], *of.shape.peak(of.seconds))]["milliseconds"]
    return float(found.quantile(0.99)) if len(found) else None


def _growth(of: plan.Plan, good: pd.DataFrame) -> float | None:
    if of.shape is not course.Shape.SOAK:
        return None
    third = (of.seconds - WARM_UP_SECONDS) / 3
    first, last = (
        good[_within(good["at"], start, start + third)]["milliseconds"]
        for start in (WARM_UP_SECONDS, of.seconds - third)
    )
    return float(last.median() / first.median()) if len(first) and len(last) else None


def _weights_now(of: plan.Plan) -> dict[str, int] | None:
    if of.mesh is None:
        return None
    where = endpoints.Endpoints(of.gateway, of.mesh, "", of.namespace)
    return dict(mesh.experiment(where, of.experiment).weights)
