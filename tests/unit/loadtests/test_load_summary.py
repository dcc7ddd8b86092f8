import dataclasses
import json
import pathlib

import numpy as np
import pytest
from scipy import stats

from loadtests import endpoints, plan, record, report, summary, thresholds

LIMITS = {
    thresholds.Journey.MODELS: thresholds.Limits(
        error_rate=0.1, p50_ms=60, p95_ms=100, p99_ms=100, offered_share=0.5
    ),
    thresholds.Journey.EXPERIMENT: thresholds.Limits(
        error_rate=0.0, p50_ms=1, p95_ms=2, p99_ms=3, offered_share=0.5, split_p=0.001
    ),
}


def plan_in(folder: pathlib.Path, journey: str = "models", **change: object) -> plan.Plan:
    made = plan.Plan(
        journey=thresholds.Journey(journey),
        users=4,
        seconds=12,
        rate=5.0,
        stack="local",
        gateway="http://127.0.0.1:1",
        mesh=None,
        namespace="test",
        models=("one-predictor",),
        experiment="e",
        weights=None,
        folder=folder,
    )
    return dataclasses.replace(made, **change)  # type: ignore[arg-type]  # fields by name


def write(of: plan.Plan, *samples: record.Sample) -> None:
    of.samples.write_text(record.HEADER + "".join(sample.line() for sample in samples))


def sample(
    at: float,
    milliseconds: float,
    failure: str = "",
    journey: str = "models",
    arm: str = "one-predictor",
) -> record.Sample:
    return record.Sample(at, journey, "" if failure else arm, milliseconds, failure)


def test_latency_and_throughput_leave_the_warm_up_out_and_failures_do_not(
    tmp_path: pathlib.Path,
) -> None:
    of = plan_in(tmp_path)
    steady = [sample(2 + at / 10, 1 + at) for at in range(100)]
    early = [sample(at / 10, 1e6) for at in range(20)]
    broken = [sample(0.5, 1, "WrongAnswer: status 503"), sample(5.5, 1, 'one\nof, "two" lines')]
    write(of, *early, *steady, *broken)
    (part,) = summary.make(of, LIMITS).parts
    assert (part.requests, part.failed) == (122, 2)
    assert part.failures == {"WrongAnswer: status 503": 1, 'one of, "two" lines': 1}
    assert part.requests_per_second == 100 / (12 - 2)
    assert part.p50_ms == np.percentile(range(1, 101), 50)
    assert part.p99_ms == pytest.approx(np.percentile(range(1, 101), 99))
    assert part.max_ms == 100
    assert part.offered_per_second == 20
    assert part.arms == {"one-predictor": 120}


def test_each_broken_threshold_is_named_with_its_value_and_limit(tmp_path: pathlib.Path) -> None:
    of = plan_in(tmp_path)
    good = [sample(2 + at / 10, 70) for at in range(45)]
    bad = [sample(3, 1, "WrongAnswer: status 503") for _ in range(15)]
    write(of, *good, *bad)
    came_out = summary.make(of, LIMITS)
    assert not came_out.holds
    assert came_out.broken == (
        "models: error rate is 0.2500, it has to be at most 0.1000",
        "models: p50, ms is 70.0, it has to be at most 60.0",
        "models: requests/s is 4.5, it has to be at least 10.0",
    )
    page = report.page(of, came_out, "load.png")
    for sentence in (*came_out.broken, "Thresholds do not hold", "WrongAnswer: status 503 | 15"):
        assert sentence in page


def test_a_test_that_got_no_answer_fails_every_latency(tmp_path: pathlib.Path) -> None:
    of = plan_in(tmp_path)
    write(of)
    came_out = summary.make(of, LIMITS)
    assert [verdict.holds for verdict in came_out.verdicts] == [False] * 5
    assert (
        json.loads(json.dumps(came_out.document(), allow_nan=False))["parts"][0]["p50_ms"] is None
    )


def test_a_summary_survives_its_file(tmp_path: pathlib.Path) -> None:
    of = plan_in(tmp_path, "experiment", weights=None)
    write(of, *(sample(2 + at / 10, 0.5, journey="experiment") for at in range(100)))
    came_out = summary.make(of, LIMITS)
    assert came_out.holds
    assert summary.load(json.loads(json.dumps(came_out.document()))) == came_out


def test_a_plan_survives_its_file(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of = plan_in(tmp_path, "mixed", weights={"one-predictor": 3})
    monkeypatch.setenv(plan.VARIABLE, str(of.write()))
    assert plan.read() == of


def test_a_mixed_journey_has_half_of_its_users_on_each(tmp_path: pathlib.Path) -> None:
    of = plan_in(tmp_path, "mixed", users=5)
    assert of.users_of(thresholds.Journey.MODELS) == 3
    assert of.users_of(thresholds.Journey.EXPERIMENT) == 2


WEIGHTS = {"one": 40, "two": 30, "three": 20, "four": 10}


def test_the_split_is_tested_against_the_declared_weights() -> None:
    answered = {"one": 420, "two": 290, "three": 195, "four": 95}
    split = summary.split_of(answered, WEIGHTS, WEIGHTS)
    # Pearson: sum of (observed - expected)² / expected, three degrees of freedom
    chi_square = 20**2 / 400 + 10**2 / 300 + 5**2 / 200 + 5**2 / 100
    assert split.chi_square == pytest.approx(chi_square)
    assert split.p_value == pytest.approx(stats.chi2.sf(chi_square, 3))
    assert split.arms[0] == ("one", 0.4, 420)


def test_a_split_that_is_off_has_a_small_p_value() -> None:
    split = summary.split_of({"one": 250, "two": 250, "three": 250, "four": 250}, WEIGHTS, WEIGHTS)
    assert split.p_value is not None
    assert split.p_value < 1e-6


def test_an_arm_of_weight_zero_that_answers_fails_the_split() -> None:
    weights = {"one": 100, "two": 0}
    assert summary.split_of({"one": 99, "two": 1}, weights, weights).p_value == 0
    assert summary.split_of({"one": 99}, weights, weights).p_value is None


def test_weights_that_changed_meanwhile_are_not_tested_and_said() -> None:
    split = summary.split_of({"one": 10}, WEIGHTS, WEIGHTS | {"one": 41})
    assert split.p_value is None
    assert "changed during the run" in split.note


def test_a_split_without_declared_weights_is_counted_only(tmp_path: pathlib.Path) -> None:
    of = plan_in(tmp_path, "experiment")
    write(of, *(sample(2 + at / 10, 0.5, journey="experiment") for at in range(100)))
    came_out = summary.make(of, LIMITS)
    assert came_out.split
    assert came_out.split.arms == (("one-predictor", 0.0, 100),)
    assert came_out.verdicts[-1].holds is None
    assert came_out.holds


def test_a_mesh_that_went_away_during_the_test_is_said(tmp_path: pathlib.Path) -> None:
    of = plan_in(tmp_path, "experiment", weights=WEIGHTS, mesh="http://127.0.0.1:1")
    write(of)
    with pytest.raises(endpoints.LoadTestError, match="mesh does not answer"):
        summary.make(of, LIMITS)
