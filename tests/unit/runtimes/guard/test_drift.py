"""The drift watcher as it runs, against a real Kafka and a real Valkey."""

import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import time

import confluent_kafka
import guard_processes
import pytest
import redis
import usual_days

from runtimes.guard import scores

SHIFT = 4.0


@dataclasses.dataclass
class World:
    kafka: str
    valkey: redis.Redis
    configuration: pathlib.Path
    port: int
    producer: confluent_kafka.Producer
    next_day: int = 0

    def send(self, value: bytes, key: str = "AAA") -> None:
        self.producer.produce("feature-monitoring", value, key)

    def days(self, count: int, shift: float = 0.0, symbol: str = "AAA", times: int = 1) -> None:
        """Enriched requests of the next days, each of them several times."""
        values = usual_days.history(symbol, seed=11)
        for number in range(self.next_day, self.next_day + count):
            row = values[number] + shift * usual_days.SPREAD[symbol]
            for _ in range(times):
                self.send(record(symbol, number, row.tolist()), symbol)
        self.next_day += count
        assert self.producer.flush(20) == 0

    def score(self, symbol: str = "AAA") -> scores.Score | None:
        value = self.valkey.hget(scores.KEY, symbol)
        return None if value is None else scores.Score.decode(value)

    def until_days(self, days: int, symbol: str = "AAA") -> scores.Score:
        def enough() -> scores.Score | None:
            found = self.score(symbol)
            return found if found is not None and found.days >= days else None

        return guard_processes.until(enough, f"{days} days of {symbol} are judged")

    def until_above(self, border: float) -> scores.Score:
        def above() -> scores.Score | None:
            found = self.score()
            return found if found is not None and found.score > border else None

        return guard_processes.until(above, f"a score above {border}")

    def until_below(self, border: float) -> scores.Score:
        def below() -> scores.Score | None:
            found = self.score()
            return found if found is not None and found.score < border else None

        return guard_processes.until(below, f"a score below {border}")

    def alerts(self, count: int) -> list[dict]:
        def enough() -> list[dict] | None:
            found = guard_processes.read_topic(self.kafka, "drift")
            return found if len(found) >= count else None

        return guard_processes.until(enough, f"{count} alerts")

    def metric(self, start: str) -> float:
        return guard_processes.metric(f"http://127.0.0.1:{self.port}/metrics", start)

    def until_counted(self, start: str, value: float) -> None:
        guard_processes.until(
            lambda: True if self.metric(start) >= value else None, f"{start} counts {value}"
        )

    @contextlib.contextmanager
    def watching(self):
        with guard_processes.watcher(self.configuration) as process:

            def is_ready() -> bool | None:
                assert process.poll() is None, self.log()
                answer = guard_processes.ready(self.port)
                return True if answer is not None and answer.status_code == 200 else None

            guard_processes.until(is_ready, "the watcher is ready")
            yield process

    def log(self) -> str:
        return self.configuration.with_suffix(".log").read_text()


def record(symbol: str, number: int, values: list[float], **more) -> bytes:
    date = f"{2001 + number // 336}-{1 + number % 336 // 28:02d}-{1 + number % 28:02d}"
    features = dict(zip(usual_days.FEATURES, values, strict=True))
    document = {"id": "r", "symbol": symbol, "date": date, "features": features} | more
    return json.dumps(document).encode()


