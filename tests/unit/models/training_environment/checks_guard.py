"""The guard's and the fallback's artifacts: the forest is scikit-learn's, the limits hold their rate."""

import json
import pathlib

import numpy as np
import pytest
from sklearn import ensemble

from models import dataset, sources, steps
from models.steps.fallback import build as fallback_build
from models.steps.guard import build as guard_build
from models.steps.guard import calibration, isolation, measure
from runtimes.guard import artifact, windows

SEED = 3


def task(data: dataset.Dataset, seed: int = SEED) -> steps.Task:
    return steps.Task(data=data, source=sources.Source(None), seed=seed, models={})


def days(
    symbols: int = 3, years: int = 20, features: int = 16, memory: float = 0.9, seed: int = 1
) -> dataset.Dataset:
    """A market whose every feature remembers its yesterday, and never changes its law."""
    random = np.random.default_rng(seed)
    count = 252 * years
    noise = random.standard_normal((symbols, count, features)) * np.sqrt(1 - memory**2)
    values = np.empty_like(noise)
    values[:, 0] = random.standard_normal((symbols, features))
    for day in range(1, count):
        values[:, day] = memory * values[:, day - 1] + noise[:, day]
    dates = np.datetime64("1990-01-01") + (np.arange(count) * 365 / 252).astype(int)
    rows = symbols * count
    return dataset.Dataset(
        symbols=tuple("ABCDEFG"[:symbols]),
        symbol=np.repeat(np.arange(symbols), count),
        date=np.tile(dates, symbols),
        close=np.full(rows, 100.0),
        features=values.reshape(rows, features),
        log_volatility=np.log(0.2) + 0.3 * values[:, :, 0].ravel(),
        rise=(random.random(rows) < 0.55).astype(float),
        known=np.tile(dates + 7, symbols),
        channels=np.zeros((rows, 3)),
        end=np.arange(rows) + 1,
        length=1,
    )


@pytest.fixture(scope="module")
def steady() -> dataset.Dataset:
    return days()


@pytest.fixture(scope="module")
def limits(steady: dataset.Dataset) -> windows.Limits:
    return calibration.calibrate(steady, np.arange(len(steady)))


@pytest.fixture(scope="module")
def rows() -> dataset.Array:
    random = np.random.default_rng(9)
    return random.standard_t(3, (3000, 7)) * np.array([1, 2, 3, 4, 5, 6, 0])


@pytest.fixture(scope="module")
def grown(rows: dataset.Array) -> ensemble.IsolationForest:
    return isolation.fit(rows, SEED)


def test_the_flat_forest_is_scikit_learns(
    grown: ensemble.IsolationForest, rows: dataset.Array
) -> None:
    flat = isolation.flatten(grown)
    tried = np.concatenate([rows[:300], 20 * rows[300:400]])
    found = np.array([flat.score(row) for row in tried])
    assert np.abs(found + grown.score_samples(tried)).max() < 1e-12


def test_the_border_is_where_contamination_says(
    grown: ensemble.IsolationForest, rows: dataset.Array
) -> None:
    flat = isolation.flatten(grown)
    scale = isolation.scale(grown, flat)
    scores = np.array([scale(flat.score(row)) for row in rows])
    assert np.array_equal(scores > 0.5, grown.predict(rows) < 0)
    assert (scores > 0.5).mean() == pytest.approx(isolation.CONTAMINATION, abs=0.001)
    assert scores.min() >= 0.0
    assert scores.max() <= 1.0
    assert np.array_equal(np.argsort(scores), np.argsort([flat.score(row) for row in rows]))


def test_the_bounds_of_the_score_hold_for_whatever_comes(
    grown: ensemble.IsolationForest,
) -> None:
    flat = isolation.flatten(grown)
    lowest, highest = flat.bounds()
    random = np.random.default_rng(2)
    scores = [flat.score(row) for row in random.standard_t(1, (2000, 7)) * 100]
    assert lowest <= min(scores)
    assert max(scores) <= highest


