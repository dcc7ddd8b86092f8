"""One declaration is all that a feature needs."""

import datetime as dt
import subprocess
import sys

import markets
import numpy as np
import pytest

from models import code, dataset, features
from runtimes.features import batch, definitions, expressions, online
from runtimes.features.expressions import CLOSE, HIGH, LOW

ADDED = definitions.Feature(
    "stochastic_14d",
    "0..1",
    "where the close lies between the lowest low and the highest high of 14 days (Lane 1984)",
    (CLOSE - LOW.rolling(14).min()) / (HIGH.rolling(14).max() - LOW.rolling(14).min()),
    0.0,
    1.0,
    model=True,
)


@pytest.fixture(scope="module")
def frames() -> markets.Frames:
    return markets.simulated()


def test_a_feature_added_by_one_declaration_is_in_training_views_and_online_rows(
    frames: markets.Frames,
) -> None:
    declared = definitions.declare(frames, (*definitions.TECHNICAL_INDICATORS, ADDED))

    made = dataset.build(frames, declared.model_features)
    assert made.features.shape[1] == len(features.FEATURES) + 1
    table = batch.view(frames, declared, "technical_indicators")
    assert ADDED.name in table

    assert ADDED in declared.view("technical_indicators").features
    for service in declared.services:
        assert ("technical_indicators", ADDED.name) in service.features
    assert declared.digest != definitions.declare(frames).digest

    engine = online.Engine(declared)
    for day in markets.by_day(frames):
        for bar in day:
            engine.bar(*bar)
    frame = frames["BBB"].tail(14)
    low, high = frame["low"].min(), frame["high"].max()
    expected = (frame["close"].iloc[-1] - low) / (high - low)
    assert 0 < expected < 1
    assert engine.row("BBB", "technical_indicators")[ADDED.name] == pytest.approx(
        expected, rel=1e-12
    )
    assert made.features[made.of("BBB")[-1], -1] == pytest.approx(expected, rel=1e-12)
    last = table[table["symbol"] == "BBB"].iloc[-1]
    assert last[ADDED.name] == pytest.approx(expected, rel=1e-12)


def test_a_feature_that_models_are_not_trained_on_is_served_but_not_trained_on(
    frames: markets.Frames,
) -> None:
    other = definitions.Feature("range", "ln ratio", "of the day", (HIGH / LOW).log(), 0, 1)
    declared = definitions.declare(frames, (*definitions.TECHNICAL_INDICATORS, other))
    assert other not in declared.model_features
    assert ("technical_indicators", "range") not in declared.service("forecasting").features
    assert ("technical_indicators", "range") in declared.service("enriched").features


def test_models_are_trained_on_what_the_forecasting_service_gives() -> None:
    declared = definitions.declare(["SPX", "WTI"])
    assert declared.model_features == features.FEATURES
    assert len(features.FEATURES) == 18
    first, *others = declared.service("forecasting").features
    assert first == ("market_data", "history")
    assert [name for _, name in others] == [feature.name for feature in features.FEATURES]


def test_names_are_unique_bounds_ordered_and_everything_is_described() -> None:
    declared = definitions.declare(["SPX", "WTI", "VIX"])
    for view in declared.views:
        assert view.max_age > dt.timedelta()
        for feature in view.features:
            assert feature.unit
            assert feature.description
            assert feature.lowest < feature.highest
    with pytest.raises(ValueError, match="declared twice: rsi_14d"):
        definitions.declare(
            ["SPX"], [each for each in definitions.TECHNICAL_INDICATORS if "rsi" in each.name] * 2
        )


def test_correlations_are_declared_for_whatever_symbols_there_are() -> None:
    names = [
        feature.name
        for feature in definitions.declare(["^GSPC", "BRK.B", "BRK-B"]).view("cross_asset").features
    ]
    assert len(names) == 2 * (3 + 3)
    assert {f"correlation_{days}d_{name}" for days in (22, 66) for name in ("gspc", "brk_b_2")} <= {
        *names
    }
    alone = definitions.declare(["SPX"])
    assert [view.name for view in alone.views] == [
        "market_data",
        "technical_indicators",
        "sentiment",
    ]
    with pytest.raises(KeyError, match="there are market_data, technical_indicators, sentiment"):
        alone.view("cross_asset")
    with pytest.raises(ValueError, match="no symbol"):
        definitions.declare([])


