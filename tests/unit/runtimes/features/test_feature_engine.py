"""What the engine takes, refuses, and reports."""

import datetime as dt
import math
import re
import statistics
import time

import markets
import numpy as np
import pytest

from runtimes.features import definitions, online

DAY = dt.date(2024, 5, 6)
GOOD = (10.0, 11.0, 9.0, 10.5, 1000.0)
UTC = dt.UTC


@pytest.fixture
def engine() -> online.Engine:
    return online.Engine(definitions.declare(["SPX", "WTI"]))


@pytest.mark.parametrize(
    ("bar", "reason", "message"),
    [
        ((10.0, 11.0, 9.0, math.nan, 1.0), "not_finite", "close is nan"),
        ((10.0, math.inf, 9.0, 10.0, 1.0), "not_finite", "high is inf"),
        ((10.0, 11.0, 9.0, 10.0, math.nan), "not_finite", "volume is nan"),
        (("10", 11.0, 9.0, 10.0, 1.0), "not_a_number", "open is '10'"),
        ((10.0, 11.0, None, 10.0, 1.0), "not_a_number", "low is None"),
        ((10.0, 11.0, 0.0, 10.0, 1.0), "price", "a price of 0"),
        ((-10.0, 11.0, 9.0, 10.0, 1.0), "price", "a price of -10"),
        ((10.0, 9.0, 11.0, 10.0, 1.0), "range", "high 9 is below low 11"),
        ((10.0, 11.0, 9.0, 11.1, 1.0), "range", "close 11.1 lies outside low 9 and high 11"),
        ((8.9, 11.0, 9.0, 10.0, 1.0), "range", "open 8.9 lies outside"),
        ((10.0, 11.0, 9.0, 10.0, -1.0), "volume", "volume -1 is negative"),
    ],
)
def test_a_bar_that_no_market_trades_at_is_refused_with_its_reason(
    engine: online.Engine, bar: tuple[float, ...], reason: str, message: str
) -> None:
    with pytest.raises(online.BarRefused, match=re.escape(message)) as refused:
        engine.bar("SPX", DAY, *bar)
    assert refused.value.reason == reason
    assert "the bar of SPX for 2024-05-06" in str(refused.value)
    assert engine.symbols == ()


def test_a_refused_bar_changes_nothing(engine: online.Engine) -> None:
    engine.bar("SPX", DAY, *GOOD)
    before = engine.snapshot()
    for bar in (("SPX", DAY + dt.timedelta(days=1), 1.0, 0.5, 2.0, 1.0, 0.0), ("FOO", DAY, *GOOD)):
        with pytest.raises(online.BarRefused):
            engine.bar(*bar)
    assert engine.snapshot() == before


def test_an_unknown_symbol_names_the_known_ones(engine: online.Engine) -> None:
    with pytest.raises(online.BarRefused, match="declared are SPX, WTI") as refused:
        engine.bar("FOO", DAY, *GOOD)
    assert refused.value.reason == "unknown_symbol"
    with pytest.raises(KeyError, match="there are SPX, WTI"):
        engine.row("FOO", "technical_indicators")


def test_the_same_bar_again_is_ignored_and_another_one_is_refused(engine: online.Engine) -> None:
    assert engine.bar("SPX", DAY, *GOOD) == {"SPX"}
    engine.bar("SPX", DAY + dt.timedelta(days=1), *GOOD)
    before = engine.snapshot()
    assert engine.bar("SPX", DAY, *GOOD) == set()
    with pytest.raises(online.BarRefused, match=re.escape("close 10.4 instead of 10.5")) as refused:
        engine.bar("SPX", DAY, *GOOD[:3], 10.4, 1000.0)
    assert refused.value.reason == "correction"
    assert engine.snapshot() == before


def test_an_earlier_day_that_never_came_is_out_of_order(engine: online.Engine) -> None:
    engine.bar("SPX", DAY, *GOOD)
    with pytest.raises(online.BarRefused, match="comes after that of 2024-05-06") as refused:
        engine.bar("SPX", DAY - dt.timedelta(days=3), *GOOD)
    assert refused.value.reason == "out_of_order"


