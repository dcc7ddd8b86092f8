"""Each record is in the files exactly once, whatever is killed when; figures follow from the files."""

import errno
import itertools
import json
import math

import pyarrow.parquet as pq
import pytest

from runtimes.monitor import dataset, ledger, performance, records, schemas, truth


def closes(days=12):
    found = truth.Closes()
    for day in range(1, days + 1):
        found.add("SPX", f"2024-01-{day:02d}", 100.0 + (day % 3) - day / 10)
    return found


def row(number, *, date="2024-01-03", prediction=0.2, model="baseline-predictor"):
    return {
        "id": f"id-{number}",
        "time": records.moment(1_700_000_000_000 + number),
        "symbol": "SPX",
        "date": date,
        "prediction": prediction,
        "lower": prediction * 0.6,
        "upper": prediction * 1.6,
        "direction": 0.6,
        "confidence": 0.7,
        "position": 0.4,
        "regime": "baseline",
        "model": model,
        "version": "1",
        "artifact": "sha256-1",
        "quality_score": 1.0,
        "anomaly_score": 0.2,
        "drift_score": 0.0,
        "latency_ms": 3.0,
        "quality": "{}",
        "explanation": "{}",
        "rules": "[]",
    }


def made(folder, known=None):
    return ledger.Ledger(folder, known or closes(), 252)


def count(kept):
    return kept.query("select count(*) as n, count(distinct id) as ids from predictions")[0]


def test_records_that_are_read_again_are_kept_once(tmp_path):
    kept = made(tmp_path)
    for number in range(100):
        kept.take("predictions", number, row(number))
    kept.flush()
    for number in range(100, 150):
        kept.take("predictions", number, row(number))  # killed before it is written
    again = made(tmp_path)
    assert again.offset("predictions") == 100
    for number in range(80, 200):
        again.take("predictions", number, row(number))
    again.flush()
    assert count(again) == {"n": 200, "ids": 200}


def test_a_malformed_record_is_passed_and_not_read_again(tmp_path):
    kept = made(tmp_path)
    kept.take("predictions", 0, row(0))
    kept.take("predictions", 1, None)
    kept.flush()
    assert made(tmp_path).offset("predictions") == 2


def test_many_small_files_become_one_and_a_kill_between_counts_nothing_twice(tmp_path):
    kept = made(tmp_path)
    for number in range(dataset.JOINED):
        kept.take("predictions", number, row(number))
        kept.flush()
    folder = tmp_path / "predictions"
    assert len(list(folder.glob("*.parquet"))) == 1
    # As if it had been killed after the large file was there, before the small ones were gone.
    large = next(folder.glob("*.parquet"))
    pq.write_table(pq.read_table(large).slice(0, 1), folder / f"{0:06d}-{0:018d}-{1:018d}.parquet")
    again = made(tmp_path)
    assert count(again)["n"] == dataset.JOINED
    assert again.offset("predictions") == dataset.JOINED


def test_a_half_written_file_is_taken_away(tmp_path):
    folder = tmp_path / "predictions"
    folder.mkdir()
    (folder / ".000000-x.parquet.tmp").write_bytes(b"PAR1 half")
    kept = made(tmp_path)
    assert count(kept)["n"] == 0
    assert not list(folder.glob(".*"))


def test_a_full_disk_loses_nothing(tmp_path, monkeypatch):
    kept = made(tmp_path)
    kept.take("predictions", 0, row(0))

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(dataset.pq, "write_table", full)
        with pytest.raises(OSError, match="No space"):
            kept.flush()
    kept.take("predictions", 1, row(1))
    kept.flush()
    assert count(kept) == {"n": 2, "ids": 2}


def test_a_topic_that_begins_anew_is_kept_beside_what_was(tmp_path):
    kept = made(tmp_path)
    kept.take("predictions", 7, row(7))
    kept.flush()
    kept.begin_anew("predictions")
    kept.take("predictions", 0, row(1000))
    kept.flush()
    again = made(tmp_path)
    assert count(again)["n"] == 2
    assert again.offset("predictions") == 1


def test_errors_are_those_of_the_days_that_followed(tmp_path):
    kept = made(tmp_path)
    kept.take("predictions", 0, row(0, prediction=0.2))
    kept.flush()
    prices = [100.0 + (day % 3) - day / 10 for day in range(3, 9)]
    squares = [math.log(b / a) ** 2 for a, b in itertools.pairwise(prices)]
    realised = math.sqrt(252 / 5 * sum(squares))
    found = next(
        each for each in kept.performance.windows() if each["model"] == "baseline-predictor"
    )
    assert found["log_error"] == pytest.approx(abs(math.log(0.2 / realised)))
    ratio = realised / 0.2
    assert found["utility"] == pytest.approx(0.08 * ratio - 0.04 * ratio**2)
    assert found["hit_rate"] == float(prices[1] > prices[0])


