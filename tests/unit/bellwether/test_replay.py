import datetime as dt
import pathlib
import socket

import pytest

from bellwether import environment, features, headlines, replay
from models import sources

ARCH = sources.Source(None)


@pytest.fixture(scope="module")
def week():
    return replay.plan(ARCH, dt.date(2008, 9, 12), dt.date(2008, 9, 19))


def test_the_days_come_in_their_order_with_the_bars_of_all_symbols(week):
    assert week.before == dt.date(2008, 9, 11)
    assert [day.day for day, _ in week.days] == [12, 15, 16, 17, 18, 19]
    for _, bars in week.days:
        assert [bar.symbol for bar in bars] == ["IXIC", "SPX", "WTI"]
    lehman = dict(week.days)[dt.date(2008, 9, 15)]
    assert lehman[1].log_return == pytest.approx(-0.0483, abs=1e-4)


def test_without_a_first_day_the_last_year_is_replayed():
    year = replay.plan(ARCH, last=dt.date(2018, 12, 31), symbols=["SPX"])
    assert len(year.days) == replay.FEWEST_DAYS
    assert year.days[-1][0] == dt.date(2018, 12, 31)
    assert all([bar.symbol for bar in bars] == ["SPX"] for _, bars in year.days)


def test_an_unknown_symbol_and_an_empty_span_are_told_with_what_there_is():
    with pytest.raises(sources.DataError, match="there are SPX, IXIC, WTI, VIX"):
        replay.plan(ARCH, symbols=["SPY"])
    with pytest.raises(sources.DataError, match="there is data from 1986-01-02 to 2019"):
        replay.plan(ARCH, dt.date(2030, 1, 1))


def test_texts_are_marked_and_the_same_for_a_seed():
    day = dt.date(2008, 9, 15)
    said = headlines.of_day("SPX", day, -0.05, 0.008, seed=3)
    assert said == headlines.of_day("SPX", day, -0.05, 0.008, seed=3)
    assert said != headlines.of_day("SPX", day, -0.05, 0.008, seed=4)
    assert said
    assert all(text.text.startswith("[made up] ") for text in said)
    assert all(text.time.date() == day for text in said)
    assert [text.time for text in said] == sorted(text.time for text in said)


def test_the_mood_loosely_follows_the_days_return():
    def share(log_return, words):
        texts = [
            text.text
            for place in range(300)
            for text in headlines.of_day(
                "SPX", dt.date(2000, 1, 1) + dt.timedelta(place), log_return, 0.008
            )
        ]
        return sum(any(word in text for word in words) for text in texts) / len(texts)

    good, bad = ("gain", "rall", "Strong", "love", "great"), ("fall", "anic", "bad", "isaster")
    assert share(0.03, good) > 2 * share(-0.03, good)
    assert share(-0.03, bad) > 2 * share(0.03, bad)


def test_a_replay_into_nothing_says_what_to_do():
    with socket.create_server(("127.0.0.1", 0)) as held:
        nobody = f"127.0.0.1:{held.getsockname()[1]}"
    with pytest.raises(features.FeatureStoreError, match="make up"):
        features.Producer(nobody).check(seconds=0.5)
    with pytest.raises(features.FeatureStoreError, match="make up"):
        replay.MarketClock(nobody).check()


@pytest.mark.parametrize("speed", [0.0, -1.0, float("inf"), float("nan")])
def test_a_speed_that_is_none_is_refused(speed):
    with pytest.raises(features.FeatureStoreError, match="above 0"):
        replay.run(environment.Stack("test"), speed)


def test_a_training_set_without_trained_steps_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("BELLWETHER_CACHE", str(tmp_path))
    with pytest.raises(features.FeatureStoreError, match="bellwether train"):
        features.training_set(environment.Stack("test"), pathlib.Path("x.parquet"))