@pytest.fixture(scope="module")
def kafka(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kafka")
    with guard_processes.broker(folder, guard_processes.free_ports(3)) as address:
        yield address


@pytest.fixture
def world(kafka, tmp_path):
    """A watcher's surroundings: topics of the test's own, and an empty Valkey."""
    for topic in ("feature-monitoring", "drift"):
        empty(kafka, topic)
    valkey_port, port = guard_processes.free_ports(2)
    configuration = tmp_path / "drift.json"
    given = {
        "kafka": kafka,
        "valkey": f"127.0.0.1:{valkey_port}",
        "artifact": str(usual_days.write(tmp_path / "artifact")),
        "port": port,
        "group": tmp_path.name,
    }
    configuration.write_text(json.dumps(given))
    producer = confluent_kafka.Producer({"bootstrap.servers": kafka, "linger.ms": 0})
    with guard_processes.valkey(tmp_path, valkey_port) as client:
        yield World(kafka, client, configuration, port, producer)


def empty(address: str, topic: str) -> None:
    admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": address})
    for future in admin.delete_topics([topic]).values():
        future.result(20)

    def made() -> bool | None:
        new = confluent_kafka.admin.NewTopic(topic, 1, 1)
        try:
            admin.create_topics([new])[topic].result(20)
        except confluent_kafka.KafkaException:  # the old one is still going
            return None
        return True

    guard_processes.until(made, f"topic {topic} is new")


def test_drift_is_told_once_repeated_days_or_not_and_its_end_too(world):
    with world.watching():
        world.days(20, times=50)
        usual = world.until_days(20)
        assert usual.score < 0.5
        world.days(20, shift=SHIFT, times=50)
        drifted = world.until_above(0.9)
        assert set(drifted.drifted) == set(usual_days.FEATURES)
        (alert,) = world.alerts(1)
        assert (alert["kind"], alert["symbol"]) == ("drifted", "AAA")
        assert alert["score"] > alert["threshold"] == 0.5
        assert alert["since"] == alert["time"]
        for feature in alert["features"]:
            assert feature["statistic"] > feature["critical"]
            assert feature["mean_after"] > feature["mean_before"] + 5
        world.days(25)
        world.until_below(0.4)
        begun, ended = world.alerts(2)
        assert (begun["kind"], ended["kind"]) == ("drifted", "ended")
        assert ended["since"] == begun["since"]
        assert len(guard_processes.read_topic(world.kafka, "drift")) == 2
        assert world.metric('bellwether_drift_records_total{outcome="new"}') == 65
        assert world.metric('bellwether_drift_records_total{outcome="known"}') == 40 * 49


def test_a_score_is_in_valkey_within_a_second(world):
    with world.watching():
        world.days(20)
        world.until_days(20)
        world.days(20, shift=SHIFT)
        began = time.monotonic()
        world.until_above(0.9)
        assert time.monotonic() - began < 1.0


def test_symbols_are_judged_apart(world):
    with world.watching():
        world.days(20)
        world.days(20, shift=SHIFT, symbol="BBB")
        assert world.until_days(20, "AAA").score < 0.5
        assert world.until_days(20, "BBB").score > 0.9
        (alert,) = world.alerts(1)
        assert alert["symbol"] == "BBB"


def test_a_killed_watcher_goes_on_where_it_was(world):
    with world.watching() as process:
        world.days(15, shift=SHIFT)
        world.until_days(15)
        world.alerts(1)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=20)
    world.days(3, shift=SHIFT)
    with world.watching():
        found = world.until_days(18)
        assert found.score > 0.9
        world.days(1, shift=SHIFT)
        world.until_days(19)
        assert len(guard_processes.read_topic(world.kafka, "drift")) == 1


def test_an_offset_is_kept_by_a_watcher_that_ends(world):
    with world.watching() as process:
        world.days(12)
        world.until_days(12)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    with world.watching():
        world.days(1)
        world.until_days(13)
        counted = 'bellwether_drift_records_total{outcome="%s"}'
        assert [world.metric(counted % each) for each in ("new", "known")] == [1, 0]