def test_a_truth_that_comes_later_judges_what_was_predicted_before(tmp_path):
    known = closes(days=7)
    kept = made(tmp_path, known)
    kept.take("predictions", 0, row(0))
    kept.flush()
    assert kept.performance.windows() == []
    assert kept.close("SPX", "2024-01-08", 101.0)
    kept.flush()
    assert kept.performance.windows()[0]["predictions"] == 1


def test_truth_twice_is_counted_once_and_another_truth_replaces_it(tmp_path):
    kept = made(tmp_path, closes(days=8))
    kept.take("predictions", 0, row(0))
    kept.flush()
    before = kept.performance.windows()
    assert not kept.close("SPX", "2024-01-08", 100.0 + 8 % 3 - 0.8)
    kept.flush()
    assert kept.performance.windows() == before
    assert kept.close("SPX", "2024-01-08", 150.0)
    kept.flush()
    after = kept.performance.windows()
    assert after[0]["predictions"] == before[0]["predictions"]
    assert after[0]["log_error"] != before[0]["log_error"]


def test_performance_is_the_same_after_a_restart(tmp_path):
    kept = made(tmp_path)
    for number in range(60):
        day = f"2024-01-{number % 6 + 1:02d}"
        kept.take("predictions", number, row(number, date=day, prediction=0.1 + number / 300))
    kept.flush()
    found = {(e["days"], e["model"]): e for e in made(tmp_path).performance.windows()}
    for each in kept.performance.windows():
        for name in ("log_error", "bias", "utility", "coverage"):
            assert found[each["days"], each["model"]][name] == pytest.approx(each[name])


def test_a_percentile_is_among_those_before(tmp_path):
    kept = made(tmp_path)
    for number, prediction in enumerate((0.2, 0.1, 0.3, 0.15)):
        kept.take("predictions", number, row(number, prediction=prediction))
    kept.flush()
    rows = kept.query('select percentile from predictions order by "offset"')
    assert [each["percentile"] for each in rows] == [None, 0.0, 1.0, pytest.approx(1 / 3)]


def reward(number, value=1.0):
    return {
        "prediction_id": f"id-{number}",
        "time": records.moment(1_700_000_100_000),
        "metric": "business_value",
        "value": value,
    }


def rewards(outcome):
    return ledger.metrics.REWARDS.labels(outcome)._value.get()


def test_rewards_of_unknown_predictions_and_double_ones_are_told_apart(tmp_path):
    kept = made(tmp_path)
    kept.take("predictions", 0, row(0))
    before = {name: rewards(name) for name in ("joined", "unknown", "double")}
    kept.take("rewards", 0, reward(0))
    kept.take("rewards", 1, reward(0, 2.0))
    kept.take("rewards", 2, reward(99))
    after = {name: rewards(name) - before[name] for name in before}
    assert after == {"joined": 1, "unknown": 1, "double": 1}


def test_adwin_sees_a_mean_that_jumps_and_none_that_stays(tmp_path):
    kept = made(tmp_path)
    changes = ledger.metrics.DRIFT_ADWIN.labels("reward", "steady")
    for number in range(600):
        kept._watch("reward", "steady", 0.5 + 0.1 * math.sin(number))
        kept._watch("reward", "jumps", 0.5 if number < 300 else 0.9)
    assert changes._value.get() == 0
    assert ledger.metrics.DRIFT_ADWIN.labels("reward", "jumps")._value.get() == 1


def test_files_are_queried_by_their_names(tmp_path):
    kept = made(tmp_path)
    kept.take(
        "features",
        0,
        records.features(
            json.dumps(
                {"id": "a", "symbol": "SPX", "date": "2024-01-03", "features": {"rsi_14d": 50.0}}
            ).encode(),
            1_700_000_000_000,
        ),
    )
    kept.flush()
    found = kept.query("select id, json_extract(features, '$.rsi_14d') as rsi from features")
    assert found == [{"id": "a", "rsi": "50.0"}]
    assert set(schemas.DATASETS) == {"predictions", "features", "decisions", "rewards"}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "no value"),
        (b"{", "no JSON"),
        (b"[]", "expected an object"),
        (b'{"features": 3}', "`features`"),
        (b'{"features": {}, "symbol": "SPX"}', "`id`"),
    ],
)
def test_a_malformed_record_says_what_is_wrong(value, said):
    with pytest.raises(records.MalformedRecord, match=said):
        records.features(value, 0)


def test_a_utility_is_greatest_for_the_truth():
    true = truth.Truth("SPX", "2024-01-01", 0.2, rose=True)
    utilities = [
        performance.judged(row(0, prediction=forecast), true).utility
        for forecast in (0.1, 0.19, 0.2, 0.21, 0.4)
    ]
    assert max(utilities) == utilities[2] == pytest.approx(0.04)
