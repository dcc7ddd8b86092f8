import json

import numpy as np
import pytest

from runtimes.features import definitions, online_row, quality

DECLARED = definitions.declare(("IXIC", "SPX"))
JUDGE = quality.Judge(DECLARED)
NOW = 1e9
MODEL = [feature.name for feature in DECLARED.model_features]


def row(age=0.0, **changed):
    """A row in the middle of all bounds, with changes by feature; None takes a value away."""
    features = {}
    for view in DECLARED.views:
        features[view.name] = {}
        for feature in view.features:
            value = changed.get(feature.name, (feature.lowest + feature.highest) / 2)
            if feature.name == "history" and "history" not in changed:
                value = np.zeros(feature.length)
                value[1::3] = -3.0
            if value is not None:
                features[view.name][feature.name] = value
    return online_row.Row(features, {view.name: NOW - age for view in DECLARED.views})


def judged(one, **given):
    return JUDGE.judge(one, JUDGE.stale(one.moments, NOW), given, NOW)


def test_everything_there_fresh_and_in_range_is_one():
    found = judged(row())
    assert found.score == 1.0
    assert "everything" in found.reason


def test_a_value_out_of_range_costs_its_share():
    found = judged(row(rsi_14d=101.0))
    assert found.score == pytest.approx(1 - 0.7 / len(MODEL))
    assert found.out_of_range == ("rsi_14d",)
    assert "rsi_14d" in found.reason


@pytest.mark.parametrize("name", [*MODEL, "history"])
def test_whatever_a_model_needs_and_lacks_leads_to_the_fallback(name):
    for value in (None, np.full(180, np.nan) if name == "history" else np.inf):
        found = judged(row(**{name: value}))
        assert found.score < 0.8
        assert name in (*found.missing, *found.not_finite)
        assert name in found.reason


def test_stale_bars_lead_to_the_fallback_and_say_how_old_they_are():
    limit = DECLARED.view("market_data").max_age.total_seconds()
    assert judged(row(age=limit)).score == 1.0
    found = judged(row(age=limit + 1))
    assert found.score == 0.0
    assert "market_data" in found.stale
    assert "5.0 days old, at most 5.0 days" in found.reason


def test_what_no_model_needs_is_named_and_weighs_nothing():
    found = judged(row(news_sentiment=None, correlation_22d_ixic=7.0))
    assert found.score == 1.0
    assert found.missing == ("news_sentiment",)
    assert found.out_of_range == ("correlation_22d_ixic",)


def test_a_given_value_counts_as_fresh_and_is_judged_like_any():
    assert judged(row(rsi_14d=None), rsi_14d=50.0).score == 1.0
    assert judged(row(), rsi_14d=-1.0).out_of_range == ("rsi_14d",)


def test_the_bounds_of_the_history_are_those_of_each_channel():
    history = np.zeros(180)
    history[1::3] = -3.0
    history[0] = 1.5  # more than any day's log return, and yet within the others' bounds
    assert judged(row(history=history)).out_of_range == ("history",)


def test_the_report_is_json_without_the_score():
    report = json.loads(judged(row(rsi_14d=None)).report())
    assert set(report) == {"missing", "not_finite", "out_of_range", "stale", "reason"}
    assert report["missing"] == ["rsi_14d"]
