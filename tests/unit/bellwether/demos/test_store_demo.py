"""The feature store's demo against a gateway over a real socket and a replay that the test makes."""

import collections
import io
import json
import threading
import time

import numpy as np
import pytest
import rich.console
import small_gateway

from bellwether import demos
from bellwether.demos import (
    freshness,
    gateway,
    shelf,
    store,
    store_picture,
    streaming,
    timeline,
    work,
)
from models import sources

COLUMNS = ("return_1d", "rsi_14d", "macd_12_26", "log_variance_22d")
PREDICTOR = "baseline-predictor"
SYMBOLS = ("SPX", "WTI")


def metadata():
    def tensor(name, columns):
        return {
            "name": name,
            "parameters": {"columns": ",".join(columns), "units": "; ".join("u" for _ in columns)},
        }

    return {
        PREDICTOR: {"inputs": [tensor("features", COLUMNS), tensor("history", ("a", "b", "c"))]}
    }


class Store:
    """A store that has a bar some time after it came, and finds it stale 0.3 s later."""

    def __init__(self):
        self.delay = 0.03
        self.bars = {symbol: [(0.0, "2015-12-31")] for symbol in SYMBOLS}

    def enrichment(self, tensors):
        (symbol,) = tensors["symbol"]
        if symbol not in self.bars:
            raise small_gateway.Refusal(400, f"symbol {symbol!r} is unknown; known are SPX, WTI")
        now = time.time()
        known = [(at, date) for at, date in self.bars[symbol] if at + self.delay <= now]
        return {
            "symbol": [symbol],
            "date": [known[-1][1]],
            "features": np.array([[0.01, 55.0, 0.002, -3.0]]),
            "quality_score": np.array([1.0 if now - known[-1][0] < 0.3 else 0.4]),
            "quality": ['{"stale": [], "reason": "as it is"}'],
        }, [":enrichment_1:"]


class Replay:
    """Sends a bar of every symbol each 50 ms to the watch, as Kafka would."""

    def __init__(self, of, watch, days=10_000):
        self._store, self._watch, self._days = of, watch, days
        self._goes, self._over = threading.Event(), threading.Event()
        self.sent = self.held = 0
        self.ended = False

    def __enter__(self):
        self._goes.set()
        self._thread = threading.Thread(target=self._send)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._goes.set()
        self._thread.join()

    def _send(self):
        first = np.datetime64("2016-01-01")
        for day in range(self._days):
            self._goes.wait()
            if self._over.wait(0.05):
                return
            date = str(first + day)
            for symbol in SYMBOLS:
                now = time.time()
                self._store.bars[symbol].append((now, date))
                self._watch.record("market-data", {"symbol": symbol, "date": date}, now)
                self.sent += 1
        self.ended = True

    def hold(self):
        self.held += 1
        self._goes.clear()

    def go_on(self):
        self._goes.set()

    def check(self):
        pass


class Heard:
    def __init__(self):
        self.counts = collections.Counter({"feature-monitoring": 7})

    def check(self):
        pass


@pytest.fixture
def of():
    return Store()


@pytest.fixture
def asked(of):
    served = small_gateway.Gateway({"enrichment": of.enrichment}, metadata())
    with small_gateway.running(served) as url, gateway.Gateway(url) as found:
        yield found


def run(asked, of, seconds, **options):
    watch = streaming.Watch(shelf.Shelf(asked, SYMBOLS))
    shown = []
    with Replay(of, watch, **options) as replay, watch:
        result = streaming.run(watch, Heard(), replay, seconds, shown.append)
    return result, replay, watch, shown


def test_latency_is_that_from_arrival_to_the_first_answer_with_the_date(asked, of):
    result, replay, watch, shown = run(asked, of, 3)
    assert replay.held == 1
    assert 0 < result.bars <= replay.sent
    assert len(result.served) > 0.8 * result.bars
    # The store has a bar after 30 ms: no answer can have it sooner.
    assert result.milliseconds.min() >= 30
    p50, p99 = freshness.percentiles(result.milliseconds)
    assert p50 <= p99
    assert {now.phase for now in shown} >= {"replay goes", "replay is held"}
    console = rich.console.Console(file=io.StringIO(), width=160)
    console.print(store.live_table(watch, shown[-1]))
    assert "SPX" in console.file.getvalue()


