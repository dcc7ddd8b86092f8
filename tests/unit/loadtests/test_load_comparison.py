"""What is called slower than a baseline: differences beyond noise, and no others."""

import pathlib

import numpy as np
import pytest

from loadtests import baseline, comparison, endpoints, itinerary, plan, record


def run(
    folder: pathlib.Path, seed: int, *, scale: float = 1.0, noise: float = 0.0, failed: int = 0
) -> plan.Plan:
    """A run of 30 s: log-normal latencies, slower as a whole by `noise` and in bursts of a second."""
    draw = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    of = plan.Plan(
        journey=itinerary.Journey.MODEL,
        users=4,
        seconds=30,
        rate=10.0,
        stack="local",
        gateway="http://127.0.0.1:1",
        mesh=None,
        namespace="test",
        models=("one",),
        experiment="e",
        weights=None,
        folder=folder,
    )
    at = np.sort(draw.uniform(0, 30, 1200))
    bursts = draw.normal(0, 0.3, 30)[at.astype(int)]
    level = np.log(5.0 * scale) + draw.normal(0, noise)
    latency = np.exp(level + bursts + draw.normal(0, 0.5, 1200))
    lines = [
        record.Sample(moment, "model", "one", taken, "").line()
        for moment, taken in zip(at, latency, strict=True)
    ]
    lines += [record.Sample(5.0, "model", "", 1.0, "WrongAnswer: status 503").line()] * failed
    of.samples.write_text(record.HEADER + "".join(lines))
    record.write_due(of.due, {(second, "model"): 40 for second in range(30)})
    of.summary.write_text("{}")
    of.write()
    return of


def kept(folder: pathlib.Path, count: int, **given: float) -> baseline.Baseline:
    runs = tuple(run(folder / f"kept-{seed}", seed, **given) for seed in range(count))  # type: ignore[arg-type]
    return baseline.Baseline("main", runs)


def test_runs_that_differ_by_noise_alone_are_not_called_slower(tmp_path: pathlib.Path) -> None:
    before = kept(tmp_path, 1)
    alarms = [
        bool(
            comparison.compare(run(tmp_path / f"now-{seed}", 100 + seed, noise=0.1), before).slower
        )
        for seed in range(40)
    ]
    assert sum(alarms) <= 2  # 5 % of 40


def test_what_became_slower_is_found_and_comes_first(tmp_path: pathlib.Path) -> None:
    compared = comparison.compare(run(tmp_path / "now", 7, scale=2.0), kept(tmp_path, 1))
    slower = {row.measure for row in compared.slower}
    assert "p50" in slower
    assert compared.rows[0].verdict == "slower"
    row = next(row for row in compared.rows if row.measure == "p50")
    assert row.low is not None
    assert row.high is not None
    assert 1 < row.low < 2 < row.high
    assert compared.regressions[0].startswith("model: p")


def test_what_became_faster_is_no_regression(tmp_path: pathlib.Path) -> None:
    compared = comparison.compare(run(tmp_path / "now", 7, scale=0.4), kept(tmp_path, 1))
    assert compared.slower == ()
    assert "faster" in {row.verdict for row in compared.rows}


def test_more_kept_runs_make_a_smaller_interval(tmp_path: pathlib.Path) -> None:
    now = run(tmp_path / "now", 50)
    one = comparison.compare(now, kept(tmp_path / "one", 1))
    many = comparison.compare(now, kept(tmp_path / "many", 8))
    first, second = (next(row for row in each.rows if row.measure == "p50") for each in (one, many))
    assert first.low is not None
    assert second.low is not None
    assert first.high is not None
    assert second.high is not None
    assert second.high / second.low < first.high / first.low


@pytest.mark.parametrize(("failed", "verdict"), [(1, "same"), (40, "slower")])
def test_failures_are_compared_by_an_exact_test(
    tmp_path: pathlib.Path, failed: int, verdict: str
) -> None:
    compared = comparison.compare(run(tmp_path / "now", 3, failed=failed), kept(tmp_path, 1))
    (row,) = (row for row in compared.rows if row.measure == "error rate")
    assert row.verdict == verdict
    assert row.now == pytest.approx(failed / (1200 + failed))


def test_a_percentiles_error_is_that_of_runs_that_hang_together_in_blocks() -> None:
    draw = np.random.default_rng(0)
    estimates, errors = [], []
    for _ in range(60):
        blocks = np.repeat(np.arange(30), 40)
        values = np.exp(draw.normal(0, 0.3, 30)[blocks] + draw.normal(0, 0.5, 1200))
        estimate, error = comparison.percentile(values, blocks, 0.5)
        estimates.append(estimate)
        errors.append(error)
    assert np.mean(errors) == pytest.approx(np.std(estimates), rel=0.3)


def test_the_newest_ten_runs_of_a_name_stay(tmp_path: pathlib.Path) -> None:
    for number in range(12):
        made = run(tmp_path / "reports" / f"run-{number:02}", number)
        baseline.save(tmp_path / "kept", "main", made)
    found = baseline.read(tmp_path / "kept", "main")
    assert [each.folder.name for each in found.runs] == [f"run-{n:02}" for n in range(2, 12)]


@pytest.mark.parametrize("name", ["", "../x", "a b", "-x"])
def test_what_is_no_name_is_refused(tmp_path: pathlib.Path, name: str) -> None:
    with pytest.raises(endpoints.LoadTestError, match="cannot be a baseline's name"):
        baseline.read(tmp_path, name)


def test_a_baseline_of_another_version_is_named(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "main" / "run"
    folder.mkdir(parents=True)
    (folder / "plan.json").write_text('{"journey": "models"}')
    with pytest.raises(endpoints.LoadTestError, match=r"plan.json is no load test's plan"):
        baseline.read(tmp_path, "main")
