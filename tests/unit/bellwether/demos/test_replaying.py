"""A real process is held, goes on, and ends."""

import sys
import time

import pytest

from bellwether import demos
from bellwether.demos import replaying

TICKING = """
import sys, time
with open(sys.argv[1], "ab", buffering=0) as file:
    while True:
        file.write(b".")
        time.sleep(0.01)
"""


def until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)


def test_a_held_replay_sends_nothing_until_it_goes_on(tmp_path):
    path = tmp_path / "ticks"
    path.touch()
    with replaying.Replay((sys.executable, "-c", TICKING, str(path))) as replay:
        until(lambda: path.stat().st_size > 3)
        replay.hold()
        status = f"/proc/{replay._process.pid}/stat"
        until(lambda: open(status).read().rpartition(")")[2].split()[0] == "T")  # noqa: SIM115, PTH123
        held = path.stat().st_size
        assert not replay.ended
        assert path.stat().st_size == held
        replay.go_on()
        until(lambda: path.stat().st_size > held)
    assert replay._process.poll() is not None, "it ended with the demo"


def test_a_replay_is_ended_even_while_it_is_held(tmp_path):
    path = tmp_path / "ticks"
    path.touch()
    with replaying.Replay((sys.executable, "-c", TICKING, str(path))) as replay:
        until(lambda: path.stat().st_size > 3)
        replay.hold()
    assert replay._process.poll() is not None


def test_a_replay_that_fails_is_told_with_what_it_said():
    script = "import sys; print('no symbol SPY'); sys.exit(3)"
    with replaying.Replay((sys.executable, "-c", script)) as replay:
        replay._process.wait(20)
        with pytest.raises(demos.DemoError, match="ended with 3: no symbol SPY"):
            replay.check()


def test_a_replay_that_sent_everything_has_ended_well():
    with replaying.Replay((sys.executable, "-c", "")) as replay:
        replay._process.wait(20)
        assert replay.ended
        replay.check()
