"""Work fills the time that it is given, on a clock that the test moves."""

import dataclasses

import pytest

from bellwether.demos import pace


@dataclasses.dataclass
class Time:
    at: float = 0.0

    def sleep(self, seconds):
        self.at += seconds

    def clock(self):
        return pace.Clock(lambda: self.at, self.sleep)


@pytest.mark.parametrize(("count", "seconds"), [(1, 5), (7, 60), (146, 60), (5000, 60)])
def test_work_fills_the_time_and_each_piece_comes_once(count, seconds):
    time = Time()
    frames = list(pace.Pace(count, seconds, time.clock()).frames())
    assert [place for frame in frames for place in range(frame.start, frame.stop)] == list(
        range(count)
    )
    assert time.at == pytest.approx(seconds, abs=1.0)


def test_a_slow_frame_is_caught_up_with_but_not_all_at_once():
    time = Time()
    sizes = []
    for frame in pace.Pace(400, 100, time.clock()).frames():
        sizes.append(frame.stop - frame.start)
        if len(sizes) == 10:
            time.at += 20
    assert max(sizes) == 2
    assert sum(sizes) == 400
    assert time.at == pytest.approx(100, abs=1.0)


def test_work_that_is_too_slow_ends_with_the_time_and_says_how_far_it_came():
    time = Time()
    of = pace.Pace(1000, 10, time.clock())
    for _ in of.frames():
        time.at += 2.0
    assert time.at < 10 + 2.5
    assert 0 < of.done < 1000
    assert of.left == 0
