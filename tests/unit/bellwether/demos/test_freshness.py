"""Which bars wait for an answer, and how long each did."""

import threading

import numpy as np
import pytest

from bellwether.demos import freshness, timeline


def test_a_bar_waits_until_an_answer_has_its_date():
    fresh = freshness.Freshness()
    fresh.arrived("SPX", "2016-01-05", 10.0)
    fresh.answered("SPX", "2016-01-04", 10.05)
    assert fresh.waiting("SPX")
    assert not fresh.waiting("WTI")
    fresh.answered("SPX", "2016-01-05", 10.1)
    assert not fresh.waiting("SPX")
    (served,) = fresh.served
    assert served.seconds == pytest.approx(0.1)
    assert not served.superseded


def test_an_answer_with_a_later_date_serves_the_earlier_bars_and_says_so():
    fresh = freshness.Freshness()
    fresh.arrived("SPX", "2016-01-05", 10.0)
    fresh.arrived("SPX", "2016-01-06", 10.2)
    fresh.answered("SPX", "2016-01-06", 10.3)
    assert [each.superseded for each in fresh.served] == [True, False]
    assert np.allclose(fresh.milliseconds(), [300, 100])


def test_a_bar_that_is_known_already_is_counted_but_not_waited_for():
    fresh = freshness.Freshness()
    fresh.answered("SPX", "2016-01-05", 9.0)
    fresh.arrived("SPX", "2016-01-05", 10.0)
    assert fresh.bars == 1
    assert not fresh.waiting("SPX")


def test_after_a_reset_earlier_days_are_news_again():
    fresh = freshness.Freshness()
    fresh.answered("SPX", "2018-12-31", 9.0)
    fresh.reset("2016-01-04")
    # The stream has not come to the reset yet: this answer is of before it.
    fresh.answered("SPX", "2018-12-31", 9.5)
    fresh.arrived("SPX", "2016-01-05", 10.0)
    fresh.answered("SPX", "2018-12-31", 10.1)
    assert fresh.waiting("SPX")
    fresh.answered("SPX", "2016-01-05", 10.2)
    assert [each.seconds for each in fresh.served] == [pytest.approx(0.2)]


def test_bars_that_wait_too_long_are_counted():
    fresh = freshness.Freshness()
    fresh.arrived("SPX", "2016-01-05", 10.0)
    fresh.arrived("WTI", "2016-01-05", 11.5)
    assert fresh.overdue(12.5, 2.0) == 1


def test_whoever_waits_is_woken_by_a_bar():
    fresh = freshness.Freshness()
    threading.Timer(0.05, fresh.arrived, ("SPX", "2016-01-05", 10.0)).start()
    assert fresh.wait("SPX", 10)


def test_the_lowest_quality_of_a_stretch_is_found():
    seen = timeline.Timeline()
    for at, value in ((1.0, 1.0), (2.0, 0.4), (3.0, 0.9)):
        seen.add("SPX", at, value)
    seen.add("SPX", 3.05, 0.9)
    assert seen.lowest(0, 1.5) == 1.0
    assert seen.lowest(1.5, 3) == 0.4
    assert np.isnan(seen.lowest(5, 6))
    assert len(seen.of("SPX")[0]) == 3, "what did not change is not kept again at once"