def test_a_mean_path_is_liu_tings_and_zhous() -> None:
    assert isolation.mean_path(np.array([1, 2])).tolist() == [0.0, 1.0]
    harmonic = sum(1 / n for n in range(1, 256))
    expected = 2 * harmonic - 2 * 255 / 256
    # They estimate the harmonic number by a logarithm.
    assert isolation.mean_path(np.array([256]))[0] == pytest.approx(expected, abs=0.005)


def test_each_symbol_is_standardised_by_its_own_days(steady: dataset.Dataset) -> None:
    moved = steady.features.copy()
    moved[steady.symbol == 1] = 100 + 5 * moved[steady.symbol == 1]
    moved[:, 3] = 7.0
    standard = isolation.Standard.of(moved, steady.symbol, 3)
    found = standard(moved, steady.symbol)
    for place in range(3):
        own = found[steady.symbol == place]
        assert own.mean(axis=0) == pytest.approx(np.zeros(16), abs=1e-9)
        assert np.delete(own.std(axis=0), 3) == pytest.approx(np.ones(15))
    assert not found[:, 3].any()


def test_the_same_task_builds_the_same_bytes(tmp_path: pathlib.Path) -> None:
    small = days(years=5)
    folders = [tmp_path / name for name in ("first", "second", "other seed")]
    for folder, seed in zip(folders, (SEED, SEED, SEED + 1), strict=True):
        folder.mkdir()
        settings = guard_build.build(task(small, seed), folder)
        assert settings["implementation"] == "runtimes.guard.runtime.Guard"
    first, second, other = ((folder / "guard.npz").read_bytes() for folder in folders)
    assert first == second != other
    assert (folders[0] / "guard.json").read_bytes() == (folders[1] / "guard.json").read_bytes()


def test_the_artifact_scores_as_scikit_learn_does(market: dataset.Dataset, tmp_path) -> None:
    guard_build.build(task(market), tmp_path)
    built = artifact.read(tmp_path)
    assert built.symbols == market.symbols
    assert len(built.features) == market.features.shape[1]
    standard = isolation.Standard.of(market.features, market.symbol, len(market.symbols))
    grown = isolation.fit(standard(market.features, market.symbol), SEED)
    for row in range(0, len(market), 97):
        symbol = market.symbols[market.symbol[row]]
        place = market.symbol[row : row + 1]
        raw = -grown.score_samples(standard(market.features[row : row + 1], place))[0]
        assert built.anomaly(symbol, market.features[row]) == pytest.approx(
            built.scale(raw), abs=1e-12
        )


def test_independent_windows_alarm_at_the_rate_that_was_asked_for(
    limits: windows.Limits,
) -> None:
    later = days(symbols=7, years=40, seed=2)
    alarms = []
    for place in range(7):
        own = later.features[later.symbol == place]
        reference = windows.Reference.of(own[:4000], calibration.SAMPLES)
        for start in range(4000, len(own) - 200, 200):
            verdict = limits.judge(reference.ranks(own[start : start + 200]))
            assert verdict is not None
            alarms.append(verdict.score > 0.5)
    # Asked: 1 %. Of about 200 windows, more than 5 % would come once in 10,000.
    assert len(alarms) > 200
    assert np.mean(alarms) < 0.05


def test_textbook_critical_values_would_alarm_all_the_time(limits: windows.Limits) -> None:
    textbook = 1.36 / np.sqrt(200)  # 5 %, for independent values
    assert (limits.critical[-1] > 1.5 * textbook).all()


