"""Charts are well-formed pictures of what they are given."""

import xml.etree.ElementTree as ET

import pytest

from runtimes.console.charts import axes, bars, curves


def read(tag):
    return ET.fromstring(str(tag))  # noqa: S314  written here


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (0.0301, 0.0377, [0.032, 0.034, 0.036]),
        (-1, 1, [-1, -0.5, 0, 0.5, 1]),
        (3, 3, [3]),
        (float("nan"), 1, None),
    ],
)
def test_ticks_are_round_numbers_within_bounds(low, high, expected):
    found = axes.ticks(low, high)
    assert len(found) == 1 if expected is None else found == expected


def test_a_scale_maps_its_ends_to_its_ends_and_one_value_to_its_start():
    scale = axes.Scale(2, 4, 100, 300)
    assert [scale(2), scale(3), scale(4)] == [100, 200, 300]
    assert axes.Scale(2, 2, 100, 300)(2) == 100


def test_a_line_that_has_gaps_is_drawn_of_what_is_there():
    series = [curves.Series("a", (0.0, 1.0, 2.0), (1.0, float("nan"), 3.0))]
    picture = read(curves.lines(series, "a picture", form=lambda at: f"{at:g}", times=False))
    assert picture.attrib["aria-label"] == "a picture"
    (path,) = [each for each in picture.iter("path") if "line" in each.attrib["class"]]
    assert path.attrib["d"].count("L") == 1
    assert "nan" not in path.attrib["d"]


def test_nothing_to_draw_is_an_empty_picture():
    picture = read(curves.lines([], "nothing", form=str, times=False))
    assert not list(picture.iter("path"))
    read(curves.shares([], "nothing"))
    read(curves.densities([], "nothing", form=str))


def test_a_waterfall_ends_where_its_parts_lead():
    parts = [bars.Bar("a", 0.5, "+0.5"), bars.Bar("b", -0.25, "-0.25")]
    picture = read(bars.waterfall(1.0, parts, "sum", form=lambda at: f"{at:g}"))
    first, second = list(picture.iter("rect"))
    left, width = (float(second.attrib[name]) for name in ("x", "width"))
    begins, reach = (float(first.attrib[name]) for name in ("x", "width"))
    assert left + width == pytest.approx(begins + reach, abs=0.05), "what is less begins there"
    assert width == pytest.approx(reach / 2, abs=0.05)
    assert "less" in second.attrib["class"]


def test_names_are_written_as_text():
    picture = bars.across([bars.Bar("<b>&", 1.0, "1")], "x", form=str)
    assert [each.text for each in read(picture).iter("text") if each.attrib["class"] == "name"] == [
        "<b>&"
    ]
