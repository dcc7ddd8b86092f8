"""What is computed a bar at a time is what training computes, for every feature and every day."""

import json
from collections.abc import Iterable

import markets
import numpy as np
import pandas as pd
import pytest

from models import data, dataset, features, sources
from runtimes.features import batch, definitions, online

RELATIVE = 1e-9
"""pandas' rolling sums leave 1e-13 behind after a large value; near 0 a ratio shows it."""


@pytest.fixture(scope="module")
def real() -> markets.Frames:
    return data.load(sources.Source())


@pytest.fixture(scope="module")
def small() -> markets.Frames:
    return markets.simulated()


def expected(
    frames: markets.Frames, declared: definitions.Definitions
) -> dict[str, dict[str, np.ndarray]]:
    """Every feature of every day by the batch interpreter, by symbol and name."""
    found: dict[str, dict[str, np.ndarray]] = {symbol: {} for symbol in frames}
    for view in markets.BAR_VIEWS:
        table = batch.view(frames, declared, view)
        for symbol, rows in table.groupby("symbol"):
            for feature in declared.view(view).features:
                column = rows[feature.name]
                found[str(symbol)][feature.name] = np.vstack(column.to_list())
    return found


def computed(
    days: Iterable[list[markets.Bar]], declared: definitions.Definitions
) -> dict[str, dict[str, np.ndarray]]:
    """The same by the engine: a day's rows, when all bars of the day have come."""
    engine = online.Engine(declared)
    rows: dict[str, list[dict[str, np.ndarray | float]]] = {}
    for day in days:
        for bar in day:
            engine.bar(*bar)
        for symbol, *_ in day:
            rows.setdefault(symbol, []).append(markets.whole_row(engine, symbol))
    return {
        symbol: {name: np.vstack([row[name] for row in found]) for name in found[0]}
        for symbol, found in rows.items()
    }


def assert_equal(
    found: dict[str, dict[str, np.ndarray]], wanted: dict[str, dict[str, np.ndarray]]
) -> None:
    assert found.keys() == wanted.keys()
    for symbol, columns in wanted.items():
        assert found[symbol].keys() == columns.keys()
        for name, values in columns.items():
            np.testing.assert_allclose(
                found[symbol][name], values, rtol=RELATIVE, atol=0, err_msg=f"{symbol} {name}"
            )


@pytest.mark.parametrize("reverse", [False, True], ids=["in order", "in reverse order"])
def test_every_feature_of_every_real_day_is_the_same_online_and_in_batch(
    real: markets.Frames, reverse: bool
) -> None:
    declared = definitions.declare(real)
    wanted = expected(real, declared)
    found = computed(markets.by_day(real, reverse=reverse), declared)
    assert_equal(found, wanted)
    assert sum(len(columns["close"]) for columns in found.values()) > 19_000
    for name in ("market_tension", "rsi_14d", "correlation_66d_wti", "history"):
        assert np.isfinite(found["SPX"][name][-1]).all()


@pytest.mark.parametrize("reverse", [False, True], ids=["in order", "in reverse order"])
def test_missing_days_volumes_and_moves_are_the_same_online_and_in_batch(
    small: markets.Frames, reverse: bool
) -> None:
    declared = definitions.declare(small)
    found = computed(markets.by_day(small, reverse=reverse), declared)
    assert_equal(found, expected(small, declared))
    still = found["STILL"]
    assert still["correlation_22d_bbb"][-1] == 0
    assert still["trend_60d"][-1] == 0
    assert still["volatility_of_volatility_22d"][-1] == 0
    assert still["correlation_22d_still"][-1] == 1


def test_the_training_set_holds_what_the_engine_gives(small: markets.Frames) -> None:
    made = dataset.build(small)
    found = computed(markets.by_day(small), definitions.declare(small))
    for symbol in made.symbols:
        rows = made.of(symbol)
        assert len(rows) > 100
        dates = small[symbol].index.to_numpy().astype("datetime64[D]")
        places = np.searchsorted(dates, made.date[rows])
        names = [feature.name for feature in features.FEATURES]
        online_rows = np.hstack([found[symbol][name][places] for name in names])
        np.testing.assert_allclose(online_rows, made.features[rows], rtol=RELATIVE, atol=0)
        history = found[symbol]["history"][places].reshape(len(rows), made.length, -1)
        np.testing.assert_allclose(history, made.history(rows), rtol=RELATIVE, atol=0)


