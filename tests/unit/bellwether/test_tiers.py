"""Tiers that need the running environment are one run: it comes up once."""

from bellwether import checks


def test_stack_and_browser_are_one_run_where_both_are_asked_for():
    assert checks._runs(("unit", "stack", "browser")) == [("unit",), ("stack", "browser")]


def test_a_tier_alone_is_a_run_of_its_own():
    assert checks._runs(("browser",)) == [("browser",)]
    assert checks._runs(("lint", "stack")) == [("lint",), ("stack",)]