def test_malformed_records_are_counted_and_the_watch_goes_on(world):
    row = usual_days.usual_row("AAA")
    with world.watching():
        world.send(b"no json")
        world.send(record("AAA", 0, row, date="someday"))
        world.send(record("AAA", 100, row, features={"rsi": "high"}))
        world.send(record("AAA", 101, row, features={"rsi": 1.0}))
        world.send(record("AAA", 0, row, date="", features={}))
        world.send(record("ZZZ", 0, row))
        world.days(10)
        world.until_days(10)
        for outcome, count in {"malformed": 3, "incomplete": 2, "unknown_symbol": 1}.items():
            world.until_counted(f'bellwether_drift_records_total{{outcome="{outcome}"}}', count)
        assert "no JSON" in world.log()


def test_scores_stay_fresh_while_nothing_is_asked(world):
    with world.watching():
        world.days(10)
        first = world.until_days(10)

        def later() -> bool | None:
            found = world.score()
            return True if found is not None and found.time > first.time + 2 else None

        guard_processes.until(later, "the score is written again", patience=10)


def test_valkey_may_come_late_and_go_between(world, tmp_path):
    port = json.loads(world.configuration.read_text())["valkey"].rpartition(":")[2]
    world.valkey.shutdown(nosave=True)
    with guard_processes.watcher(world.configuration) as process:
        guard_processes.until(lambda: guard_processes.ready(world.port), "the watcher listens")
        answer = guard_processes.ready(world.port)
        assert answer is not None
        assert answer.status_code == 503
        with guard_processes.valkey(tmp_path, int(port)):
            world.days(12, shift=SHIFT)
            world.until_days(12)
        world.days(8, shift=SHIFT)
        world.until_counted('bellwether_drift_waits_total{part="valkey"}', 1)
        with guard_processes.valkey(tmp_path, int(port)):
            assert world.until_days(20).score > 0.9
        assert process.poll() is None


def test_kafka_may_come_late_and_go_between(tmp_path):
    ports, (valkey_port, port) = guard_processes.free_ports(3), guard_processes.free_ports(2)
    address = f"127.0.0.1:{ports[0]}"
    configuration = tmp_path / "drift.json"
    given = {"kafka": address, "valkey": f"127.0.0.1:{valkey_port}", "port": port}
    given["artifact"] = str(usual_days.write(tmp_path / "artifact"))
    configuration.write_text(json.dumps(given))
    producer = confluent_kafka.Producer({"bootstrap.servers": address, "log_level": 0})
    with (
        guard_processes.valkey(tmp_path, valkey_port) as client,
        guard_processes.watcher(configuration) as process,
    ):
        world = World(address, client, configuration, port, producer)
        guard_processes.until(lambda: guard_processes.ready(port), "the watcher listens")
        answer = guard_processes.ready(port)
        assert answer is not None
        assert "Kafka" in answer.text
        with guard_processes.broker(tmp_path / "kafka", ports):
            world.days(12)
            world.until_days(12)
        world.until_counted('bellwether_drift_waits_total{part="kafka"}', 1)
        with guard_processes.broker(tmp_path / "kafka", ports):
            world.days(3)
            world.until_days(15)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=8) == 0  # though Kafka is away
    # Away, back, away, back, and perhaps away: not at every attempt.
    assert world.log().count("kafka at") in {4, 5}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kafka": "somewhere"}, "kafka: Value error, expected host:port"),
        ({"treshold": 1}, "treshold: Extra inputs are not permitted; known are kafka"),
        ({"ends_below": 0.9}, "an episode would end as it begins"),
        ({"artifact": "/nowhere"}, r"/nowhere/guard.json: cannot be read"),
    ],
)
def test_a_wrong_configuration_says_what_is_wrong(tmp_path, change, message):
    given = {"kafka": "127.0.0.1:1", "valkey": "127.0.0.1:2", "port": 3}
    given["artifact"] = str(usual_days.write(tmp_path / "artifact"))
    path = tmp_path / "drift.json"
    path.write_text(json.dumps(given | change))
    program = [guard_processes.environment_python("serving"), "-m", "runtimes.guard.drift"]
    done = subprocess.run(
        [*program, str(path)],
        env={**os.environ, "PYTHONPATH": str(guard_processes.ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
