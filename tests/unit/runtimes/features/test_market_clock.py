import datetime as dt
import math

import pytest

from runtimes.features import clock

MONDAY = dt.date(2008, 9, 15)
TUESDAY = dt.date(2008, 9, 16)
NOON = dt.datetime(2024, 1, 1, 12, tzinfo=dt.UTC).timestamp()


def test_without_a_clock_it_is_the_walls_time():
    assert clock.loads(None).now(NOON) == NOON


def test_a_clock_goes_at_its_rate_and_stops_by_itself():
    going = clock.going(clock.close_of(MONDAY), clock.close_of(TUESDAY), seconds=0.5, wall=NOON)
    monday, tuesday = (clock.close_of(day).timestamp() for day in (MONDAY, TUESDAY))
    assert going.now(NOON) == monday
    assert going.now(NOON + 0.25) == monday + 12 * 3600
    assert going.now(NOON + 0.5) == tuesday
    assert going.now(NOON + 1000) == tuesday


def test_a_frozen_clock_stands():
    frozen = clock.frozen(clock.close_of(MONDAY), wall=NOON)
    assert frozen.now(NOON + 1e6) == clock.close_of(MONDAY).timestamp()


@pytest.mark.parametrize(
    "written",
    [
        clock.frozen(clock.close_of(MONDAY), NOON),
        clock.going(clock.close_of(MONDAY), clock.close_of(TUESDAY), 0.05, NOON),
        clock.Clock(market=NOON, wall=NOON, rate=2.0),
    ],
)
def test_what_is_written_is_read(written):
    assert clock.loads(written.dumps()) == written


@pytest.mark.parametrize(
    "stored",
    [
        b"no JSON",
        b"[]",
        b"{}",
        b'{"market": "2008-09-15", "wall": "2008-09-15T00:00:00+00:00", "rate": 1}',
        b'{"market": "x", "wall": "y", "rate": 1}',
        b'{"market": "2008-09-15T00:00:00+00:00", "wall": "2008-09-15T00:00:00+00:00", "rate": NaN}',
    ],
)
def test_what_is_no_clock_is_refused_with_what_one_is(stored):
    with pytest.raises(clock.ClockError, match="bellwether:market-clock"):
        clock.loads(stored)


def test_old_data_stands_at_its_newest_bar_and_new_data_goes_by_the_wall():
    week = clock.close_of(MONDAY).timestamp() + 7 * 86400
    assert clock.of_newest(MONDAY, week - 1) is None
    standing = clock.of_newest(MONDAY, week)
    assert standing is not None
    assert standing.now(week + 1e6) == clock.close_of(MONDAY).timestamp()
    assert math.isfinite(standing.until)
