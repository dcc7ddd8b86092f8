import dataclasses
import json
import pathlib

import numpy as np
import pytest
from scipy import stats

from loadtests import course, endpoints, itinerary, plan, record, report, summary, thresholds

LIMITS = {
    itinerary.Journey.MODEL: thresholds.Limits(
        error_rate=0.1, p50_ms=60, p95_ms=100, p99_ms=100, offered_share=0.5
    ),
    itinerary.Journey.EXPERIMENT: thresholds.Limits(
        error_rate=0.0, p50_ms=1, p95_ms=2, p99_ms=3, offered_share=0.5, split_p=0.001
    ),
}


def plan_in(folder: pathlib.Path, journey: str = "model", **change: object) -> plan.Plan:
    made = plan.Plan(
        journey=itinerary.Journey(journey),
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
    due = {
        (second, part.value): round(of.users_at(second) * of.rate_of(part))
        for second in range(of.seconds)
        for part in of.journey.parts
    }
    record.write_due(of.due, due)


def sample(
    at: float,
    milliseconds: float,
    failure: str = "",
    journey: str = "model",
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
        "model: error rate is 0.2500, it has to be at most 0.1000",
        "model: p50, ms is 70.0, it has to be at most 60.0",
        "model: requests/s is 4.5, it has to be at least 10.0",
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


def test_a_mixed_journey_has_users_on_each_and_asks_for_reasons_less_often(
    tmp_path: pathlib.Path,
) -> None:
    of = plan_in(tmp_path, "mixed", users=20)
    shares = {part.value: itinerary.share(of.journey, part) for part in of.journey.parts}
    assert sum(shares.values()) == 1
    assert shares["experiment"] == 2 * shares["model"] == 4 * shares["reward"]
    assert of.rate_of(itinerary.Journey.MODEL) == of.rate
    assert of.rate_of(itinerary.Journey.EXPLANATION) == of.rate / 10


@pytest.mark.parametrize(
    ("shape", "users"),
    [
        (course.Shape.STEADY, {0: 20, 50: 20, 99: 20}),
        (course.Shape.SOAK, {0: 20, 99: 20}),
        (course.Shape.RAMP, {0: 2, 8: 4, 40: 12, 79.9: 20, 99: 20}),
        (course.Shape.SPIKE, {0: 5, 39.9: 5, 40: 20, 59.9: 20, 60: 5, 99: 5}),
    ],
)
def test_a_shape_says_how_many_users_there_are(
    shape: course.Shape, users: dict[float, int]
) -> None:
    assert {second: shape.users(20, second, 100) for second in users} == users


def test_a_spike_is_judged_apart(tmp_path: pathlib.Path) -> None:
    of = plan_in(tmp_path, seconds=20, shape=course.Shape.SPIKE)
    calm = [sample(at / 5, 10) for at in range(100) if not 8 <= at / 5 < 12]
    high = [sample(8 + at / 25, 200) for at in range(100)]
    write(of, *calm, *high)
    limits = {
        itinerary.Journey.MODEL: LIMITS[itinerary.Journey.MODEL].model_copy(
            update={"peak_p99_ms": 150.0, "offered_share": 0.0}
        )
    }
    came_out = summary.make(of, limits)
    (part,) = came_out.parts
    assert (part.p99_ms, part.peak_p99_ms) == (10, 200)
    assert came_out.broken == ("model: p99 in the spike, ms is 200.0, it has to be at most 150.0",)


def test_a_soak_fails_when_it_grows_slower(tmp_path: pathlib.Path) -> None:
    of = plan_in(tmp_path, seconds=32, shape=course.Shape.SOAK)
    write(of, *(sample(2 + at / 10, 10 + at / 10) for at in range(300)))
    limits = {
        itinerary.Journey.MODEL: LIMITS[itinerary.Journey.MODEL].model_copy(
            update={"growth": 1.5, "offered_share": 0.0}
        )
    }
    came_out = summary.make(of, limits)
    assert came_out.parts[0].growth == pytest.approx((10 + 25) / (10 + 5), rel=0.01)
    assert len(came_out.broken) == 1
    assert "last third's median / first's is 2.3" in came_out.broken[0]


def test_a_report_needs_no_other_file_and_keeps_markup_as_text(tmp_path: pathlib.Path) -> None:
    of = plan_in(tmp_path)
    write(of, *(sample(2 + at / 10, 5) for at in range(90)), sample(3, 1, "<script>x</script>|"))
    came_out = summary.make(of, LIMITS)
    picture = tmp_path / "load.png"
    picture.write_bytes(b"png")
    page = report.write(of, came_out, picture).read_text()
    assert "data:image/png;base64,cG5n" in page
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    comment = (tmp_path / "comment.md").read_text()
    assert len(comment) < 4000
    assert "load.png" not in comment


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