def test_a_date_far_ahead_does_not_lock_out_the_days_in_between(engine: online.Engine) -> None:
    engine.bar("SPX", DAY, *GOOD)
    with pytest.raises(online.BarRefused, match="at most 14 are taken") as refused:
        engine.bar("SPX", dt.date(2924, 5, 6), *GOOD)
    assert refused.value.reason == "gap"
    assert engine.bar("SPX", DAY + dt.timedelta(days=14), *GOOD) == {"SPX"}


def test_what_is_no_date_is_refused(engine: online.Engine) -> None:
    with pytest.raises(online.BarRefused, match="'2024-05-06' is no date") as refused:
        engine.bar("SPX", "2024-05-06", *GOOD)  # type: ignore[arg-type]
    assert refused.value.reason == "date"


def test_a_close_that_rounding_left_outside_is_taken_in(engine: online.Engine) -> None:
    engine.bar("SPX", DAY, 10.0, 11.0, 9.0, 11.000001, 0.0)
    row = engine.row("SPX", "market_data")
    assert (row["high"], row["close"]) == (11.000001, 11.000001)


def test_before_the_first_bar_everything_is_missing(engine: online.Engine) -> None:
    assert engine.newest("SPX") is None
    for view in markets.BAR_VIEWS:
        for name, value in engine.row("SPX", view).items():
            assert np.isnan(value).all(), name
    assert engine.row("SPX", "market_data")["history"].shape == (180,)


def test_a_bar_changes_rows_of_others_on_or_after_its_day_alone(engine: online.Engine) -> None:
    engine.bar("SPX", DAY, *GOOD)
    engine.bar("SPX", DAY + dt.timedelta(days=2), *GOOD)
    assert engine.bar("WTI", DAY + dt.timedelta(days=1), *GOOD) == {"SPX", "WTI"}
    assert engine.bar("WTI", DAY + dt.timedelta(days=3), *GOOD) == {"WTI"}
    assert engine.newest("WTI") == DAY + dt.timedelta(days=3)


def test_a_row_is_the_callers_own(engine: online.Engine) -> None:
    engine.bar("SPX", DAY, *GOOD)
    row = engine.row("SPX", "market_data")
    before = engine.snapshot()
    row["history"][:] = 7
    assert engine.snapshot() == before


def test_reset_forgets_everything(engine: online.Engine) -> None:
    fresh = engine.snapshot()
    engine.bar("SPX", DAY, *GOOD)
    engine.text("SPX", "news", dt.datetime(2024, 5, 6, tzinfo=UTC), 0.5)
    engine.reset()
    assert engine.snapshot() == fresh
    engine.bar("SPX", DAY - dt.timedelta(days=300), *GOOD)


def test_a_snapshot_of_other_definitions_is_refused(engine: online.Engine) -> None:
    other = online.Engine(definitions.declare(["SPX"]))
    with pytest.raises(online.SnapshotError, match="other definitions"):
        engine.restore(other.snapshot())
    with pytest.raises(online.SnapshotError, match="schema None"):
        engine.restore({})


def test_a_damaged_snapshot_is_refused_and_leaves_an_empty_engine(engine: online.Engine) -> None:
    engine.bar("SPX", DAY, *GOOD)
    snapshot = engine.snapshot()
    snapshot["symbols"]["SPX"]["states"] = snapshot["symbols"]["SPX"]["states"][:-1]
    with pytest.raises(online.SnapshotError, match="damaged"):
        engine.restore(snapshot)
    assert engine.symbols == ()


def test_a_sentiment_halves_its_texts_weights_every_day(engine: online.Engine) -> None:
    noon = dt.datetime(2024, 5, 6, 12, tzinfo=UTC)
    assert engine.text("SPX", "news", noon, 1.0) == {"SPX"}
    engine.text("SPX", "news", noon + dt.timedelta(days=1), -0.5)
    engine.text("SPX", "social", noon + dt.timedelta(days=1), 0.25)
    assert engine.newest_text("SPX") == noon + dt.timedelta(days=1)
    row = engine.row("SPX", "sentiment")
    assert row["news_sentiment"] == pytest.approx((0.5 * 1.0 - 0.5) / 1.5, abs=1e-15)
    assert row["social_sentiment"] == 0.25
    # A text of exactly a day before is no longer in the day.
    assert (row["news_count_1d"], row["social_count_1d"]) == (1.0, 1.0)