def test_a_symbol_that_lags_behind_ends_with_the_same_rows(small: markets.Frames) -> None:
    declared = definitions.declare(small)
    wanted = expected(small, declared)
    engine = online.Engine(declared)
    for bar in markets.drifting(small, longest=40):
        engine.bar(*bar)
    for symbol, columns in wanted.items():
        for name, value in markets.whole_row(engine, symbol).items():
            np.testing.assert_allclose(
                np.atleast_1d(value), columns[name][-1], rtol=RELATIVE, atol=0,
                err_msg=f"{symbol} {name}",
            )  # fmt: skip  # what is compared, then how


def test_symbols_that_come_one_after_another_end_with_the_same_rows() -> None:
    frames = markets.simulated(days=3 * online.KEPT)
    declared = definitions.declare(frames)
    wanted = expected(frames, declared)
    engine = online.Engine(declared)
    for symbol in frames:
        for bar in markets.bars(frames, symbol):
            engine.bar(*bar)
    for symbol, columns in wanted.items():
        for name, value in markets.whole_row(engine, symbol).items():
            np.testing.assert_allclose(
                np.atleast_1d(value), columns[name][-1], rtol=RELATIVE, atol=0,
                err_msg=f"{symbol} {name}",
            )  # fmt: skip  # what is compared, then how


def test_rows_that_are_not_reported_as_changed_have_not_changed(small: markets.Frames) -> None:
    declared = definitions.declare(small)
    engine = online.Engine(declared)
    before: dict[str, dict[str, np.ndarray | float]] = {}
    reported_others = spared = 0
    for bar in markets.drifting(small, longest=4):
        changed = engine.bar(*bar)
        assert bar[0] in changed
        reported_others += len(changed) - 1
        for symbol in engine.symbols:
            now = markets.whole_row(engine, symbol)
            if symbol not in changed:
                spared += 1
                assert markets.same(now, before[symbol]), (bar[:2], symbol)
            before[symbol] = now
    assert reported_others > 100
    assert spared > 500


def test_a_snapshot_goes_on_as_if_nothing_had_happened(small: markets.Frames) -> None:
    declared = definitions.declare(small)
    days = list(markets.by_day(small))
    engine = online.Engine(declared)
    for day in days[:260]:
        for bar in day:
            engine.bar(*bar)
    text = json.dumps(engine.snapshot(), allow_nan=False)
    other = online.Engine(declared)
    other.bar("AAA", pd.Timestamp("2030-01-01").date(), 1.0, 1.0, 1.0, 1.0, 0.0)
    other.restore(json.loads(text))
    assert other.newest("AAA") == engine.newest("AAA")
    for symbol in small:
        assert markets.same(markets.whole_row(engine, symbol), markets.whole_row(other, symbol))
    for day in days[260:]:
        for bar in day:
            assert engine.bar(*bar) == other.bar(*bar)
        for symbol in small:
            assert markets.same(markets.whole_row(engine, symbol), markets.whole_row(other, symbol))


def test_nothing_is_left_of_a_large_value_after_twenty_thousand_bars() -> None:
    random = np.random.default_rng(9)
    dates = pd.date_range("1960-01-01", periods=20_000, name="date")
    close = 100 * np.exp(np.cumsum(0.001 * random.standard_normal(20_000)))
    close[15_000] *= 1e9  # a broken price, which no check of one bar can find
    frame = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), close), index=dates)
    frame["volume"] = 1e6 * np.exp(random.standard_normal(20_000))
    declared = definitions.declare(["AAA"])
    engines = online.Engine(declared), online.Engine(declared)
    bars = markets.bars({"AAA": frame}, "AAA")
    for bar in bars:
        engines[0].bar(*bar)
    for bar in bars[-600:]:
        engines[1].bar(*bar)
    long, short = (engine.row("AAA", "technical_indicators") for engine in engines)
    # Exponential means remember their beginning: 600 days leave (13/14)^600 of it.
    for name, value in long.items():
        assert value == pytest.approx(short[name], rel=1e-12), name


def test_the_values_of_real_days_are_within_their_bounds(real: markets.Frames) -> None:
    declared = definitions.declare(real)
    for columns in expected(real, declared).values():
        for view in markets.BAR_VIEWS:
            for feature in declared.view(view).features:
                known = columns[feature.name][np.isfinite(columns[feature.name])]
                assert known.min() >= feature.lowest, feature.name
                assert known.max() <= feature.highest, feature.name
