"""What the router records of its choices, on a real Kafka."""

import contextlib
import datetime as dt
import json
import pathlib
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import confluent_kafka
import confluent_kafka.admin
import pytest
import steps_process

from infra import settings
from infra.local import kafka, toolchain

PATIENCE = 60.0


@contextlib.contextmanager
def broker(folder: pathlib.Path) -> Iterator[str]:
    """A broker of the test's own; give its address once it answers."""
    found = toolchain.Toolchain.locate()
    port, controller, metrics = steps_process.free_ports(3)
    ports = settings.Ports(kafka=port, kafka_controller=controller, kafka_metrics=metrics)
    for name, content in {
        "server.properties": kafka.properties(ports, folder / "data"),
        "log4j.properties": kafka.LOG4J,
        "metrics.yml": kafka.JMX_EXPORTER,
        "start.sh": kafka.start_script(found.java, found.kafka_jars, folder, 256, metrics),
    }.items():
        (folder / name).write_text(content)
    log = folder / "kafka.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["sh", str(folder / "start.sh")], stdout=out, stderr=subprocess.STDOUT
        )
    try:
        admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": f"127.0.0.1:{port}"})
        deadline = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(confluent_kafka.KafkaException):  # until it listens
                admin.list_topics(timeout=1)
                break
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"Kafka is not ready:\n{log.read_text()[-4000:]}", pytrace=False)
        topic = confluent_kafka.admin.NewTopic("routing", 1, 1)
        for made in admin.create_topics([topic]).values():
            made.result()
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=30)


def records(bootstrap: str, count: int) -> list[tuple[bytes | None, dict[str, Any]]]:
    """The first records of the topic, each with its key."""
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "test", "auto.offset.reset": "earliest"}
    )
    found: list[tuple[bytes | None, dict[str, Any]]] = []
    try:
        consumer.subscribe(["routing"])
        deadline = time.monotonic() + PATIENCE
        while len(found) < count and time.monotonic() < deadline:
            message = consumer.poll(1.0)
            if message is not None and message.error() is None:
                found.append((message.key(), json.loads(message.value() or b"")))
    finally:
        consumer.close()
    return found


def test_each_choice_is_recorded_with_its_reason(tmp_path: pathlib.Path) -> None:
    repository, folder = tmp_path / "repository", tmp_path / "kafka"
    folder.mkdir()
    falling = [[[0.0]] * 40 + [[-0.002]] * 20]
    with broker(folder) as bootstrap:
        extra = {"kafka": bootstrap, "hysteresis": "0.1"}
        steps_process.write_settings(
            repository, "regime-router_2", "runtimes.router.runtime.Router", None, extra
        )
        with steps_process.running(repository) as server:
            for name, history, symbol in [
                ("first", falling, ["SPX"]),
                ("second", [[[0.0]] * 60], ["SPX"]),
                ("third", falling, []),
            ]:
                server.outputs(
                    "regime-router_2",
                    steps_process.numbers("history", history),
                    *(steps_process.texts("symbol", each) for each in symbol),
                    id=name,
                )
            found = records(bootstrap, 3)
    assert [key for key, _ in found] == [b"SPX", b"SPX", None]
    first, second, third = (record for _, record in found)
    age = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(first.pop("time"))
    assert dt.timedelta(0) <= age < dt.timedelta(minutes=2)
    assert first == {
        "id": "first",
        "router": "regime-router",
        "symbol": "SPX",
        "regime": "falling",
        "branch": "conservative",
        "volatility": pytest.approx(0.002 * 252**0.5),
        "trend": pytest.approx(2.718281828459045**-0.04 - 1),
        "thresholds": {
            "volatility_threshold": 0.3,
            "trend_threshold": 0.02,
            "window_days": 20,
            "hysteresis": 0.1,
        },
        "previous": None,
        "reason": "trend -3.921 % over 20 days is below -2 %",
        "propensity": 1.0,
    }
    assert (second["id"], second["regime"], second["previous"]) == ("second", "calm", "falling")
    assert (third["symbol"], third["previous"]) == (None, None)
