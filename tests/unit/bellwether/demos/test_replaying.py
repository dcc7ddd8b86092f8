"""A replay in a thread of its own is held, goes on, and ends with the demo."""

import datetime as dt
import threading
import time

import pytest

from bellwether.demos import replaying

DAY = dt.date(2016, 1, 4)


def until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.002)


class Sender:
    def __init__(self, days=10**9):
        self.days, self.sent, self.stopped = days, 0, False
        self.sending = threading.Event()

    def __call__(self, said):
        try:
            while self.sent < self.days:
                self.sent += 1
                said(DAY)
                time.sleep(0.001)
        finally:
            self.stopped = True


def test_a_held_replay_sends_nothing_until_it_goes_on():
    sender, days = Sender(), []
    with replaying.Replaying(sender, days.append) as replay:
        until(lambda: replay.days > 3)
        replay.hold()
        until(lambda: days)
        # Whoever waits inside `said` sends nothing: the thread is the only sender.
        held = sender.sent
        assert days == [DAY]
        assert not replay.ended
        replay.go_on()
        until(lambda: sender.sent > held)
        replay.check()
        assert days == [DAY], "a hold is told once"
    assert sender.stopped


def test_a_replay_ends_with_the_demo_even_while_it_is_held():
    sender = Sender()
    with replaying.Replaying(sender) as replay:
        until(lambda: replay.days > 3)
        replay.hold()
    assert sender.stopped


def test_a_replay_that_fails_is_told_with_its_own_error():
    def send(said):
        raise ValueError("Kafka is away")

    with replaying.Replaying(send) as replay:
        with pytest.raises(ValueError, match="Kafka is away"):
            until(replay.check)
        assert not replay.ended


def test_a_replay_that_sent_everything_has_ended_well():
    with replaying.Replaying(Sender(days=5)) as replay:
        until(lambda: replay.ended)
        replay.check()
        assert replay.days == 5