def test_quality_falls_while_the_replay_is_held_and_comes_back(asked, of, tmp_path):
    result, _, _, _ = run(asked, of, 4)
    begin, end = result.held
    assert end - begin == pytest.approx(4 * 0.2, abs=0.5)
    document = result.document()
    assert document["lowest_quality"]["while_held"] == 0.4
    assert document["lowest_quality"]["at_the_end"] == 1.0
    assert document["feature_monitoring_records"] == 7
    json.dumps(document, allow_nan=False)
    assert any("0.400 while the stream was held" in each for each in store.sentences(result))
    path = tmp_path / "store.png"
    cost = work.Work(1.5, 200, 30.0, 7, bars=312, declarations=21)
    store_picture.draw(result, cost, path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_replay_that_has_ended_ends_the_watch(asked, of):
    result, _, _, _ = run(asked, of, 60, days=10)
    assert result.ended - result.began < 20
    assert result.held is None
    assert result.document()["lowest_quality"] is None


def test_a_replay_without_a_bar_is_an_error(asked, of, monkeypatch):
    monkeypatch.setattr(streaming, "FIRST_BAR_SECONDS", 0.3)
    watch = streaming.Watch(shelf.Shelf(asked, SYMBOLS))
    with Replay(of, watch, days=0) as replay, pytest.raises(demos.DemoError, match="sent no bar"):
        streaming.run(watch, Heard(), replay, 5, lambda now: None)


def test_a_symbol_that_the_store_refuses_is_named_and_the_others_go_on(asked):
    found = shelf.Shelf(asked, ("SPX", "GOLD"))
    assert found.read("GOLD") is None
    assert "known are SPX, WTI" in found.refusals["GOLD"]
    row = found.read("SPX")
    assert row.features == dict(zip(COLUMNS, (0.01, 55.0, 0.002, -3.0), strict=True))
    assert row.document()["quality"]["stale"] == []
    console = rich.console.Console(file=io.StringIO(), width=160)
    console.print(store.rows_table(found))
    assert "rsi_14d" in console.file.getvalue()
    assert "GOLD" not in console.file.getvalue()


def test_records_of_the_topics_are_told_apart(asked):
    watch = streaming.Watch(shelf.Shelf(asked, SYMBOLS))
    watch.record("market-data", {"symbol": "SPX", "time": "2016-01-04T21:00:00+00:00"}, 1.0)
    assert watch.fresh.waiting("SPX")
    watch.record("market-data", {"control": "reset", "until": "2015-12-31"}, 2.0)
    assert not watch.fresh.waiting("SPX")
    watch.record("market-data", None, 3.0)
    assert watch.fresh.bars == 1
    record = {"symbol": "SPX", "features": {"news_sentiment": 0.25}}
    watch.record("feature-monitoring", record, 4.0)
    assert store._found(watch.monitored["SPX"], "news_sentiment") == 0.25
    assert store._found(watch.monitored["SPX"], "nothing") is None


def test_the_work_with_and_without_a_store_is_measured_side_by_side(asked):
    found = work.measure(shelf.Shelf(asked, SYMBOLS), "SPX", sources.Source())
    assert found.declarations == len(COLUMNS) + 3
    assert found.bars == 252 + 60
    assert 0 < found.store_ms < found.computed_ms, "twenty rolling windows take longer than a look"
    assert found.document()["ratio"] == pytest.approx(found.ratio, abs=0.01)


def test_poor_answers_outside_of_the_hold_are_counted_with_their_reason():
    result = streaming.Result(
        symbols=SYMBOLS, began=0.0, ended=60.0, held=(30.0, 40.0), served=(), overdue=0, bars=1,
        monitored=0, quality=timeline.Timeline(),
        poor=(
            (-1.0, "before the first bar"), (5.0, "Valkey gave no reply"), (35.0, "stale"),
            (41.0, "stale"), (55.0, "stale"),
        ),
    )  # fmt: skip
    assert result.surprises == {"Valkey gave no reply": 1, "stale": 1}
    assert any("Valkey gave no reply" in each for each in store.sentences(result))