def test_texts_count_alike_in_whichever_order_they_arrive(engine: online.Engine) -> None:
    random = np.random.default_rng(4)
    start = dt.datetime(2024, 5, 1, tzinfo=UTC)
    texts = [
        (kind, start + dt.timedelta(hours=float(hours)), float(score))
        for kind, hours, score in zip(
            random.choice(["news", "social"], 300),
            random.uniform(0, 240, 300),
            random.uniform(-1, 1, 300),
            strict=True,
        )
    ]
    for kind, moment, score in sorted(texts, key=lambda text: text[1]):
        engine.text("SPX", kind, moment, score)
    for place in random.permutation(300):
        engine.text("WTI", *texts[place])
    inorder, shuffled = engine.row("SPX", "sentiment"), engine.row("WTI", "sentiment")
    assert inorder == pytest.approx(shuffled, rel=1e-12)
    newest = max(moment for _, moment, _ in texts)
    weights, total = 0.0, 0.0
    for kind, moment, score in texts:
        if kind == "news":
            weight = 0.5 ** ((newest - moment) / dt.timedelta(days=1))
            weights, total = weights + weight, total + weight * score
    assert inorder["news_sentiment"] == pytest.approx(total / weights, rel=1e-12)
    assert inorder["news_count_1d"] == sum(
        kind == "news" and newest - moment < dt.timedelta(days=1) for kind, moment, _ in texts
    )


def test_texts_come_back_from_a_snapshot(engine: online.Engine) -> None:
    moment = dt.datetime(2024, 5, 6, 12, tzinfo=UTC)
    engine.text("SPX", "news", moment, 1.0)
    other = online.Engine(definitions.declare(["SPX", "WTI"]))
    other.restore(engine.snapshot())
    for each in (engine, other):
        each.text("SPX", "news", moment + dt.timedelta(hours=3), -1.0)
    row = other.row("SPX", "sentiment")
    assert row["news_count_1d"] == 2
    assert math.isnan(row["social_sentiment"])
    social = "social_sentiment"
    assert {name: value for name, value in row.items() if name != social} == {
        name: value for name, value in engine.row("SPX", "sentiment").items() if name != social
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (("FOO", "news", dt.datetime(2024, 5, 6, tzinfo=UTC), 0.0), "unknown_symbol"),
        (("SPX", "rumour", dt.datetime(2024, 5, 6, tzinfo=UTC), 0.0), "kind"),
        (("SPX", "news", dt.datetime(2024, 5, 6), 0.0), "date"),  # noqa: DTZ001  # what is tested
        (("SPX", "news", dt.datetime(2024, 5, 6, tzinfo=UTC), 1.1), "score"),
        (("SPX", "news", dt.datetime(2024, 5, 6, tzinfo=UTC), math.nan), "score"),
    ],
)
def test_a_text_that_cannot_be_used_is_refused_with_its_reason(
    engine: online.Engine, text: tuple[str, str, dt.datetime, float], reason: str
) -> None:
    with pytest.raises(online.TextRefused) as refused:
        engine.text(*text)
    assert refused.value.reason == reason
    assert engine.newest_text("SPX") is None


def test_a_bar_and_its_rows_take_well_under_a_millisecond() -> None:
    frames = markets.simulated()
    engine = online.Engine(definitions.declare(frames))
    spent = []
    for day in markets.by_day(frames):
        for bar in day:
            began = time.perf_counter()
            engine.bar(*bar)
            markets.whole_row(engine, bar[0])
            spent.append(time.perf_counter() - began)
    # The quarter that other work on the machine disturbed least; 0.1 ms where nothing else runs.
    assert statistics.quantiles(spent, n=4)[0] < 0.5e-3
