"""A window of distinct days, and the episodes that are told of it."""

import json

import numpy as np
import pytest
import usual_days

from runtimes.guard import records, watch

ALARMS = watch.Alarms(threshold=0.5, ends_below=0.4, repeat_seconds=100.0)


def new_watch() -> watch.Watch:
    world = usual_days.world()
    return watch.Watch("AAA", world.references["AAA"], world.limits, ALARMS)


def day(number: int, shift: float = 0.0) -> records.Day:
    values = usual_days.history("AAA", seed=11)[number] + shift * usual_days.SPREAD["AAA"]
    return records.Day("AAA", f"2008-{1 + number // 28:02d}-{1 + number % 28:02d}", values)


def feed(watched: watch.Watch, numbers: range, shift: float = 0.0) -> watch.Watch:
    for number in numbers:
        watched.add(day(number, shift))
    watched.judge()
    return watched


def test_a_day_counts_once_however_often_it_is_asked_for():
    watched = new_watch()
    assert watched.add(day(0))
    assert not any(watched.add(day(0)) for _ in range(1000))
    assert watched.days == 1


def test_news_of_a_day_replace_it_in_its_place():
    watched = feed(new_watch(), range(5))
    watched.judge()
    assert watched.add(day(2, shift=1.0))
    assert watched.changed
    assert watched.days == 5
    assert watched.newest == day(4).date


def test_the_oldest_day_leaves():
    watched = feed(new_watch(), range(usual_days.LONGEST + 7))
    assert watched.days == usual_days.LONGEST
    assert watched.add(day(6))  # gone before, so it is new again
    assert not watched.add(day(usual_days.LONGEST + 6))


def test_nothing_is_judged_twice():
    watched = feed(new_watch(), range(15))
    assert not watched.changed
    assert watched.judge() is watched.judge()


def test_an_episode_is_told_once_then_repeated_then_ended():
    watched = feed(new_watch(), range(20))
    assert watched.tell(now=0.0) is None
    feed(watched, range(20, 40), shift=4.0)
    assert watched.tell(now=10.0) == watch.Told("drifted", since=10.0)
    assert watched.tell(now=11.0) is None
    feed(watched, range(40, 50), shift=4.0)
    assert watched.tell(now=109.0) is None
    assert watched.tell(now=110.0) == watch.Told("repeated", since=10.0)
    assert watched.tell(now=111.0) is None
    feed(watched, range(50, 75))
    assert watched.tell(now=120.0) == watch.Told("ended", since=10.0)
    assert watched.tell(now=121.0) is None


def test_an_episode_does_not_end_at_the_threshold():
    watched = feed(new_watch(), range(20), shift=4.0)
    watched.tell(now=1.0)
    assert watched.verdict is not None
    lingering = watch.Alarms(threshold=0.5, ends_below=0.4, repeat_seconds=1e9)
    watched._alarms = lingering
    watched.verdict = type(watched.verdict)(
        0.5,
        watched.verdict.drifted,
        watched.verdict.statistic,
        watched.verdict.critical,
        watched.verdict.days,
    )
    assert watched.tell(now=2.0) is None
    assert watched.episode is not None


def test_the_evidence_says_how_far_each_feature_went():
    watched = feed(new_watch(), range(20), shift=4.0)
    evidence = watched.evidence(usual_days.FEATURES)
    assert {each["name"] for each in evidence} == set(usual_days.FEATURES)
    for each in evidence:
        assert each["statistic"] > each["critical"]
        assert each["mean_before"] == pytest.approx(50.0, abs=1.0)
        assert each["mean_after"] == pytest.approx(90.0, abs=8.0)
        assert each["days"] in {10, 20}
    ratios = [each["statistic"] / each["critical"] for each in evidence]
    assert ratios == sorted(ratios, reverse=True)


def test_a_restored_watch_goes_on_as_the_one_before():
    before = feed(new_watch(), range(20), shift=4.0)
    before.tell(now=5.0)
    after = new_watch()
    after.restore(before.dump())
    after.judge()
    assert after.dump() == before.dump()
    assert after.verdict is not None
    assert before.verdict is not None
    assert after.verdict.score == before.verdict.score
    assert np.array_equal(after.verdict.statistic, before.verdict.statistic)
    assert after.tell(now=6.0) is None
    assert after.tell(now=105.0) == watch.Told("repeated", since=5.0)


def test_days_of_another_artifact_are_left_out():
    watched = new_watch()
    watched.restore(json.dumps({"days": {"2008-01-01": [1.0, 2.0]}, "episode": None}).encode())
    assert watched.days == 0


@pytest.mark.parametrize("dumped", [b"", b"[]", b'{"days": 3}', b'{"days": {"x": ["y"]}}'])
def test_what_is_no_window_is_refused(dumped):
    with pytest.raises(ValueError, match="no window"):
        new_watch().restore(dumped)
