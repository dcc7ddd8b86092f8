"""The drift report: what it compares, and the page that Evidently draws in its own environment."""

import json
import re

import numpy as np
import pytest

from bellwether.reports import drift
from infra.local import toolchain
from runtimes.guard import windows

NAMES = ("still", "moved", "dead")
REFERENCE = windows.Reference.of(np.random.default_rng(1).normal(size=(1000, 3)), 500)


def _days(count: int) -> windows.Array:
    found = np.random.default_rng(2).normal(size=(count, 3))
    found[:, 1] += 2.0
    found[:, 2] = 0.0
    return found


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    if not toolchain.complete(drift.GROUP):
        pytest.fail("the monitor's environment is not installed: `make up` installs it")
    page = tmp_path_factory.mktemp("report") / "drift.html"
    p_values = drift._drawn(
        {"current": _days(200), "reference": REFERENCE.samples.T},
        {
            "features": list(NAMES),
            "threshold": drift.P_VALUE / 3,
            "share": 0.5,
            "about": {"symbol": "SPX", "first": "2018-01-01", "last": "2018-12-31"},
            "page": str(page),
        },
    )
    return page.read_text(), p_values


@pytest.mark.timeout(600)
def test_a_moved_and_a_dead_feature_are_below_the_corrected_p_value_and_a_still_one_is_not(drawn):
    _, p_values = drawn
    below = {name for name, value in p_values.items() if value < drift.P_VALUE / 3}
    assert below == {"moved", "dead"}


@pytest.mark.timeout(600)
def test_the_page_shows_every_feature_and_loads_nothing(drawn):
    page, _ = drawn
    assert set(NAMES) <= {name for name in NAMES if name in page}
    assert re.findall(r"<(?:script|img|iframe)[^>]*\ssrc=[\"']?http", page) == []
    assert re.findall(r"<link[^>]*\shref=[\"']?http", page) == []


def test_the_guards_verdict_stands_beside_each_p_value():
    limits = windows.Limits((25,), np.full((1, 3), 0.4), border=1)
    current = _days(25)
    verdict = limits.judge(REFERENCE.ranks(current))
    found = [
        drift._feature(place, name, 0.001, 0.01, REFERENCE, current, verdict)
        for place, name in enumerate(NAMES)
    ]
    assert [each.drifted for each in found] == [False, True, True]
    assert all(each.below_corrected for each in found)
    assert found[1].mean_after > 1.0


def test_a_record_that_is_malformed_or_lacks_a_feature_has_no_part_in_the_report():
    whole = {"symbol": "SPX", "date": "2018-12-31", "features": dict.fromkeys(NAMES, 1.0)}
    lacking = {**whole, "features": {"still": 1.0}}
    given = (json.dumps(whole).encode(), json.dumps(lacking).encode(), b"{")
    found = [drift._read(value, NAMES) for value in given]
    assert [each is not None for each in found] == [True, False, False]


def test_a_page_in_a_folder_that_does_not_exist_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(drift.ReportError, match="is no folder"):
        drift.make(None, "SPX", tmp_path / "none" / "page.html")  # type: ignore[arg-type]
