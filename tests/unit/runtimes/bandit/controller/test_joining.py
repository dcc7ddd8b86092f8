import dataclasses
import math
import random
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest

from runtimes.bandit.controller import joining
from runtimes.bandit.controller.exact import ExactSums
from runtimes.bandit.controller.joining import Decisions, Join, Limits, Rewards

LIMIT = 1000
ARMS = 3


@dataclasses.dataclass
class Plain:
    """The same rules, one record at a time, with dictionaries."""

    limits: Limits
    watermark: int = -(10**18)
    decisions: Counter = dataclasses.field(default_factory=Counter)
    rewards: Counter = dataclasses.field(default_factory=Counter)
    learnt: list = dataclasses.field(default_factory=list)
    open: dict = dataclasses.field(default_factory=dict)
    waiting: dict = dataclasses.field(default_factory=dict)
    used: set = dataclasses.field(default_factory=set)

    def decide(self, id_, time, arm):
        self.watermark = max(self.watermark, time)
        if id_ in self.open:
            self.decisions["duplicate"] += 1
            return
        self.open[id_] = (time, arm)
        name = {joining.ELSEWHERE: "other_experiment", joining.UNKNOWN_ARM: "unknown_arm"}
        self.decisions[name.get(arm, "taken")] += 1
        if id_ in self.waiting:
            self.join(id_, *self.waiting.pop(id_))

    def reward(self, id_, time, value):
        self.watermark = max(self.watermark, time)
        if id_ in self.used or id_ in self.waiting:
            self.rewards["duplicate"] += 1
        elif id_ in self.open:
            self.join(id_, time, value)
        else:
            self.waiting[id_] = (time, value)

    def join(self, id_, time, value):
        self.used.add(id_)
        decided, arm = self.open[id_]
        if arm == joining.ELSEWHERE:
            self.rewards["other_experiment"] += 1
        elif arm == joining.UNKNOWN_ARM:
            self.rewards["unknown_arm"] += 1
        elif time - decided > self.limits.reward:
            self.rewards["late"] += 1
        else:
            self.rewards["learnt"] += 1
            self.learnt.append((arm, value))

    def end(self):
        learnt, self.learnt = self.learnt, []
        for id_, (time, _) in list(self.open.items()):
            if time < self.watermark - self.limits.kept:
                del self.open[id_]
                self.used.discard(id_)
        for id_, (time, _) in list(self.waiting.items()):
            if time < self.watermark - self.limits.reward:
                del self.waiting[id_]
                self.rewards["unknown"] += 1
        return learnt


def _decisions(records):
    ids, times, arms = zip(*records, strict=True) if records else ((), (), ())
    return Decisions(list(ids), np.array(times, np.int64), np.array(arms, np.uint8))


def _rewards(records):
    ids, times, values, offsets = zip(*records, strict=True) if records else ((), (), (), ())
    return Rewards(
        list(ids), np.array(times, np.int64), np.array(values, float), np.array(offsets, np.int64)
    )


def _stream(seed, epochs=12, size=120):
    """Epochs of decisions and rewards: doubles, late ones, unknown ones, rewards that come first."""
    draw = random.Random(seed)  # noqa: S311 - a test's values, the same each time
    time, number, offset, known = 0, 0, 0, []
    for _ in range(epochs):
        decisions, rewards = [], []
        for _ in range(size):
            time += draw.randrange(0, 12)
            if draw.random() < 0.1 and known:
                id_ = draw.choice(known)
            else:
                number += 1
                id_ = f"id-{number}"
            known = [*known[-400:], id_]
            arm = draw.choice([0, 1, 2, 2, joining.ELSEWHERE, joining.UNKNOWN_ARM])
            decisions.append((id_, time, arm))
            if draw.random() < 0.9:
                ahead = f"id-{number + draw.randrange(0, 30)}"
                id_ = draw.choice([draw.choice(known), id_, ahead, f"nobody-{number}"])
                value = draw.gauss(0, 1) * 10.0 ** draw.randrange(-8, 8)
                rewards.append((id_, time + draw.choice([0, 5, -5]), value, offset))
                offset += 1
        yield decisions, rewards
        time += draw.choice([0, 0, 300, 1500])


