"""Windows of joins, moment by moment."""

import pytest

from infra.local.dataflow.joins import Join, Source, State
from infra.local.dataflow.tensors import Content, Message, Tensor


def state(kind, count=3, window=10.0):
    return State(Join(kind, window, tuple(Source(f"s{n}", n, None, {}) for n in range(count))))


def message(name, at):
    return Message((Tensor(name, Content("FP64", [1], [1.0])),), at, None, ((f"x-{name}", "v"),))


def names(outcome):
    return [tensor.name for tensor in outcome.tensors]


@pytest.mark.parametrize(
    ("moments", "joins"),
    [
        ((0, 5, 9), True),
        ((0, 9, 18), True),  # 18 is 9 after the latest of those before it
        ((18, 9, 18), True),
        ((0, 11, 12), False),
        ((0, 1, 12), False),
        ((12, 1, 1), False),
    ],
)
def test_an_inner_partner_is_within_the_window_of_the_latest_before_it(moments, joins):
    joined = state("inner")
    for at, place in sorted((at, place) for place, at in enumerate(moments)):
        if not joined.settled:
            joined.arrive(place, message(f"t{place}", at))
    assert (joined.outcome is not None) == joins
    assert joined.lost == joined.late == (not joins)
    if joined.outcome is not None:
        assert names(joined.outcome) == ["t0", "t1", "t2"]
        assert joined.outcome.at == max(moments)


def test_the_deadline_is_when_the_join_becomes_impossible():
    joined = state("inner")
    assert joined.deadline() is None
    joined.arrive(1, message("b", 5.0))
    assert joined.deadline() == 15.0
    joined.arrive(0, message("a", 8.0))
    assert joined.deadline() == 18.0, "the third follows the later of the first two"


def test_an_outer_window_begins_with_the_first():
    joined = state("outer")
    joined.arrive(2, message("c", 3.0))
    joined.arrive(0, message("a", 9.0))
    assert joined.deadline() == 13.0
    joined.expire()
    assert names(joined.outcome) == ["a", "c"]


def test_any_has_no_window():
    joined = state("any")
    joined.lose(0, "absent")
    assert joined.deadline() is None
    joined.arrive(1, message("b", 3.0))
    assert names(joined.outcome) == ["b"]


@pytest.mark.parametrize("kind", ["outer", "any"])
def test_what_needs_one_is_lost_with_the_last(kind):
    joined = state(kind)
    joined.lose(0, "absent")
    joined.lose(1, "empty", ("X",))
    assert not joined.settled
    joined.lose(2, "absent")
    assert joined.lost
    assert joined.why == {0: ("absent", ()), 1: ("empty", ("X",)), 2: ("absent", ())}


def test_headers_of_joined_messages_are_kept_once_each():
    joined = state("inner", 2)
    joined.arrive(0, message("a", 1.0))
    joined.arrive(1, message("a", 1.0))
    assert joined.outcome.headers == (("x-a", "v"),)
