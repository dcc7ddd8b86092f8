"""The monitor beside a real broker: killed in between, it counts every prediction exactly once."""

import json
import os
import signal
import subprocess
import urllib.error
import urllib.request

import confluent_kafka
import confluent_kafka.admin
import numpy as np
import pytest

from infra import paths
from infra.local import toolchain
from runtimes.contract import inference
from tests.conformance.environment import eventually
from tests.unit.infra.local.dataflow import broker_process
from tests.unit.runtimes.predictor.mlserver_process import free_ports

OUTPUTS = inference.topic("bellwether", "pipeline", "financial-prediction-pipeline", "outputs")
TOPICS = (
    OUTPUTS,
    "feature-monitoring",
    "decisions",
    "rewards",
    "market-data",
    "monitoring",
    "dead-letters",
)
PREDICTIONS = 3000


def answer(number):
    """What the pipeline answers, as Kafka has it."""
    message = inference._MESSAGE()
    texts = {
        "prediction_id": [f"id-{number}"],
        "symbol": ["SPX"],
        "date": ["2024-01-03"],
        "regime": ["baseline"],
        "quality": ["{}"],
        "explanation": ["{}"],
        "rules": ["[]"],
        "model": ["baseline-predictor", "1", "sha256-1"],
    }
    numbers = {
        "prediction": [0.1 + number % 100 / 1000],
        "direction": [0.6],
        "confidence": [0.7],
        "position": [0.4],
        "quality_score": [1.0],
        "anomaly_score": [0.2],
        "drift_score": [0.1],
        "interval": [0.05, 0.4],
    }
    for name, values in texts.items():
        tensor = message.tensors.add(name=name, datatype="BYTES", shape=[len(values)])
        tensor.contents.bytes_contents.extend(value.encode() for value in values)
    for name, values in numbers.items():
        tensor = message.tensors.add(name=name, datatype="FP64", shape=[len(values)])
        tensor.contents.fp64_contents.extend(values)
    return message.SerializeToString()


class Process:
    """The monitor in its own environment."""

    def __init__(self, folder, kafka):
        self.port = free_ports(1)[0]
        self.folder = folder
        days = np.arange("2024-01-01", "2024-01-12", dtype="datetime64[D]").astype(np.int64)
        values = np.tile(np.linspace(100, 103, len(days))[:, None], (1, 5))
        symbol = np.zeros(len(days), dtype=np.int64)
        np.savez(folder / "bars.npz", symbols=["SPX"], symbol=symbol, date=days, values=values)
        given = {
            "kafka": kafka,
            "folder": str(folder / "records"),
            "bars": str(folder / "bars.npz"),
            "port": self.port,
            "flush_seconds": 0.2,
        }
        (folder / "monitor.json").write_text(json.dumps(given))
        self.process = None

    def start(self):
        python = os.environ.get("BELLWETHER_MONITOR_PYTHON") or toolchain.python_of("monitor")
        with (self.folder / "monitor.log").open("ab") as log:
            self.process = subprocess.Popen(
                [python, "-m", "runtimes.monitor", str(self.folder / "monitor.json")],
                env={**os.environ, "PYTHONPATH": str(paths.ROOT)},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answered:
            return answered.read()

    def rows(self):
        """How many predictions are in files; 0 before it says so."""
        try:
            text = self.get("/metrics").decode()
        except OSError:
            return 0
        name = 'bellwether_monitor_rows{dataset="predictions"} '
        found = [line for line in text.splitlines() if line.startswith(name)]
        return int(float(found[0].removeprefix(name))) if found else 0


@pytest.fixture
def broker(tmp_path):
    folder = tmp_path / "kafka"
    folder.mkdir()
    made = broker_process.Broker(folder)
    made.start()
    admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": made.address, "log_level": 0})

    def there():
        try:
            return admin.list_topics(timeout=1)
        except confluent_kafka.KafkaException:
            return None

    eventually(there, "Kafka answers", 120)
    new = [confluent_kafka.admin.NewTopic(name, 1, 1) for name in TOPICS]
    for each in admin.create_topics(new).values():
        each.result()
    yield made.address
    made.kill()


def dead_letters(address):
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": address, "group.id": "test", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe(["dead-letters"])
    found = eventually(lambda: consumer.poll(1.0), "a dead letter", 60)
    consumer.close()
    return json.loads(found.value())


def test_a_killed_monitor_counts_every_prediction_exactly_once(broker, tmp_path):
    producer = confluent_kafka.Producer({"bootstrap.servers": broker})
    monitor = Process(tmp_path, broker)
    monitor.start()
    try:
        sent = 0
        for half in (PREDICTIONS // 3, 2 * PREDICTIONS // 3):
            while sent < half:
                producer.produce(OUTPUTS, answer(sent), key=f"id-{sent}")
                sent += 1
            producer.flush(30)
            eventually(lambda: monitor.rows() > 0, "rows are written", 120, 0.1)
            for _ in range(200):
                producer.produce(OUTPUTS, answer(sent), key=f"id-{sent}")
                sent += 1
            producer.flush(30)
            monitor.kill()
            monitor.start()
        producer.produce(OUTPUTS, b"\xff\xff\xff", key="broken")
        while sent < PREDICTIONS:
            producer.produce(OUTPUTS, answer(sent), key=f"id-{sent}")
            sent += 1
        producer.flush(30)
        eventually(lambda: monitor.rows() == PREDICTIONS, "all are written", 120, 0.1)
        listed = json.loads(monitor.get("/predictions?limit=10000"))
        assert sorted(int(each["id"][3:]) for each in listed) == list(range(PREDICTIONS))
        one = json.loads(monitor.get("/predictions/id-7"))
        assert one["prediction"] == pytest.approx(0.107)
        assert one["rules"] == []
        windows = json.loads(monitor.get("/windows"))
        assert windows[0]["predictions"] == PREDICTIONS
        letter = dead_letters(broker)
        assert (letter["topic"], letter["by"]) == (OUTPUTS, "monitor")
        assert letter["reason"]
        with pytest.raises(urllib.error.HTTPError) as caught:
            monitor.get("/predictions/nobody")
        assert caught.value.code == 404
        assert "nobody" in json.loads(caught.value.read())["error"]
        with pytest.raises(urllib.error.HTTPError) as refused:
            monitor.get("/predictions?limit=many")
        assert refused.value.code == 400
    finally:
        monitor.process.terminate()
        monitor.process.wait(30)