def _feed(join, decisions, rewards, draw):
    """Hand an epoch over in batches of any size, the two topics interleaved in any way."""
    d, r = list(decisions), list(rewards)
    while d or r:
        if d and (not r or draw.random() < 0.5):
            count = draw.randrange(1, 60)
            join.decide(_decisions(d[:count]))
            d = d[count:]
        else:
            count = draw.randrange(1, 60)
            join.reward(_rewards(r[:count]))
            r = r[count:]


@pytest.mark.parametrize("seed", range(8))
def test_what_is_learnt_does_not_depend_on_how_the_topics_are_read(seed):
    limits = Limits(LIMIT)
    plain, join = Plain(limits), Join(ARMS, limits)
    draw = random.Random(seed + 100)  # noqa: S311 - as above
    for decisions, rewards in _stream(seed):
        for each in decisions:
            plain.decide(*each)
        for id_, time, value, _ in rewards:
            plain.reward(id_, time, value)
        _feed(join, decisions, rewards, draw)
        expected, got = plain.end(), join.learnt()
        for arm in range(ARMS):
            values = [value for of, value in expected if of == arm]
            assert got.counts[arm] == len(values)
            assert got.sums[arm] == math.fsum(values)
            exact = [Fraction(value) for value in values]
            mean = sum(exact) / max(len(exact), 1)
            assert got.deviations[arm] == float(sum((each - mean) ** 2 for each in exact))
        assert {k: v for k, v in join.reward_counts.items() if v} == +plain.rewards
        assert {k: v for k, v in join.decision_counts.items() if v} == +plain.decisions
        assert join.unanswered() == len(plain.waiting)
        join.compact()
    for outcome in ("learnt", "duplicate", "late", "unknown", "other_experiment", "unknown_arm"):
        assert plain.rewards[outcome] > 0, outcome


def test_a_reward_is_late_beyond_its_limit_and_unknown_once_that_is_over_twice():
    join = Join(1, Limits(LIMIT))
    join.decide(_decisions([("a", 0, 0), ("b", 0, 0), ("c", 0, 0)]))
    join.reward(_rewards([("a", LIMIT, 1.0, 0), ("b", LIMIT + 1, 1.0, 1)]))
    assert (join.reward_counts["learnt"], join.reward_counts["late"]) == (1, 1)
    join.decide(_decisions([("z", 2 * LIMIT + 1, 0)]))
    join.learnt()
    join.reward(_rewards([("c", 2 * LIMIT + 1, 1.0, 2)]))
    join.decide(_decisions([("y", 5 * LIMIT, 0)]))
    join.learnt()
    assert join.reward_counts["unknown"] == 1
    assert join.reward_counts["late"] == 1


def test_of_too_many_decisions_the_oldest_are_forgotten_at_an_epochs_end():
    join = Join(1, Limits(10**9, decisions=500))
    for first in range(0, 2000, 100):
        join.decide(_decisions([(f"id-{n}", n, 0) for n in range(first, first + 100)]))
        join.learnt()
        join.compact()
        assert len(join.open.times()) == min(500, first + 100)
    join.reward(_rewards([("id-1499", 2000, 1.0, 0), ("id-1500", 2000, 1.0, 1)]))
    assert join.reward_counts["learnt"] == 1
    assert len(join.open) <= 1000


def test_of_too_many_rewards_without_a_decision_the_oldest_are_given_up():
    join = Join(1, Limits(10**9, decisions=10_000))
    join.reward(_rewards([(f"nobody-{n}", n, 1.0, n) for n in range(3000)]))
    join.learnt()
    assert join.unanswered() == 1000
    assert join.reward_counts["unknown"] == 2000


def test_sums_are_exact_whatever_the_order():
    draw = np.random.default_rng(3)
    values = draw.normal(size=5000) * 10.0 ** draw.integers(-120, 120, 5000)
    values[:10] = [0.0, -0.0, 5e-324, -5e-324, 1e150, -1e150, 2.0**-1074, 1.0, 1e-300, 3.5]
    places = draw.integers(0, 4, 5000)
    for order in (np.arange(5000), draw.permutation(5000)):
        sums = ExactSums(5)
        for batch in np.array_split(order, 17):
            sums.add(places[batch], values[batch])
        for place in range(4):
            exact = sum((Fraction(v) for v in values[places == place].tolist()), Fraction(0))
            assert sums.values()[place] == float(exact)
        assert sums.values()[4] == 0


def test_no_arm_and_too_many_arms_are_refused():
    for arms in (0, 251):
        with pytest.raises(ValueError, match="arms"):
            Join(arms, Limits(LIMIT))
