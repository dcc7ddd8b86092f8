"""Of many records for one day the last is read; what cannot be read says why."""

import json

import numpy as np
import pytest
import usual_days

from runtimes.guard import records

FEATURES = dict.fromkeys(usual_days.FEATURES, 1.5)


def record(symbol="AAA", date="2008-10-10", **more):
    return json.dumps(
        {"id": "1", "time": "x", "symbol": symbol, "date": date, "features": FEATURES} | more
    ).encode()


def test_of_one_day_the_last_record_stays():
    values = [record(id="1"), record(symbol="BBB"), record(id="2"), record(date="2008-10-11")]
    assert records.latest(values) == [values[2], values[1], values[3]]


def test_compact_json_is_seen_through_too():
    compact = [json.dumps(json.loads(record(id=str(n))), separators=(",", ":")) for n in range(3)]
    assert records.latest([each.encode() for each in compact]) == [compact[-1].encode()]


def test_what_does_not_say_whose_it_is_stays_whole():
    odd = [b"no json", None, record(date=""), b"no json"]
    assert records.latest(odd) == odd


def test_a_record_is_read():
    day = records.parse(record(features=FEATURES | {"macd": 2, "other": 9}), usual_days.FEATURES)
    assert (day.symbol, day.date) == ("AAA", "2008-10-10")
    assert day.features.tolist() == [1.5, 2.0, 1.5, 1.5]
    assert day.whole


@pytest.mark.parametrize("features", [{"rsi": 1.0}, FEATURES | {"macd": None}])
def test_a_missing_value_is_no_mistake(features):
    day = records.parse(record(features=features), usual_days.FEATURES)
    assert np.isnan(day.features).any()
    assert not day.whole


def test_a_request_that_found_no_store_is_not_whole():
    assert not records.parse(record(date=""), usual_days.FEATURES).whole


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "no value"),
        (b"{", "no JSON"),
        (b"[1]", "expected an object, got list"),
        (record(features=[1]), "`features` is no object"),
        (record(features=FEATURES | {"rsi": "high"}), "'rsi' is no number, but 'high'"),
        (record(features=FEATURES | {"rsi": True}), "'rsi' is no number, but True"),
        (record(symbol=7), "`symbol` is no text, but 7"),
        (record(date="10.10.2008"), "no ISO 8601 date, but '10.10.2008'"),
        (b"\xff\xfe", "no JSON"),
    ],
)
def test_a_malformed_record_says_why(value, reason):
    with pytest.raises(records.MalformedRecord, match=reason):
        records.parse(value, usual_days.FEATURES)
