"""What is built for the router, the forecast and the decision, and how the confidence is learnt."""

import dataclasses
import json
import math
import pathlib

import numpy as np
import pytest

from models import (
    artifacts,
    calibration,
    dataset,
    fitting,
    index,
    procedure,
    sources,
    steps,
    training,
)
from models.steps.decision import build, confidence, evaluate, reliability
from runtimes.decision import calibration as served
from runtimes.predictor import artifact

MODELS = ("baseline", "robust")


@pytest.fixture
def records(csvs: sources.Source) -> dict[str, index.Record]:
    results = training.run(csvs, 1, MODELS, lambda _name, _state: None)
    return {name: result.record for name, result in results.items()}


@pytest.fixture
def task(csvs: sources.Source, records: dict[str, index.Record]) -> steps.Task:
    return steps.Task(data=dataset.load(csvs), source=csvs, seed=1, models=records)


def simulated(rows: int, slope: float, seed: int = 3) -> confidence.Tried:
    """Forecasts that come out near with a probability that is known: see `truth`."""
    random = np.random.default_rng(seed)
    tried = confidence.Tried(
        model=random.choice(["first", "second"], rows),
        symbol=random.choice(["AAA", "BBB"], rows),
        date=np.datetime64("2010-01-01") + np.sort(random.integers(0, 1000, rows)),
        regime=random.choice(["volatile", "rising", "falling", "calm"], rows),
        width=np.exp(random.normal(0, 0.3, rows)),
        volatility=np.exp(random.normal(-1.5, 0.3, rows)),
        near=np.zeros(rows, dtype=bool),
    )
    return dataclasses.replace(tried, near=random.random(rows) < truth(tried, slope))


def truth(tried: confidence.Tried, slope: float) -> np.ndarray:
    odds = 1.0 + slope * np.log(tried.width) - 0.8 * (tried.regime == "volatile")
    odds += 0.5 * (tried.model == "second")
    return 1 / (1 + np.exp(-odds))


def test_a_known_confidence_is_found_again() -> None:
    tried = simulated(60_000, slope=-2.0)
    learnt = confidence.learn(tried)
    assert learnt.log_width == pytest.approx(-2.0, abs=0.15)
    np.testing.assert_allclose(learnt.of(tried), truth(tried, -2.0), atol=0.03)


def test_a_width_that_would_raise_the_confidence_counts_nothing() -> None:
    tried = simulated(5000, slope=2.0)
    learnt = confidence.learn(tried)
    assert learnt.log_width == 0.0
    assert learnt.of(tried).mean() == pytest.approx(tried.near.mean(), abs=0.01)


@pytest.mark.parametrize("near", [True, False])
def test_forecasts_that_all_end_alike_are_not_taken_for_certain(near: bool) -> None:
    tried = dataclasses.replace(simulated(98, slope=-2.0), near=np.full(98, near))
    sure = confidence.learn(tried).of(tried)
    np.testing.assert_allclose(sure, 0.99 if near else 0.01)


def test_a_symbol_that_was_left_out_says_what_an_unseen_one_costs() -> None:
    tried = simulated(20_000, slope=-2.0)
    odd = tried.symbol == "BBB"
    worse = np.random.default_rng(4).random(len(tried)) < 0.6
    harder = dataclasses.replace(tried, near=np.where(odd, tried.near & worse, tried.near))
    assert confidence.for_unseen_symbols(tried) == pytest.approx(1.0, abs=0.02)
    assert confidence.for_unseen_symbols(harder) == pytest.approx(0.6, abs=0.03)
    assert confidence.for_unseen_symbols(tried.part(odd)) == confidence.ALONE


def test_near_is_within_the_factor_to_either_side(
    task: steps.Task, records: dict[str, index.Record]
) -> None:
    ledger = artifacts.load_ledger(records["baseline"].ledger)
    actual = task.data.log_volatility[ledger.rows]
    for off, near in ((0.404, True), (-0.404, True), (0.406, False), (-0.406, False)):
        shifted = dataclasses.replace(ledger, log_volatility=actual + off)
        tried = confidence.tried(task.data, "baseline", shifted, calibration.NOT_LEARNT)
        assert (tried.near == near).all(), off
    assert math.log(confidence.FACTOR) == pytest.approx(0.405, abs=1e-3)


