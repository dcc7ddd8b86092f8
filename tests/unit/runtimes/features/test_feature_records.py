import datetime as dt
import json

import pytest

from runtimes.features import records

BAR = {"symbol": "SPX", "date": "2008-09-15", "open": 1.0, "high": 2.0, "low": 0.5, "close": 1.5}
TEXT = {"kind": "post", "symbol": "SPX", "time": "2008-09-15T12:00:00Z", "text": "well"}


def read(document):
    return records.market_data(json.dumps(document).encode())


def test_a_bar_is_of_its_date_or_of_its_times_day_in_utc():
    assert read(BAR).day == dt.date(2008, 9, 15)
    timed = {key: value for key, value in BAR.items() if key != "date"}
    assert read(timed | {"time": "2008-09-15T23:30:00-05:00"}).day == dt.date(2008, 9, 16)


def test_a_whole_number_is_a_price_too():
    assert read(BAR | {"close": 1}).close == 1.0


def test_a_reset_says_until_when():
    assert read({"control": "reset", "until": "2007-12-31"}).until == dt.date(2007, 12, 31)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (BAR | {"close": "1.5"}, "close"),
        (BAR | {"close": None}, "close"),
        (BAR | {"date": "15/09/2008"}, "date"),
        (BAR | {"time": "2008-09-15T12:00:00Z"}, "one of `date`"),
        (BAR | {"colour": "red"}, "colour"),
        ({"control": "reset"}, "until"),
        ({"control": "stop", "until": "2007-12-31"}, "control"),
        ([1, 2], "bar"),
        (17, "bar"),
    ],
)
def test_what_is_no_bar_is_told_by_the_field(document, said):
    with pytest.raises(records.Unusable, match=said) as raised:
        read(document)
    assert raised.value.reason == "malformed"


@pytest.mark.parametrize(
    ("value", "reason"), [(None, "empty"), (b"", "not_json"), (b"\xff\xfe", "not_json")]
)
def test_what_is_no_document_is_told_as_well(value, reason):
    with pytest.raises(records.Unusable) as raised:
        records.market_data(value)
    assert raised.value.reason == reason


def test_not_a_number_is_none():
    with pytest.raises(records.Unusable, match="finite"):
        records.market_data(json.dumps(BAR | {"close": float("nan")}).encode())


@pytest.mark.parametrize(
    "change",
    [{"kind": "rumour"}, {"time": "2008-09-15T12:00:00"}, {"text": ""}, {"symbol": ""}],
)
def test_what_is_no_text_is_refused(change):
    assert records.news(json.dumps(TEXT).encode()).text == "well"
    with pytest.raises(records.Unusable, match=next(iter(change))):
        records.news(json.dumps(TEXT | change).encode())