def test_a_correlation_is_that_of_the_common_days() -> None:
    frames = markets.simulated()
    declared = definitions.declare(frames)
    table = batch.view(frames, declared, "cross_asset")
    row = table[table["symbol"] == "BBB"].iloc[-1]
    one, two = (np.log(frames[symbol]["close"]).diff() for symbol in ("AAA", "BBB"))
    common = one.index.intersection(two.index)
    expected = np.corrcoef(one[common].tail(66), two[common].tail(66))[0, 1]
    assert expected > 0.2
    assert row["correlation_66d_aaa"] == pytest.approx(expected, rel=1e-9)
    others = [row[f"correlation_66d_{name}"] for name in ("aaa", "close_only", "still")]
    assert row["correlation_66d_mean_of_all"] == pytest.approx(np.mean(others), rel=1e-12)
    assert row["correlation_66d_max_of_all"] == max(others)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (expressions.across(CLOSE).rolling(5).mean(), "may arrive later"),
        (expressions.across(CLOSE).lag(), "may arrive later"),
        (expressions.across(expressions.across(CLOSE)), "may arrive later"),
        (-expressions.TextMean("news", dt.timedelta(days=1)), "made of texts"),
        (expressions.TextMean("news", dt.timedelta(days=1)), "not made of bars"),
        (-expressions.Stacked((CLOSE,), 3), "array"),
    ],
)
def test_what_cannot_be_computed_as_days_arrive_is_refused_where_it_is_declared(
    expression: expressions.Expression, message: str
) -> None:
    feature = definitions.Feature("wrong", "unit", "text", expression, 0, 1)
    with pytest.raises(ValueError, match=rf"feature 'wrong'.*{message}"):
        definitions.declare(["SPX"], [feature])


@pytest.mark.parametrize(
    "wrong",
    [lambda: CLOSE.lag(0), lambda: CLOSE.rolling(5, 6).mean(), CLOSE.smoothed],
    ids=["no lag", "more known than days", "neither alpha nor span"],
)
def test_an_impossible_window_is_refused_where_it_is_written(wrong) -> None:
    with pytest.raises(ValueError, match=r"lag|fewest|alpha"):
        wrong()


def test_numbers_may_follow_what_looks_at_other_symbols(frames: markets.Frames) -> None:
    expression = (2 * expressions.across(CLOSE)).log().filled(0.0)
    feature = definitions.Feature("level", "ln price", "doubled mean price", expression, -10, 20)
    declared = definitions.declare(frames, [feature])
    engine = online.Engine(declared)
    for day in markets.by_day(frames):
        for bar in day:
            engine.bar(*bar)
    found = batch.table(frames, [feature])
    for symbol in frames:
        assert engine.row(symbol, "technical_indicators")["level"] == pytest.approx(
            found[symbol]["level"].iloc[-1], rel=1e-12
        )


def test_every_primitive_gives_the_same_online_and_in_batch(frames: markets.Frames) -> None:
    returns = CLOSE.log().change()
    holed = returns.where(returns > 0.001)
    tried = {
        "holed_mean": holed.rolling(10, 3).mean(),
        "holed_sum": holed.rolling(10, 3).sum(),
        "holed_std": holed.rolling(10, 2).std(),
        "holed_max": holed.rolling(10, 1).max(),
        "holed_min": holed.rolling(10, 4).min(),
        "holed_smoothed": holed.smoothed(span=9),
        "holed_lag": holed.lag(3),
        "endless": (1 / (returns - returns)).rolling(4, 1).sum(),
        "endless_smoothed": (returns / (returns * 0)).filled(1.0).smoothed(alpha=0.2),
        "otherwise": returns.where(CLOSE.lag(2) < CLOSE, CLOSE),
        "known": holed.where(holed.known(), 7.0).clip(0.002, 0.01),
        "root": (returns.root() - 3) * 2 + 1,
        "undefined": (-CLOSE).log().filled(-1.0),
    }
    wanted = [
        definitions.Feature(name, "unit", "tried", expression, 0, 1)
        for name, expression in tried.items()
    ]
    engine = online.Engine(definitions.declare(frames, wanted))
    with np.errstate(all="ignore"):
        table = batch.table(frames, wanted)
    for symbol, expected in table.items():
        rows = []
        for bar in markets.bars(frames, symbol):
            engine.bar(*bar)
            rows.append(list(engine.row(symbol, "technical_indicators").values()))
        np.testing.assert_allclose(rows, expected.to_numpy(float), rtol=1e-9, atol=0)
    assert np.isnan(table["BBB"]["holed_mean"]).sum() > 2
    assert np.isfinite(table["BBB"]["holed_mean"]).sum() > 200


def test_declaring_and_computing_online_need_neither_pandas_nor_feast() -> None:
    program = (
        "import sys; from runtimes.features import definitions, online; "
        "online.Engine(definitions.declare(['A', 'B'])); "
        "print(sorted({'pandas', 'feast', 'mlserver', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=code.REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "[]"