def test_the_runtime_reads_what_is_built_and_is_as_sure_as_what_was_learnt(
    task: steps.Task, tmp_path: pathlib.Path
) -> None:
    folder = tmp_path / "decision"
    folder.mkdir()
    given = steps.builder("decision").build(task, folder)
    assert given["implementation"] == "runtimes.decision.runtime.Decision"
    known = served.load(folder)
    rows = confidence.together(
        [
            confidence.tried(
                task.data,
                name,
                artifacts.load_ledger(record.ledger),
                artifact.read_manifest(record.folder).interval,
            )
            for name, record in task.models.items()
        ]
    ).newest()
    expected = confidence.learn(rows).of(rows)
    found = [
        known.probability(width, regime, known.models[f"{model}-predictor"].offset)
        for width, regime, model in zip(rows.width, rows.regime, rows.model, strict=True)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert np.unique(np.round(found, 3)).size > 20
    assert set(known.symbols) == set(task.data.symbols)
    assert 0.2 < known.fallback < 0.95
    for name, record in task.models.items():
        assert record.artifact in known.models[f"{name}-predictor"].artifacts


def noisy(market: dataset.Dataset, later: float = 0.0) -> fitting.Ledger:
    """Forecasts of every day, off by a noise; and from 2021 on by `later` as well."""
    rows = procedure.known_before(market, None)
    off = 0.3 * np.random.default_rng(8).standard_normal(len(rows))
    off += later * (market.date[rows] >= np.datetime64("2021-01-01"))
    return fitting.Ledger(rows, market.log_volatility[rows] + off, np.full(len(rows), 0.5))


def test_a_walk_learns_intervals_and_confidence_before_each_year(market: dataset.Dataset) -> None:
    known = reliability.walk(market, {"baseline": noisy(market)})
    changed = reliability.walk(market, {"baseline": noisy(market, later=2.0)})
    assert [year.year for year in known][:2] == [2020, 2021]
    for before, after in zip(known[:2], changed[:2], strict=True):
        np.testing.assert_array_equal(before.tried.width, after.tried.width)
        np.testing.assert_array_equal(before.sure, after.sure)
    assert not changed[1].tried.near.any()
    assert 0.6 < known[1].tried.near.mean() < 0.95


def test_the_card_says_how_true_the_confidence_was_on_later_years(
    task: steps.Task, market: dataset.Dataset, tmp_path: pathlib.Path
) -> None:
    steps.builder("decision").build(task, tmp_path)
    card = json.loads((tmp_path / "card.json").read_text())
    # The held-out days of this small market end in the year in which they begin.
    assert card["later_years"] is None
    assert "too few days" in (tmp_path / "CARD.md").read_text()
    measured = reliability.measure(reliability.walk(market, {"baseline": noisy(market)}))
    page = build.page({**card, "later_years": measured.document()})
    assert f"calibration error {measured.expected_calibration_error:.3f}" in page
    assert f"| 2021 | {measured.years[2021].confidence:.3f} |" in page


@pytest.mark.parametrize("name", ["router", "forecast", "decision"])
def test_the_same_task_gives_the_same_bytes(task: steps.Task, name: str) -> None:
    assert artifacts.save_step(name, task).name == artifacts.save_step(name, task).name


def test_router_and_forecast_are_their_settings(task: steps.Task, tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "step"
    folder.mkdir()
    router = steps.builder("router").build(task, folder)
    assert router["implementation"] == "runtimes.router.runtime.Router"
    assert router["parameters"]["extra"] == {"history_days": str(task.data.length)}
    forecast = steps.builder("forecast").build(task, folder)
    assert forecast["implementation"] == "runtimes.router.forecast.Forecast"
    assert not list(folder.iterdir())


def test_what_comes_later_changes_no_earlier_years_confidence() -> None:
    first = simulated(4000, slope=-2.0)
    past, now = (
        first.part(first.date < np.datetime64("2012-01-01")),
        first.part(first.date >= np.datetime64("2012-01-01")),
    )
    known = reliability.year(2012, past, now)
    changed = reliability.year(2012, past, dataclasses.replace(now, near=~now.near))
    np.testing.assert_array_equal(known.sure, changed.sure)
    assert reliability.measure([known]).brier != reliability.measure([changed]).brier


def test_a_true_confidence_measures_as_true_and_a_boast_does_not() -> None:
    tried = simulated(40_000, slope=-2.0)
    true = reliability.Year(
        2012, tried, truth(tried, -2.0), float(tried.near.mean()), np.ones(len(tried), dtype=bool)
    )
    boast = dataclasses.replace(true, sure=np.minimum(true.sure + 0.2, 1.0))
    honest, boasting = reliability.measure([true]), reliability.measure([boast])
    assert honest.expected_calibration_error < 0.012
    assert honest.brier < 0.97 * honest.brier_of_constant
    assert boasting.expected_calibration_error > 0.1
    estimate = evaluate.gain([true], seed=1)
    assert 0 < estimate.low < estimate.value < estimate.high


def test_the_usual_volatility_knows_nothing_of_the_year_that_it_is_tried_on(
    market: dataset.Dataset,
) -> None:
    found = confidence.usual(market)
    later = market.date >= np.datetime64("2021-01-01")
    moved = np.where(later, market.log_volatility + 5.0, market.log_volatility)
    changed = confidence.usual(dataclasses.replace(market, log_volatility=moved))
    years = found.date.astype("datetime64[Y]")
    assert found.near[years >= np.datetime64("2021")].any()
    np.testing.assert_array_equal(
        found.near[years < np.datetime64("2021")], changed.near[years < np.datetime64("2021")]
    )
    assert not changed.near[years == np.datetime64("2021")].any()


def test_the_evaluation_prints_each_part_and_the_fallback(
    csvs: sources.Source, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--data", str(csvs.folder), "--models", "baseline,robust"]
    assert evaluate.main([*options, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    met = document["confidence"][evaluate.MET]
    assert set(met["years"]) == {str(year) for year in document["years"]}
    assert sum(each["rows"] for each in met["bins"]) == met["rows"]
    assert 0 < met["brier"] < 0.3
    assert set(document["fallback"]) == {"2022"}, "a year has to have one before it"
    assert evaluate.main(options) == 0
    assert "fallback, by year" in capsys.readouterr().out
    assert evaluate.main(["--models", "nobody"]) == 1