def test_what_lies_outside_of_all_history_has_drifted_whatever_the_regimes() -> None:
    wandering = days(years=15, memory=0.9995, seed=4)
    limits = calibration.calibrate(wandering, np.arange(len(wandering)))
    assert (limits.critical[0] > 1.0).any()  # a month cannot be far enough
    own = wandering.features[wandering.symbol == 0]
    beyond = own[-200:] + (own.max(axis=0) - own[-200:].min(axis=0)) + 0.1
    verdict = limits.judge(windows.Reference.of(own, calibration.SAMPLES).ranks(beyond))
    assert verdict is not None
    assert verdict.drifted.all()


def test_a_shift_is_found_and_soon(steady: dataset.Dataset, limits: windows.Limits) -> None:
    own = steady.features[steady.symbol == 0]
    split = measure.Split("A", own[:-700], own[-700:])
    found = measure.drift([split], limits, SEED)["shift"]
    assert found["tried"] > 0
    assert found["found"] == found["tried"]
    assert found["delay_90"] <= 200


def test_what_drifted_before_is_no_test_of_a_shift(
    steady: dataset.Dataset, limits: windows.Limits
) -> None:
    own = steady.features[steady.symbol == 0].copy()
    own[-800:] += 3.0
    split = measure.Split("A", own[:-800], own[-800:])
    found = measure.drift([split], limits, SEED)
    assert found["rate"] > 0.9
    assert found["by_symbol"]["A"]["alarms"] == 1
    assert found["shift"]["tried"] <= 1


def test_a_short_history_calibrates_short_windows_or_none(market: dataset.Dataset) -> None:
    short = calibration.calibrate(market, np.arange(len(market)))
    assert short.sizes
    assert max(short.sizes) < max(calibration.SIZES)
    none = calibration.calibrate(days(years=2), np.arange(3 * 504))
    assert none.sizes == ()
    assert none.critical.shape == (0, 16)


def test_the_held_out_years_are_the_last_ten() -> None:
    dates = np.arange("1990-01-01", "2019-01-04", dtype="datetime64[D]")
    assert measure.held_out_from(dates) == np.datetime64("2009-01-01")
    assert measure.held_out_from(dates[dates >= np.datetime64("2015-01-01")]) == np.datetime64(
        "2017-01-01"
    )
    assert measure.held_out_from(dates[:300]) is None


def test_the_fallback_is_the_long_run_distribution(
    steady: dataset.Dataset, tmp_path: pathlib.Path
) -> None:
    settings = fallback_build.build(task(steady), tmp_path)
    assert settings["implementation"] == "runtimes.guard.fallback.Fallback"
    document = json.loads((tmp_path / "fallback.json").read_text())
    assert set(document["symbols"]) == {"A", "B", "C"}
    found = document["symbols"]["B"]
    own = np.exp(steady.log_volatility[steady.symbol == 1])
    assert found["volatility"] == pytest.approx(np.median(own))
    assert np.mean((own >= found["lower"]) & (own <= found["upper"])) == pytest.approx(
        0.8, abs=0.001
    )
    assert found["direction"] == pytest.approx(steady.rise[steady.symbol == 1].mean())
    measured = document["measured"]
    # The law never changes here: what was known before a year covers it as it says.
    assert measured["coverage"] == pytest.approx(0.8, abs=0.05)
    assert measured["rmse_log_volatility"] == pytest.approx(0.3, abs=0.05)


def test_the_fallback_learns_nothing_from_the_year_that_it_is_measured_on(
    steady: dataset.Dataset,
) -> None:
    last = steady.date >= np.datetime64("2009-01-01")
    moved = dataset.Dataset(
        **{
            name: getattr(steady, name)
            for name in (*dataset.ARRAYS, "symbols", "length")
            if name != "log_volatility"
        },
        log_volatility=np.where(last, np.log(9.0), steady.log_volatility),
    )
    before = fallback_build.walk_forward(steady)
    after = fallback_build.walk_forward(moved)
    lost = before["coverage"] * before["days"] - after["coverage"] * after["days"]
    inside = before["coverage"] * int(last.sum())
    assert lost == pytest.approx(inside, rel=0.1)
